# SPDX-License-Identifier: MIT
"""Apps of ours and of the peers that write to each other, and what carries their parcels."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

from awala.crypto import IdentityPublicKey
from awala.messages import PrivateEndpointConnectionParams
from awala.messages.media_types import PDA_PATH
from awala.pki import CertificationPath
from awala.sdk import IncomingMessage, Invitation, PrivateApp
from helpers.json_peer import JsonPeer
from helpers.nodes_network import Process, Side, Village

TYPE = "application/vnd.awala.interop"
SEVERAL = 2
"""Messages that each sends in a round."""

KNOWN_FOR = timedelta(hours=4)
"""Since when an app of a peer seems to know whom it writes to: messages of ours are dated three hours back,
and the libraries go on to the session key in a message only if that is dated later than what they know."""

A_DATE = 1.1
"""Seconds after which a message has a later date than the one before."""

A_MOMENT = 0.05
TURNS = 10
"""How often parcels are carried on before they count as lost."""

Carry: TypeAlias = Callable[[], Awaitable[None]]
"""Carries on, some way or the whole, what is on its way."""


HASTE = 5
"""How much shorter the pauses of our nodes are than by the clock; those of visits are long."""


class MovedClock:
    """The machine's clock, ``ahead`` of it, but for pauses; a test may let time pass at once."""

    def __init__(self, ahead: timedelta = timedelta(0)) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / HASTE)


# ---- apps ----------------------------------------------------------------------------------------------


class App(Protocol):
    """One end of a conversation."""

    id: str
    heard: list[tuple[str, bytes]]
    """What has come: from whom, and the content."""

    async def send(self, to: str, content: bytes) -> None: ...

    async def look(self) -> int:
        """See what has come; return how much that was since the start."""

    async def knows(self, other_id: str) -> bool:
        """Say whether it may write to somebody."""


class OurApp:
    """An app made with our SDK."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._app: PrivateApp | None = None

    def setup(self, app: PrivateApp) -> None:
        self._app = app
        app.on()(self._hear)

    async def _hear(self, message: IncomingMessage) -> None:
        self.heard.append((message.sender_id, message.content))

    @property
    def app(self) -> PrivateApp:
        assert self._app is not None
        return self._app

    @property
    def id(self) -> str:
        return self.app.id

    async def send(self, to: str, content: bytes) -> None:
        await self.app.send(to, TYPE, content)

    async def look(self) -> int:
        return len(self.heard)

    async def knows(self, other_id: str) -> bool:
        return other_id in {peer.id for peer in await self.app.peers()}

    async def given_by(self, other_id: str) -> CertificationPath | None:
        """Return the authorisation in use for messages to somebody."""
        identity = self.app._endpoint.identity
        return await identity.authorizations.given_by(other_id, identity.now())


@dataclass
class Keys:
    """Ids of session keys in the messages that an app of a peer sent and got, the last round's last."""

    made_for: list[bytes] = field(default_factory=list)
    brought: list[bytes] = field(default_factory=list)

    def note(self, message: dict[str, Any]) -> None:
        self.made_for.append(message["recipientKeyId"])
        self.brought.append(message["senderKeyId"])


