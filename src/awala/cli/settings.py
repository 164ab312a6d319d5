# SPDX-License-Identifier: MIT
"""The sections of the configuration, each setting with its meaning and its default.

A command puts together the sections that it needs in a subclass of ``Settings`` and reads it with
``awala.cli.configuration.load``.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from awala.base.errors import ConfigurationError
from awala.bindings.host_port import split_address
from awala.cli.options import GATEWAY_LISTEN
from awala.crypto import ContentCipher

DEFAULT_DOH_URL = "https://cloudflare-dns.com/dns-query"
SIZE = re.compile(r"(?P<number>[0-9]+)\s*(?P<unit>|[KMGT]i?B?|B)", re.IGNORECASE)
DURATION = re.compile(r"(?P<number>[0-9]{1,6})\s*(?P<unit>d|days?|h|hours?)", re.IGNORECASE)
SHORTEST_RETENTION = timedelta(days=1)
LONGEST_RETENTION = timedelta(days=180)
HOURS = {"d": 24, "h": 1}
POWERS = {"": 0, "B": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def _host_port(text: str) -> str:
    try:
        split_address(text)
    except ConfigurationError as error:
        raise ValueError(f"must be HOST:PORT, not {text!r}; an IPv6 host goes in brackets") from error
    return text


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _size(value: object) -> object:
    """Turn ``"2 GiB"`` into octets; units are powers of 1024 with or without the i."""
    if not isinstance(value, str):
        return value
    match = SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"must be a number of octets or a size such as '2 GiB', not {value!r}")
    return int(match["number"]) * 1024 ** POWERS[match["unit"][:1].upper()]


def _duration(value: object) -> object:
    """Turn ``"30 days"`` or ``"36 hours"`` into a time."""
    match = DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"must be a time such as '30 days' or '36 hours', not {value!r}")
    return timedelta(hours=int(match["number"]) * HOURS[match["unit"][0].lower()])


def _retention(time: timedelta) -> timedelta:
    if not SHORTEST_RETENTION <= time <= LONGEST_RETENTION:
        raise ValueError(f"must be from {SHORTEST_RETENTION.days} day to {LONGEST_RETENTION.days} days")
    return time


def _cipher(text: str) -> str:
    known = [cipher.value.lower() for cipher in ContentCipher]
    if text.lower() not in known:
        raise ValueError(f"must be one of {', '.join(known)}, not {text!r}")
    return text.lower()


def _path(value: object) -> object:
    return str(Path(value).expanduser()) if isinstance(value, str) and value else value


HostPort = Annotated[str, AfterValidator(_host_port)]
Network = Annotated[str, AfterValidator(_network)]
Size = Annotated[int, BeforeValidator(_size), Field(gt=0)]
Retention = Annotated[timedelta, BeforeValidator(_duration), AfterValidator(_retention)]
Cipher = Annotated[str, AfterValidator(_cipher)]
File = Annotated[Path, BeforeValidator(_path)]
Seconds = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """Base of every section: immutable, and without room for keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Door(Section):
    """Where one door of the node listens."""

    listen: HostPort = "127.0.0.1:0"
    """HOST:PORT to listen on; port 0 takes any free one."""

    tls_cert: File | None = None
    """Certificate chain (PEM). None means plain connections: for loopback, or behind a proxy."""

    tls_key: File | None = None
    """Private key of that certificate (PEM)."""


class Resolver(Section):
    """How names on the Internet are found."""

    url: str = DEFAULT_DOH_URL
    """DNS-over-HTTPS resolver."""

    validation: Literal["ad", "local"] = "ad"
    """Who checks DNSSEC: the resolver, which is then trusted ("ad"), or this program ("local")."""

    anchors: File | None = None
    """Trust anchors for local validation (DS or DNSKEY records). None means those of the root zone."""

    allow_networks: tuple[Network, ...] = ()
    """Networks, such as "10.0.0.0/8", that names may lead to besides public addresses."""


class Tls(Section):
    """What TLS connections to others accept."""

    ca_file: File | None = None
    """Certificate authorities (PEM) to trust besides those of the system."""

    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """Oldest version of TLS to use or to accept; gRPC, for CogRPC, takes 1.2 and 1.3 in any case."""


class Storage(Section):
    """Where keys and messages are kept."""

    url: str | None = None
    """Database, such as "sqlite:///var/lib/awala/spool.db". None means SQLite in the data directory."""

    objects: str | None = None
    """Large bodies, such as "file:///var/lib/awala/objects". None means the data directory."""

    quota: Size | None = None
    """Most that messages may take, in octets or as a size such as "2 GiB". None means no limit."""

    mailbox_quota: Size | None = None
    """Most that may wait in one mailbox, as above. None means no limit."""

    pair_quota: Size | None = None
    """Most that one sender may have waiting for one recipient, as above. None means no limit."""

    session_key_retention: Retention | None = None
    """How long session keys are kept once there are later ones, from "1 day" to "180 days": less prefers
    secrecy to late mail. None means for as long as a message may be on its way."""


class Encryption(Section):
    """How messages are encrypted; whatever is set here, all ciphers are read."""

    content_cipher: Cipher = ContentCipher.AES_128_CBC.value.lower()
    """Cipher for contents: aes-128-cbc, aes-192-cbc, aes-256-cbc, or the same with gcm, which deployed
    JavaScript software cannot read."""


class Gateway(Section):
    """The private gateway of this device."""

    url: str = f"http://{GATEWAY_LISTEN}"
    """Where it listens for apps."""


class Settings(BaseModel):
    """Base of the settings of one command: its fields are sections.

    In the file a section is a table, with hyphens for underscores; in the environment the setting
    ``name`` of the section ``section`` is ``AWALA_SECTION_NAME``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolver: Resolver = Resolver()
    tls: Tls = Tls()
    storage: Storage = Storage()
