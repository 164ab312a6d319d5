# SPDX-License-Identifier: MIT
"""A certificate authority for tests and demonstrations: never installed, trusted by file only."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from awala.base.files import write_private

LIFE: Final = timedelta(days=30)
BACKDATING: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A server's certificate and private key, in PEM."""

    certificate_pem: bytes
    key_pem: bytes

    def write(self, directory: Path, name: str = "server") -> tuple[Path, Path]:
        """Write ``NAME.crt`` and ``NAME.key`` with mode 0600; return both paths."""
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        write_private(certificate, self.certificate_pem)
        write_private(key, self.key_pem)
        return certificate, key

    def server_context(self) -> ssl.SSLContext:
        """Return how a server speaks TLS with this certificate: 1.2 at least (rules §10)."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory() as directory:  # the ssl module reads keys from files only
            context.load_cert_chain(*self.write(Path(directory)))
        return context


class Authority:
    """Issues server certificates for host names and IP addresses."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, now: datetime) -> None:
        self._key = key
        self._certificate = certificate
        self._now = now

    @classmethod
    def create(cls, *, now: datetime | None = None) -> Self:
        """Make a new authority whose certificates are valid around ``now`` (by default, the present)."""
        now = now or datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Awala test authority")])
        certificate = (
            _builder(name, name, key.public_key(), now)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate, now)

    @property
    def ca_pem(self) -> bytes:
        """The authority's certificate, for ``ca_file``."""
        return self._certificate.public_bytes(Encoding.PEM)

    def write_ca(self, path: Path) -> Path:
        """Write the authority's certificate; return ``path``."""
        write_private(path, self.ca_pem)
        return path

    def issue(self, *hosts: str) -> IssuedCertificate:
        """Issue a certificate for ``hosts``: names, IP addresses, or both."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(subject, self._certificate.subject, key.public_key(), self._now)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(authority_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return IssuedCertificate(
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def server_context(self, *hosts: str) -> ssl.SSLContext:
        """Issue a certificate for ``hosts``; return how their server speaks TLS."""
        return self.issue(*hosts).server_context()

    def client_context(self) -> ssl.SSLContext:
        """Return how a client speaks TLS that trusts this authority and no other."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.ca_pem.decode("ascii"))
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATING)
        .not_valid_after(now + LIFE)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
