# SPDX-License-Identifier: MIT
"""Nodes without servers: a chain of certificates, messages by description, direct clients of the doors."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from awala.asn1 import der
from awala.base.errors import AwalaError, StorageFullError
from awala.base.files import StorageError
from awala.bindings.cogrpc import Fulfilled, IncomingCargo, OutgoingCargo
from awala.bindings.errors import (
    Forbidden,
    MalformedError,
    MalformedRequest,
    RefusedError,
    RequestError,
    ServerError,
    Unauthenticated,
    UnauthenticatedError,
    Unprocessable,
    UnreachableError,
)
from awala.bindings.poweb import StreamingMode
from awala.crypto import IdentityPrivateKey
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    DetachedSignatureType,
    HandshakeResponse,
    Parcel,
    RamfMessage,
    Recipient,
    sign_detached,
)
from awala.nodes.events import EventHub, HopEvent
from awala.nodes.internet_gateway.credentials import IDENTITY_LABEL as INTERNET_LABEL
from awala.nodes.internet_gateway.credentials import Credentials as InternetCredentials
from awala.nodes.internet_gateway.doors import PRIVATE_GATEWAYS
from awala.nodes.internet_gateway.node import InternetGateway, load_params
from awala.nodes.members import Members
from awala.nodes.private_gateway.credentials import IDENTITY_LABEL as PRIVATE_LABEL
from awala.nodes.private_gateway.credentials import Credentials as PrivateCredentials
from awala.nodes.private_gateway.local import ENDPOINTS
from awala.nodes.private_gateway.node import PrivateGateway
from awala.pki import Certificate, CertificationPath, Role, issue
from awala.sessions import Sessions
from awala.spool import MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.cast import identity_key

NOW = FakeClock().now()
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ADDRESS = "igw.demo.test"

IGW = identity_key("js", "igw")
PGW = identity_key("js", "pgw")
ENDPOINT = identity_key("js", "ep")
PEER = identity_key("js", "peer")
OTHER_IGW = identity_key("jvm", "igw")
OTHER_PGW = identity_key("jvm", "pgw")
OTHER_ENDPOINT = identity_key("jvm", "ep")
STRANGER = identity_key("jvm", "peer")


def certify(
    subject: IdentityPrivateKey,
    issuer_key: IdentityPrivateKey,
    issuer: Certificate | None,
    role: Role,
    *,
    now: datetime = NOW,
    life: timedelta = 100 * DAY,
    since: timedelta = -3 * HOUR,
) -> Certificate:
    return issue(
        subject_key=subject.public_key,
        issuer_key=issuer_key,
        issuer=issuer,
        role=role,
        not_before=now + since,
        not_after=now + life,
    )


IGW_CERT = certify(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY, life=170 * DAY)
PGW_CERT = certify(PGW, IGW, IGW_CERT, Role.GATEWAY, life=160 * DAY)
ENDPOINT_CERT = certify(ENDPOINT, PGW, PGW_CERT, Role.ENDPOINT, life=150 * DAY)
PDA = certify(PEER, ENDPOINT, ENDPOINT_CERT, Role.DELIVERY_AUTHORIZATION, life=120 * DAY)
PDA_CHAIN = (ENDPOINT_CERT, PGW_CERT)


def parcel(
    *,
    recipient: str = ENDPOINT.node_id,
    address: str | None = ADDRESS,
    key: IdentityPrivateKey = PEER,
    certificate: Certificate = PDA,
    chain: tuple[Certificate, ...] = PDA_CHAIN,
    message_id: str | None = None,
    created: timedelta = -3 * HOUR,
    ttl: int = 86_400,
    payload: bytes = b"payload",
    now: datetime = NOW,
) -> tuple[Parcel, bytes]:
    """Make a parcel from the peer to the endpoint, unless told otherwise; with its octets."""
    message = Parcel(
        recipient=Recipient(recipient, address),
        message_id=message_id or str(uuid.uuid4()),
        creation_date=now + created,
        ttl=ttl,
        payload=payload,
        sender_certificate=certificate,
        sender_chain=chain,
    )
    return message, message.serialize(key)


def to_internet(address: str = "pong.demo.test", key: IdentityPrivateKey = ENDPOINT, **changes):
    """Make a parcel of an endpoint for an Internet endpoint: its sender's certificate is self-issued."""
    certificate = certify(key, key, None, Role.ENDPOINT)
    defaults = {"recipient": PEER.node_id, "address": address, "certificate": certificate, "chain": ()}
    return parcel(key=key, **(defaults | changes))


