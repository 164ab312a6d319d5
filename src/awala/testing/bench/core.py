# SPDX-License-Identifier: MIT
"""Sealing and opening parcels of several sizes, with cold and warm caches, beside bare OpenSSL."""

from __future__ import annotations

import dataclasses
import platform
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

import cryptography
from cryptography.hazmat.backends.openssl import backend

from awala import cms, pki
from awala.cms import EnvelopedData
from awala.crypto import SessionKeyPair
from awala.messages import Parcel, ServiceMessage
from awala.pki import Certificate
from awala.testing.bench.cast import Cast, Sender, gather
from awala.testing.bench.figures import Figure, Plan, Report
from awala.testing.bench.floor import FloorMaterial, bare_open, bare_seal, floor_material, new_buffer
from awala.testing.bench.pairs import Contestant, Timing, take_turns

SUMMARY: Final = "parcels sealed and opened per second by one thread, beside the bare OpenSSL operations"
SIZES: Final = (1024, 64 * 1024, 1024 * 1024)
SENDERS: Final = 64
MAX_POOL_OCTETS: Final = 16 * 1024 * 1024
"""How many octets of content one pool of parcels holds at most; large parcels have smaller pools."""

TURN: Final = 16
"""How many parcels a turn has at most: turns are short, so that a pair of them meets the same machine."""

_T = TypeVar("_T")
_TYPE: Final = "application/vnd.awala.bench"
_TTL: Final = 3600
_FLOOR, _COLD, _WARM = "floor", "cold", "warm"
_MICROSECONDS: Final = 1e6

_NOTES: Final = (
    "Seal: service message, new session key, enveloped data, signed parcel with three certificates.",
    "Floor of seal: P-256 key pair, ECDH, KDF, key wrap, AES-128-CBC, SHA-256, RSA-2048-PSS signature.",
    "Open: verify the parcel, authorise it as an Internet gateway does, decrypt it, read its message.",
    "Floor of open: SHA-256, four RSA-2048-PSS verifications, ECDH, KDF, key unwrap, AES-128-CBC.",
    "In it, point and three of the RSA keys are loaded anew, since they come with the parcel.",
    "Cold: nothing is remembered about the sender. Warm: its certificates and what they prove are.",
    "The floor of warm opening is that of cold opening, with its four verifications.",
    "Within a turn, each iteration has another sender and another chain of certificates.",
    "Floor, cold and warm take turns. Figures are medians over turns, ratios over pairs of turns.",
    "Seconds are those of processor time of the one thread that works. A ratio of 1 is the floor.",
)


@dataclass(frozen=True, slots=True)
class _Pool:
    """What the turns of one size go through, once per turn."""

    gateway: Certificate
    senders: tuple[Sender, ...]
    stranger: Sender
    """One who takes part in no turn, but comes before cold ones: caches are cold, the processor is not."""
    message: ServiceMessage
    material: tuple[FloorMaterial, ...]
    now: datetime


def measure(
    plan: Plan, *, sizes: Sequence[int] = SIZES, senders: int = SENDERS, now: datetime | None = None
) -> Report:
    """Measure, for each size, sealing and then opening."""
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    plan.say(f"core: making the keys and certificates of {senders} senders")
    people = gather(senders + 1, moment)
    figures: list[Figure] = []
    pools: dict[str, int] = {}
    for size in sizes:
        pool = _pool(people, size, moment)
        pools[f"pool_of_{size}"] = len(pool.senders)
        for operation, contestants in (("seal", _sealing(pool)), ("open", _opening(pool))):
            plan.say(f"core: {operation}, {size} octets")
            figures += _figures(operation, size, take_turns(contestants, plan.seconds))
    pki.clear_caches()
    cms.clear_caches()
    conditions = _conditions() | {
        "senders": senders,
        "rsa_keys": people.key_count,
        "certificates": 3 * len(people.senders) + 1,
        **pools,
        "seconds_per_measurement": plan.seconds,
    }
    return Report("core", SUMMARY, _NOTES, conditions, tuple(figures), ("microseconds",))


def _conditions() -> dict[str, str | int | float]:
    return {
        "python": platform.python_version(),
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
    }


