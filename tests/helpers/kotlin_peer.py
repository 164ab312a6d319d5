# SPDX-License-Identifier: MIT
"""A peer made of the Kotlin libraries, in a Java process of its own (tests/interop/README.md)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

from awala.testing import Authority
from helpers.json_peer import JsonPeer, PeerError

__all__ = ["KotlinPeer", "PeerError", "world"]

BUILD: Final = Path(__file__).parent.parent / "interop" / "kotlin" / "target"
MAIN: Final = "awala.interop.MainKt"
PASSWORD: Final = "no secret"  # noqa: S105 - Java does not read a store of certificates without one

OPTIONS: Final = ("-XX:+UseSerialGC", "-Xmx512m")
"""It starts sooner, and stays small."""

CLOCK: Final = ("faketime", "--exclude-monotonic", "-f")
"""Runs Java with another wall clock; its pauses stay as long as they are."""

CLOCK_ENVIRONMENT: Final = {"FAKETIME_FORCE_MONOTONIC_FIX": "0"}
"""So that waits last as long as they should; else Java turns in a loop."""


class KotlinPeer(JsonPeer):
    """The driver; ``options`` are Java's, and ``prefix`` is a command that runs it somewhere else.

    The peer's clock is ``ahead`` of ours, which takes the tool ``faketime``.
    """

    def __init__(
        self,
        *,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
        ahead: timedelta = timedelta(0),
    ) -> None:
        classes = f"{BUILD / 'classes'}:{BUILD / 'dependency'}/*"
        clock = (*CLOCK, f"{ahead.total_seconds():+.0f}") if ahead else ()
        super().__init__(
            *prefix, *clock, "java", *OPTIONS, *options, "-cp", classes, MAIN, environment=CLOCK_ENVIRONMENT
        )
        self._ahead = ahead

    def now(self) -> datetime:
        """Return the peer's present, by which its gateways date what they make."""
        return datetime.now(UTC) + self._ahead


def world(directory: Path, authority: Authority, *hosts: str) -> tuple[str, ...]:
    """Return options by which Java trusts an authority alone, and finds ``hosts`` on this machine."""
    return (*trust(directory, authority.ca_pem), *names(directory, "localhost", *hosts))


def trust(directory: Path, *certificates: bytes) -> tuple[str, ...]:
    """Return options by which Java trusts these certificates alone, which are PEM."""
    store = directory / "trusted.p12"
    trusted = [
        PKCS12Certificate(x509.load_pem_x509_certificate(pem), str(number).encode())
        for number, pem in enumerate(certificates)
    ]
    store.write_bytes(serialize_java_truststore(trusted, BestAvailableEncryption(PASSWORD.encode())))
    return (
        f"-Djavax.net.ssl.trustStore={store}",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
    )


def names(directory: Path, *hosts: str) -> tuple[str, ...]:
    """Return options by which Java finds ``hosts`` on this machine, and knows no other name."""
    file = directory / "hosts"
    file.write_text("".join(f"127.0.0.1 {host}\n" for host in hosts))
    return (f"-Djdk.net.hosts.file={file}",)
