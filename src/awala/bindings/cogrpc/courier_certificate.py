# SPDX-License-Identifier: MIT
"""The TLS certificate of a courier: made by the courier itself, fetched by its visitors (rules §10)."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from awala.base.errors import ConfigurationError
from awala.bindings.cogrpc.local_network import IpAddress
from awala.bindings.errors import ProtocolError, UnreachableError

_logger = logging.getLogger(__name__)

BACKDATING: Final = timedelta(hours=2)
"""For visitors whose clock is behind (rules §10)."""

LIFE: Final = timedelta(hours=24)
"""After which a new certificate is due (rules §10)."""


@dataclass(frozen=True, slots=True)
class CourierCertificate:
    """A self-signed certificate and its key, as ``CogRpcServer`` wants them."""

    certificate: bytes
    """PEM."""

    key: bytes
    """PEM, PKCS#8, not encrypted: it never leaves the process."""

    not_after: datetime

    @property
    def tls(self) -> tuple[bytes, bytes]:
        """The pair for the argument ``tls`` of a server."""
        return self.certificate, self.key


def make_courier_certificate(addresses: Sequence[IpAddress], *, now: datetime) -> CourierCertificate:
    """Make a key (P-256) and a certificate for all of ``addresses``.

    Raises:
        ConfigurationError: there is no address.
    """
    if not addresses:
        raise ConfigurationError(
            "A courier needs an address for its certificate: switch its network on first"
        )
    own = [_without_zone(address) for address in addresses]
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(own[0]))])
    names = x509.SubjectAlternativeName([x509.IPAddress(address) for address in own])
    not_after = now + LIFE
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATING)
        .not_valid_after(not_after)
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    return CourierCertificate(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        not_after=not_after,
    )


async def fetch_courier_certificate(host: str, address: IpAddress, port: int, *, seconds: float) -> bytes:
    """Return the certificate that the server shows, in PEM, if it is for ``address``.

    ``host`` is the address as it is dialled; nothing is verified but that name.

    Raises:
        UnreachableError: no TLS server within ``seconds``.
        ProtocolError: the certificate is not for that address.
    """
    try:
        async with asyncio.timeout(seconds):
            certificate = await _peer_certificate(host, port)
    except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
        raise UnreachableError("There is no courier at that address") from error
    if certificate is None:
        raise ProtocolError("The courier shows no certificate")
    if _without_zone(address) not in _certified_addresses(certificate):
        raise ProtocolError("The courier's certificate is not for the address that it was reached at")
    return ssl.DER_cert_to_PEM_cert(certificate).encode()


async def _peer_certificate(host: str, port: int) -> bytes | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Trust on first use: what is seen here becomes the only root of the connection that follows.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return session.getpeercert(binary_form=True)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _certified_addresses(certificate: bytes) -> list[IpAddress]:
    try:
        extensions = x509.load_der_x509_certificate(certificate).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = names.get_values_for_type(x509.IPAddress)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise ProtocolError("The courier's certificate names no address") from error
    return [address for address in addresses if isinstance(address, IPv4Address | IPv6Address)]


def _without_zone(address: IpAddress) -> IpAddress:
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return IPv6Address(address.packed)
    return address