def _pool(people: Cast, size: int, now: datetime) -> _Pool:
    *others, stranger = people.senders
    senders = tuple(others[: max(2, MAX_POOL_OCTETS // size)])
    message = ServiceMessage(_TYPE, secrets.token_bytes(size))
    plaintext = message.serialize()
    material = tuple(floor_material(people, sender, plaintext) for sender in senders)
    return _Pool(people.gateway, senders, stranger, message, material, now)


def _sealing(pool: _Pool) -> dict[str, Contestant]:
    buffer = new_buffer(pool.material[0].plaintext)
    floor, cold, warm = _Rounds(pool.material), _Rounds(pool.senders), _Rounds(pool.senders)
    newcomers: list[Sender] = []

    def meet() -> None:
        newcomers[:] = map(_read_again, cold.next())
        _clear()
        seal([pool.stranger])

    def seal(senders: Sequence[Sender]) -> int:
        for sender in senders:
            seal_parcel(sender, pool.message, pool.now)
        return len(senders)

    def bare() -> int:
        for material in floor.turn:
            bare_seal(material, buffer)
        return len(floor.turn)

    return {
        _FLOOR: Contestant(bare, floor.next),
        _COLD: Contestant(lambda: seal(newcomers), meet),
        _WARM: Contestant(lambda: seal(warm.turn), lambda: seal(warm.next())),
    }


def _opening(pool: _Pool) -> dict[str, Contestant]:
    buffer = new_buffer(pool.material[0].plaintext)
    parcels = [(sender, seal_parcel(sender, pool.message, pool.now)) for sender in pool.senders]
    floor, cold, warm = _Rounds(pool.material), _Rounds(parcels), _Rounds(parcels)
    earlier = [(pool.stranger, seal_parcel(pool.stranger, pool.message, pool.now))]
    anchors = (pool.gateway,)

    def forget() -> None:
        cold.next()
        _clear()
        open_all(earlier)

    def open_all(turn: Sequence[tuple[Sender, bytes]]) -> int:
        for sender, parcel in turn:
            open_parcel(parcel, sender, anchors, pool.now)
        return len(turn)

    def bare() -> int:
        for material in floor.turn:
            bare_open(material, buffer)
        return len(floor.turn)

    return {
        _FLOOR: Contestant(bare, floor.next),
        _COLD: Contestant(lambda: open_all(cold.turn), forget),
        _WARM: Contestant(lambda: open_all(warm.turn), lambda: open_all(warm.next())),
    }


def seal_parcel(sender: Sender, message: ServiceMessage, now: datetime) -> bytes:
    """Do all that an endpoint does to send a message, but for its store."""
    payload = cms.encrypt(
        *message.pieces(),
        recipient=sender.recipient_key,
        originator=SessionKeyPair.generate(),
    )
    parcel = Parcel(
        recipient=sender.recipient,
        message_id=secrets.token_hex(16),
        creation_date=now,
        ttl=_TTL,
        payload=payload,
        sender_certificate=sender.authorization,
        sender_chain=sender.chain,
    )
    return parcel.serialize(sender.key)


def open_parcel(data: bytes, sender: Sender, anchors: Sequence[Certificate], now: datetime) -> ServiceMessage:
    """Do all that gateway and endpoint together do with a parcel, but for their stores."""
    parcel = Parcel.parse(data)
    parcel.authorise_at_internet_gateway(anchors, now)
    plaintext = EnvelopedData.parse(parcel.payload).decrypt(sender.session.private_key)
    return ServiceMessage.parse(plaintext)


class _Rounds(Generic[_T]):
    """Goes round a pool, a turn's worth at a time."""

    def __init__(self, pool: Sequence[_T]) -> None:
        self._pool = pool
        self._start = 0
        self.turn: Sequence[_T] = ()

    def next(self) -> Sequence[_T]:
        """Return the next turn's worth, which is then also in ``turn``."""
        if self._start >= len(self._pool):
            self._start = 0
        self.turn = self._pool[self._start : self._start + TURN]
        self._start += TURN
        return self.turn


def _clear() -> None:
    pki.clear_caches()
    cms.clear_caches()


def _read_again(sender: Sender) -> Sender:
    """Return the sender with certificates that nothing is remembered about, their keys included."""
    return dataclasses.replace(
        sender,
        authorization=Certificate.parse(sender.authorization.encoding),
        endpoint=Certificate.parse(sender.endpoint.encoding),
        private_gateway=Certificate.parse(sender.private_gateway.encoding),
    )


def _figures(operation: str, size: int, timings: dict[str, Timing]) -> Iterator[Figure]:
    floor = timings.pop(_FLOOR)
    for caches, timing in timings.items():
        yield Figure(
            labels={"operation": operation, "octets": size, "caches": caches},
            per_second=timing.per_second,
            floor_per_second=floor.per_second,
            ratio=timing.ratio_to(floor),
            details={
                "microseconds": _MICROSECONDS / timing.per_second,
                "floor_microseconds": _MICROSECONDS / floor.per_second,
                "turns": float(len(timing.each)),
            },
        )
