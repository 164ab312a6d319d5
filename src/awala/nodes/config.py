# SPDX-License-Identifier: MIT
"""What a node is told when it starts; the commands fill these from files and the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from awala.bindings.addressing import Validation
from awala.crypto import ContentCipher

CLOUDFLARE_DOH = "https://cloudflare-dns.com/dns-query"
"""The resolver that is asked unless another one is configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorConfig:
    """A port that a node listens on: ``host:port``, port 0 for any; plain without a certificate."""

    listen: str
    tls_cert: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverConfig:
    """Who is asked for addresses, and how the answers are proven (rules §10)."""

    url: str = CLOUDFLARE_DOH
    validation: Validation = Validation.AD
    anchors: Path | None = None
    allow_networks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """How a node reaches others on the Internet."""

    resolver: ResolverConfig = field(default_factory=ResolverConfig)
    ca_file: Path | None = None
    minimum_tls_version: str = "1.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionConfig:
    """How a node encrypts what it sends."""

    content_cipher: ContentCipher = ContentCipher.AES_128_CBC
    """The cipher for contents (rules §1); deployed JavaScript software cannot read AES-GCM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageConfig:
    """Where a node keeps what it must not lose."""

    directory: Path
    quota: int | None = None
    """Octets that the spool may hold; None leaves it to the disk."""

    mailbox_quota: int | None = None
    """Octets that may wait in one mailbox; None sets no limit (rules §11, decision 44)."""

    pair_quota: int | None = None
    """Octets that one sender may have waiting for one recipient; None sets no limit (as above)."""

    session_key_retention: timedelta | None = None
    """How long a session key is kept after the peer has a later one, a day at least (rules §7).

    None means for as long as a message may be on its way; less prefers secrecy to late mail.
    """