def between_gateways(
    kind: type[RamfMessage],
    payload: bytes,
    *,
    key: IdentityPrivateKey = PGW,
    certificate: Certificate = PGW_CERT,
    chain: tuple[Certificate, ...] = (),
    recipient: Recipient | None = None,
    message_id: str | None = None,
    created: timedelta = -3 * HOUR,
    ttl: int = 86_400,
) -> bytes:
    return kind(
        recipient=recipient or Recipient(IGW.node_id, ADDRESS),
        message_id=message_id or str(uuid.uuid4()),
        creation_date=NOW + created,
        ttl=ttl,
        payload=payload,
        sender_certificate=certificate,
        sender_chain=chain,
    ).serialize(key)


def cargo(payload: bytes = b"sealed", **fields) -> bytes:
    return between_gateways(Cargo, payload, **fields)


def cca(payload: bytes = b"sealed", **fields) -> bytes:
    return between_gateways(CargoCollectionAuthorization, payload, **fields)


def countersign(octets: bytes, key: IdentityPrivateKey, certificate: Certificate) -> bytes:
    return sign_detached(DetachedSignatureType.PARCEL_DELIVERY, octets, key, certificate)


def handshake(nonce: bytes, *signers: tuple[IdentityPrivateKey, Certificate]) -> bytes:
    return HandshakeResponse(
        tuple(sign_detached(DetachedSignatureType.NONCE, nonce, key, cert) for key, cert in signers)
    ).serialize()


EMPTY_HANDSHAKE = der.sequence(der.implicit(0, b"", constructed=True))
"""A response that nobody signed."""


class Recorder:
    """Every event of a hub, from now on."""

    def __init__(self, hub: EventHub) -> None:
        self.events: list[HopEvent] = []
        self._arrived = asyncio.Condition()
        self._emit, hub.emit = hub.emit, self._note

    def _note(self, event: HopEvent) -> None:
        self._emit(event)
        self.events.append(event)

    @property
    def actions(self) -> list[str]:
        return [event.action.value for event in self.events]


async def until(condition: Callable[[], object], *, seconds: float = 30.0) -> None:
    """Return once the condition holds; work in threads makes an exact signal impossible."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)


async def drive(clock: FakeClock, condition: Callable[[], object], *, step: float = 2.0) -> None:
    """Let the clock run until the condition holds, with time for threads after each step."""
    async with asyncio.timeout(30):
        while not condition():
            await clock.advance(step)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def running(*coroutines) -> AsyncIterator[list[asyncio.Task]]:
    """Run loops for as long as the block lasts; what fails in one is raised at the end."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


FAULTS = (RequestError, StorageFullError, StorageError)
"""What a service raises, and a server answers with a status."""


def client_error(error: RequestError | StorageFullError | StorageError) -> AwalaError:
    """Return what a client meets when a service raises this."""
    text = str(error)
    match error:
        case Unauthenticated():
            return UnauthenticatedError(text)
        case MalformedRequest():
            return MalformedError(text, status=400)
        case Forbidden() | Unprocessable():
            return RefusedError(text, status=422)
        case StorageFullError():
            return ServerError(text, status=507)
        case _:
            return ServerError(text, status=503)


class DirectPoWeb:
    """A PoWeb client that calls a service without any network; ``cut`` makes it unreachable."""

    def __init__(self, service) -> None:
        self.service = service
        self.cut = False
        self.closed = 0
        self.delivered: list[bytes] = []
        self.registrations = 0
        self.knows_withdrawals = True
        self.pacing = None
        self.opened = asyncio.Event()
        self._collections: set[asyncio.Task] = set()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.aclose()

    async def aclose(self) -> None:
        self.closed += 1

    def disconnect(self) -> None:
        """Become unreachable, and break what is open."""
        self.cut = True
        self.opened.clear()
        for task in self._collections:
            task.cancel()

    async def _call(self, call):
        if self.cut:
            call.close()
            raise UnreachableError("cut")
        try:
            return await call
        except FAULTS as error:
            raise client_error(error) from error

    async def preregister(self, digest: bytes) -> bytes:
        return await self._call(self.service.preregister(digest))

    async def register(self, request: bytes) -> bytes:
        self.registrations += 1
        return await self._call(self.service.register(request))

    async def deliver(self, octets: bytes, countersignature: bytes) -> None:
        async def deliver():
            await self.service.deliver(octets, await self.service.recognise(countersignature))

        await self._call(deliver())
        self.delivered.append(octets)

    async def withdraw(self, octets: bytes, countersignature: bytes) -> bool:
        async def withdraw():
            await self.service.withdraw(octets, await self.service.recognise(countersignature))

        if self.knows_withdrawals:
            await self._call(withdraw())
        return self.knows_withdrawals

    def collect(self, sign, mode=StreamingMode.KEEP_ALIVE, *, on_open=None):
        return _DirectCollection(self, sign, mode, on_open)


