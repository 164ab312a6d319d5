# SPDX-License-Identifier: MIT
"""A gateway in memory behind a PoWeb server, and peers that speak to it octet by octet."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from awala.base.errors import AwalaError
from awala.bindings.errors import MalformedRequest, Unauthenticated
from awala.bindings.poweb import CollectedParcel, Collection, StreamingMode
from awala.messages.collection import HandshakeResponse

GOOD_COUNTERSIGNATURE = b"countersignature"


def sign(nonce: bytes) -> list[bytes]:
    return [b"signed " + nonce]


class MemoryGateway:
    """Implements PoWebService and WithdrawalService without any cryptography.

    ``problems`` maps a method's name to an exception that it raises.
    """

    def __init__(self) -> None:
        self.problems: dict[str, Exception] = {}
        self.calls: list[tuple[str, bytes]] = []
        self.params: bytes | None = b"params"
        self.parcels: dict[int, bytes] = {}
        self.acknowledged: list[bytes] = []
        self.open_collections = 0
        self.modes: list[StreamingMode] = []
        self.commit_gate: asyncio.Event | None = None
        self.deliver_gate: asyncio.Event | None = None
        self.collect_gate: asyncio.Event | None = None
        self.changed = asyncio.Event()
        self._last = 0

    def put(self, parcel: bytes) -> int:
        self._last += 1
        self.parcels[self._last] = parcel
        self._notify()
        return self._last

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once ``condition`` holds; it is looked at after each change."""
        async with asyncio.timeout(30):
            while not condition():
                await self.changed.wait()

    async def preregister(self, key_digest: bytes) -> bytes:
        self._record("preregister", key_digest)
        return b"authorization of " + key_digest[:2]

    async def register(self, request: bytes) -> bytes:
        self._record("register", request)
        return b"registration"

    async def recognise(self, countersignature: bytes):
        self._record("recognise", countersignature)
        if countersignature != GOOD_COUNTERSIGNATURE:
            raise Unauthenticated("The countersigner is unknown")
        return countersignature

    async def deliver(self, parcel: bytes, countersignature) -> None:
        self._record("deliver", parcel)
        assert countersignature == GOOD_COUNTERSIGNATURE
        if self.deliver_gate is not None:
            await self.deliver_gate.wait()

    async def withdraw(self, deauthorization: bytes, countersignature) -> None:
        self._record("withdraw", deauthorization)
        assert countersignature == GOOD_COUNTERSIGNATURE

    def connection_params(self) -> bytes | None:
        return self.params

    @asynccontextmanager
    async def collect(self, nonce: bytes, response: bytes, mode: StreamingMode) -> AsyncIterator[Collection]:
        self._record("collect", response)
        if self.collect_gate is not None:
            await self.collect_gate.wait()
        try:
            signatures = HandshakeResponse.parse(response).signatures
        except AwalaError as error:
            raise MalformedRequest("The response is malformed") from error
        if list(signatures) != sign(nonce):
            raise Unauthenticated("The signatures are not valid")
        self.open_collections += 1
        self.modes.append(mode)
        self._notify()
        try:
            yield _MemoryCollection(self, mode)
        finally:
            self.open_collections -= 1
            self._notify()

    def count(self, call: str) -> int:
        return sum(1 for name, _ in self.calls if name == call)

    def _record(self, call: str, argument: bytes) -> None:
        self.calls.append((call, argument))
        self._notify()
        problem = self.problems.get(call)
        if problem is not None:
            raise problem

    def _notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class _MemoryCollection:
    def __init__(self, gateway: MemoryGateway, mode: StreamingMode) -> None:
        self._gateway = gateway
        self._mode = mode
        self._position = 0

    async def next(self) -> CollectedParcel | None:
        while True:
            self._gateway._record("next", b"")
            for number, parcel in self._gateway.parcels.items():
                if number > self._position:
                    self._position = number
                    return CollectedParcel(number, parcel)
            if self._mode is StreamingMode.CLOSE_UPON_COMPLETION:
                return None
            await self._gateway.changed.wait()

    async def acknowledge(self, parcel: CollectedParcel) -> None:
        self._gateway._record("acknowledge", parcel.parcel)
        if self._gateway.commit_gate is not None:
            await self._gateway.commit_gate.wait()
        del self._gateway.parcels[parcel.token]
        self._gateway.acknowledged.append(parcel.parcel)
        self._gateway._notify()


class LoopbackDialler:
    """Dials every name at one port of this machine, and remembers what it was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[tuple[str, int]] = []

    async def connect(self, host: str, port: int) -> socket.socket:
        self.asked.append((host, port))
        sock = socket.socket()
        sock.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        except BaseException:
            sock.close()
            raise
        return sock


def tls_contexts(host: str, directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server with a certificate of its own making and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    file = directory / f"{host}.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client
