# SPDX-License-Identifier: MIT
"""A peer made of the Kotlin libraries, in a Java process of its own (tests/interop/README.md)."""

from __future__ import annotations

from collections.abc import Sequence
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


class KotlinPeer(JsonPeer):
    """The driver; ``options`` are Java's, and ``prefix`` is a command that runs it somewhere else."""

    def __init__(self, *, options: Sequence[str] = (), prefix: Sequence[str] = ()) -> None:
        classes = f"{BUILD / 'classes'}:{BUILD / 'dependency'}/*"
        super().__init__(*prefix, "java", *OPTIONS, *options, "-cp", classes, MAIN)


def world(directory: Path, authority: Authority, *hosts: str) -> tuple[str, ...]:
    """Return options by which Java trusts an authority alone, and finds ``hosts`` on this machine."""
    certificate = x509.load_pem_x509_certificate(authority.ca_pem)
    store, names = directory / "trusted.p12", directory / "hosts"
    store.write_bytes(
        serialize_java_truststore(
            [PKCS12Certificate(certificate, b"test")], BestAvailableEncryption(PASSWORD.encode())
        )
    )
    names.write_text("".join(f"127.0.0.1 {host}\n" for host in ("localhost", *hosts)))
    return (
        f"-Djavax.net.ssl.trustStore={store}",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
        f"-Djdk.net.hosts.file={names}",
    )