@dataclass
class _Delivery:
    parcel: bytes
    acknowledge: Callable


class _DirectCollection:
    def __init__(self, client: DirectPoWeb, sign, mode, on_open) -> None:
        self._client, self._sign, self._mode, self._on_open = client, sign, mode, on_open
        self._context = self._mailbox = None

    async def __aenter__(self):
        if self._client.cut:
            raise UnreachableError("cut")
        nonce = uuid.uuid4().bytes
        response = HandshakeResponse(tuple(self._sign(nonce))).serialize()
        try:
            self._context = self._client.service.collect(nonce, response, self._mode)
            self._mailbox = await self._context.__aenter__()
        except FAULTS as error:
            raise client_error(error) from error
        self._client.opened.set()
        if self._on_open is not None:
            self._on_open()
        return self

    async def __aexit__(self, *args):
        await self._context.__aexit__(None, None, None)

    async def __aiter__(self):
        while True:
            fetching = asyncio.ensure_future(self._mailbox.next())
            self._client._collections.add(fetching)
            try:
                collected = await asyncio.shield(fetching)
            except asyncio.CancelledError:
                if fetching.cancelled():
                    raise UnreachableError("the connection broke") from None
                fetching.cancel()
                with suppress(asyncio.CancelledError):
                    await fetching
                raise
            finally:
                self._client._collections.discard(fetching)
            if collected is None:
                return

            async def acknowledge(collected=collected) -> None:
                await self._mailbox.acknowledge(collected)

            yield _Delivery(collected.parcel, acknowledge)


class DirectCogRpc:
    """A CogRPC client that calls a service without any network."""

    def __init__(self, service, *, drop_refused: bool = True) -> None:
        self.service = service
        self.cut = False
        self.closed = 0
        self.cut_after: int | None = None
        self._drop_refused = drop_refused

    async def close(self) -> None:
        self.closed += 1

    async def deliver(self, cargoes) -> AsyncIterator[str]:
        if self.cut:
            raise UnreachableError("cut")
        async for each in cargoes:
            try:
                await self.service.deliver(each.cargo)
            except (MalformedRequest, Forbidden, Unprocessable) as error:
                if not self._drop_refused:
                    raise client_error(error) from error
            except FAULTS as error:
                raise client_error(error) from error
            yield each.delivery_id

    async def collect(
        self,
        octets: bytes,
        *,
        relayed: bool = False,  # noqa: ARG002 - what is called here has no limit for metadata
    ) -> AsyncIterator[IncomingCargo]:
        if self.cut:
            raise UnreachableError("cut")
        try:
            collection = await self.service.collect(octets)
        except Fulfilled:
            raise
        except FAULTS as error:
            raise client_error(error) from error
        complete = False
        try:
            count = 0
            async for each in collection.cargoes():
                if count == self.cut_after:
                    raise UnreachableError("cut in the middle")
                yield IncomingCargo(each.delivery_id, each.cargo, collection.acknowledge)
                count += 1
            complete = True
        finally:
            await collection.finish(complete=complete)


async def outgoing(*octets: bytes) -> AsyncIterator[OutgoingCargo]:
    for number, each in enumerate(octets):
        yield OutgoingCargo(str(number), each)