class PeerApp:
    """An app made with the libraries of a peer: a client of PoWeb, and what the core has for endpoints."""

    def __init__(self, peer: JsonPeer, number: int, app_id: str, key: IdentityPublicKey) -> None:
        self.id = app_id
        self.key = key
        self.heard: list[tuple[str, bytes]] = []
        self.sent, self.got = Keys(), Keys()
        self._peer = peer
        self._number = number
        self._known: set[str] = set()
        self._came = 0

    @classmethod
    async def open(cls, peer: JsonPeer) -> PeerApp:
        opened = await peer.ask("openApp")
        return cls(peer, opened["app"], opened["id"], IdentityPublicKey.load(opened["publicKey"]))

    async def _ask(self, operation: str, **arguments: Any) -> Any:
        return await self._peer.ask(operation, app=self._number, **arguments)

    async def register(self, side: Side) -> None:
        """Register at our private gateway."""
        port = int(side.gateway.running.addresses["poweb"].rpartition(":")[2])
        await self._ask("registerApp", door={"port": port})

    async def register_at(self, gateway: PeerGateway) -> None:
        """Register at a private gateway of the same peer."""
        await self._ask("registerAppAt", gateway=gateway.number)

    async def allow(self, key: IdentityPublicKey) -> bytes:
        """Let somebody write to this app; return the papers."""
        params: bytes = await self._ask("allow", publicKey=key.spki)
        return params

    async def learn(self, params: bytes) -> None:
        """Learn from papers how to write to who made them."""
        learnt = await self._ask("learn", params=params, secondsAgo=KNOWN_FOR // timedelta(seconds=1))
        self._known.add(learnt)

    async def send(self, to: str, content: bytes) -> None:
        self.sent.note(await self._ask("send", to=to, type=TYPE, content=content))

    async def send_authorization(self, to: OurApp) -> None:
        """Let an app of ours write to this one, and tell it so in a message."""
        params = await self.allow((await to.app.offer()).key)
        await self._ask("send", to=to.id, type=PDA_PATH, content=params)

    async def look(self) -> int:
        for message in await self._ask("receive", secondsAgo=KNOWN_FOR // timedelta(seconds=1)):
            self._came += 1
            if message["type"] == PDA_PATH:
                self._known.add(message["senderId"])
            else:
                assert message["type"] == TYPE
                self.got.note(message)
                self.heard.append((message["senderId"], message["content"]))
        return self._came

    async def knows(self, other_id: str) -> bool:
        return other_id in self._known


async def our_app(net: Village, side: Side) -> OurApp:
    app = OurApp()
    await net.app(side, app.setup)
    return app


async def peer_app(peer: JsonPeer, side: Side) -> PeerApp:
    app = await PeerApp.open(peer)
    await app.register(side)
    return app


# ---- private gateways of a peer ------------------------------------------------------------------------


class PeerGateway:
    """A private gateway made with the libraries of a peer; apps of that peer can be behind it."""

    def __init__(self, peer: JsonPeer, number: int, gateway_id: str) -> None:
        self.number = number
        self.id = gateway_id
        self._peer = peer

    @classmethod
    async def open(cls, peer: JsonPeer, uplink: Side) -> PeerGateway:
        """Register with the Internet gateway of ``uplink``, over TLS."""
        door = {"host": "127.0.0.1", "port": uplink.link.port}
        opened = await peer.ask("openGateway", door=door)
        return cls(peer, opened["gateway"], opened["id"])

    async def exchange(self) -> Any:
        """Deliver and collect on-line."""
        return await self._peer.ask("exchange", gateway=self.number)

    async def visit(self, courier: Process) -> Any:
        """Collect from a courier, then deliver to it."""
        address = courier.running.addresses["cogrpc"]
        return await self._peer.ask("visit", gateway=self.number, address=address)

    async def status(self) -> Any:
        return await self._peer.ask("gatewayStatus", gateway=self.number)


# ---- conversations -------------------------------------------------------------------------------------


async def introduce(one: PeerApp, other: App, carry: Carry) -> None:
    """Let two apps write to each other; what the second one answers to that travels as messages do."""
    if isinstance(other, PeerApp):
        await one.learn(await other.allow(one.key))
        await other.learn(await one.allow(other.key))
        return
    assert isinstance(other, OurApp)
    offer = await other.app.offer()
    params = PrivateEndpointConnectionParams.parse(await one.allow(offer.key))
    await other.app.complete(Invitation(params, offer.nonce))
    await _carry_until(carry, [one], lambda: one.knows(other.id))


async def converse(one: App, other: App, carry: Carry, rounds: int) -> None:
    """Have each write to the other, several messages a round; each of them comes, as it was, once."""
    sent: dict[str, list[bytes]] = {one.id: [], other.id: []}
    heard_before = {app.id: len(app.heard) for app in (one, other)}

    def heard(app: App) -> list[tuple[str, bytes]]:
        return app.heard[heard_before[app.id] :]

    async def all_came() -> bool:
        return all(len(heard(app)) >= len(sent[far.id]) for app, far in ((one, other), (other, one)))

    for number in range(rounds):
        for app, far in ((one, other), (other, one)):
            for each in range(SEVERAL):
                content = f"round {number}, message {each} from {app.id}".encode() + bytes(range(256))
                await app.send(far.id, content)
                sent[app.id].append(content)
        await _carry_until(carry, [one, other], all_came)
        await asyncio.sleep(A_DATE)
    await carry()
    for app, far in ((one, other), (other, one)):
        await app.look()
        assert Counter(heard(app)) == Counter((far.id, content) for content in sent[far.id])


async def _carry_until(carry: Carry, apps: list[App], done: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(TURNS):
        await carry()
        for app in apps:
            await app.look()
        if await done():
            return
    raise AssertionError("parcels are lost, or still on their way")


def session_moves_on(app: PeerApp, rounds: int) -> bool:
    """Say whether the keys change, and none is used that is older than the messages of the round before."""
    return all(
        set(of_round(each.made_for, number))
        <= {*of_round(far.brought, number - 1), *of_round(far.brought, number)}
        for each, far in ((app.sent, app.got), (app.got, app.sent))
        for number in range(1, rounds)
    ) and all(
        set(of_round(each.made_for, 0)).isdisjoint(of_round(each.made_for, rounds - 1))
        for each in (app.sent, app.got)
    )


def of_round(ids: list[bytes], number: int) -> list[bytes]:
    return ids[number * SEVERAL : (number + 1) * SEVERAL]


# ---- carriers ------------------------------------------------------------------------------------------

LOOKS = 20
"""How often an on-line way is looked at for something that comes."""


def on_line(apps: list[App], *gateways: PeerGateway) -> Carry:
    """Return what waits until something more has come; gateways of a peer are told to look each time."""

    async def come() -> int:
        for gateway in gateways:
            await gateway.exchange()
        return sum([await app.look() for app in apps])

    before = 0

    async def carry() -> None:
        nonlocal before
        for _ in range(LOOKS):
            now = await come()
            if now != before:
                before = now
                return
            await asyncio.sleep(A_MOMENT)

    return carry


async def shown_certificate(courier: Process) -> bytes:
    """Return the certificate that a courier shows, as PEM."""
    host, _, port = courier.running.addresses["cogrpc"].rpartition(":")
    return (await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)))).encode()


def by_courier(net: Village, courier: Process, *stops: Side | PeerGateway) -> Carry:
    """Return what sends a courier to the gateways that it serves, to the Internet, and to them again."""

    async def stop(at: Side | PeerGateway) -> None:
        if isinstance(at, PeerGateway):
            await at.visit(courier)
        else:
            await net.visit(at, courier)

    async def carry() -> None:
        await asyncio.gather(*map(stop, stops))
        progress = await net.trip(courier)
        if progress.failures:
            raise AssertionError(progress.failures)
        await asyncio.gather(*map(stop, stops))

    return carry