class PoHttp:
    """Stands for the other Internet hosts: remembers what was sent, raises what it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.error: Exception | None = None
        self.routes: dict[str, Callable] = {}

    async def deliver(self, address: str, octets: bytes) -> None:
        if self.error is not None:
            raise self.error
        route = self.routes.get(address)
        if route is not None:
            try:
                await route(octets)
            except FAULTS as error:
                raise client_error(error) from error
        self.sent.append((address, octets))


@dataclass
class InternetSide:
    """An Internet gateway in memory, with all that a test wants to reach into."""

    node: InternetGateway
    vault: MemoryVault
    spool: MemorySpool
    clock: FakeClock
    pohttp: PoHttp
    events: Recorder
    sessions: Sessions


async def internet_side(
    clock: FakeClock | None = None,
    *,
    key: IdentityPrivateKey = IGW,
    address: str = ADDRESS,
    spool: MemorySpool | None = None,
    vault: MemoryVault | None = None,
) -> InternetSide:
    clock = clock or FakeClock()
    spool = spool or MemorySpool(monotonic=clock.monotonic)
    if vault is None:
        vault = MemoryVault()
        await vault.save_identity(INTERNET_LABEL, key)
        await InternetCredentials.create(vault, address)
    credentials = await InternetCredentials.load(vault, clock)
    sessions = Sessions(vault.session_keys)
    pohttp = PoHttp()
    node = InternetGateway(
        credentials=credentials,
        vault=vault,
        spool=spool,
        clock=clock,
        pohttp=pohttp,
        params=await load_params(credentials, sessions, clock.now()),
        members=await Members.load(vault, PRIVATE_GATEWAYS),
    )
    return InternetSide(node, vault, spool, clock, pohttp, Recorder(node.events), sessions)


@dataclass
class PrivateSide:
    """A private gateway in memory; ``uplink`` and ``courier`` are the clients that it gets."""

    node: PrivateGateway
    vault: MemoryVault
    spool: MemorySpool
    clock: FakeClock
    events: Recorder
    sessions: Sessions
    uplink: DirectPoWeb
    courier: DirectCogRpc

    def own_certificate(self) -> Certificate:
        return self.node.credentials.own_certificates(self.clock.now())[0]


async def private_side(
    internet: InternetSide | None = None,
    *,
    clock: FakeClock | None = None,
    key: IdentityPrivateKey = PGW,
    spool: MemorySpool | None = None,
    vault: MemoryVault | None = None,
    courier=None,
) -> PrivateSide:
    """Make a private gateway; it is paired if there is an Internet gateway."""
    clock = clock or (internet.clock if internet else FakeClock())
    spool = spool or MemorySpool(monotonic=clock.monotonic)
    if vault is None:
        vault = MemoryVault()
        await vault.save_identity(PRIVATE_LABEL, key)
    uplink = DirectPoWeb(internet.node.gateway_door if internet else None)
    courier_client = DirectCogRpc(courier, drop_refused=False)

    async def connect(_address: str):
        if uplink.cut:
            raise UnreachableError("cut")
        return uplink

    async def connect_courier(_host: str, _port: int):
        return courier_client

    node = PrivateGateway(
        credentials=await PrivateCredentials.load(vault, clock),
        vault=vault,
        spool=spool,
        clock=clock,
        connect=connect,
        connect_courier=connect_courier,
        members=await Members.load(vault, ENDPOINTS),
    )
    side = PrivateSide(
        node, vault, spool, clock, Recorder(node.events), Sessions(vault.session_keys), uplink, courier_client
    )
    if internet is not None and node.credentials.known_peer is None:
        await node.pairing.pair(internet.node.credentials.address)
    return side


def endpoint_path(side: PrivateSide, key: IdentityPrivateKey = ENDPOINT) -> CertificationPath:
    """Certify an endpoint as its private gateway would."""
    own = side.own_certificate()
    leaf = certify(
        key, PGW if side.node.credentials.node_id == PGW.node_id else OTHER_PGW, own, Role.ENDPOINT
    )
    return CertificationPath(leaf, (own,))


def authorised_parcel(
    side: PrivateSide, sender: IdentityPrivateKey = PEER, endpoint: IdentityPrivateKey = ENDPOINT, **changes
) -> tuple[Parcel, bytes]:
    """Make a parcel for an endpoint behind this private gateway that its Internet gateway lets through."""
    path = endpoint_path(side, endpoint)
    pda = certify(sender, endpoint, path.leaf, Role.DELIVERY_AUTHORIZATION)
    return parcel(recipient=endpoint.node_id, key=sender, certificate=pda, chain=path.chain, **changes)
