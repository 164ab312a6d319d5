# SPDX-License-Identifier: MIT
"""Sealing and opening parcels of several sizes, with cold and warm caches, beside bare OpenSSL."""

from __future__ import annotations

import platform
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import cryptography
from cryptography.hazmat.backends.openssl import backend

from awala import cms, pki
from awala.cms import EnvelopedData
from awala.crypto import SessionKey, SessionKeyPair
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

_TYPE: Final = "application/vnd.awala.bench"
_TTL: Final = 3600
_FLOOR, _COLD, _WARM = "floor", "cold", "warm"
_MICROSECONDS: Final = 1e6

_NOTES: Final = (
    "Seal: service message, new session key, enveloped data, signed parcel with two certificates of the chain.",
    "Floor of seal: P-256 key pair, ECDH, key derivation, key wrap, AES-128-CBC, SHA-256, RSA-2048-PSS signature.",
    "Open: parse and verify the parcel, authorise it at an Internet gateway by three certificates and an "
    "anchor, decrypt it, parse the service message.",
    "Floor of open, cold and warm: SHA-256, four RSA-2048-PSS verifications with the three embedded keys newly "
    "loaded, point decoding, ECDH, key derivation, unwrapping, AES-128-CBC.",
    "Cold: nothing is remembered about any certificate or sender. Warm: certificates and signatures on them are.",
    "Every iteration of a turn has another sender with certificates of its own; floor, cold and warm take turns.",
    "Figures are medians over the turns; a ratio is the median over pairs of turns, 1 being as fast as the floor.",
)


@dataclass(frozen=True, slots=True)
class _Pool:
    """What the turns of one size go through, once per turn."""

    cast: Cast
    senders: tuple[Sender, ...]
    message: ServiceMessage
    material: tuple[FloorMaterial, ...]
    now: datetime


def measure(
    plan: Plan, *, sizes: Sequence[int] = SIZES, senders: int = SENDERS, now: datetime | None = None
) -> Report:
    """Measure, for each size, sealing and then opening."""
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    plan.say(f"core: making the keys and certificates of {senders} senders")
    cast = gather(senders, moment)
    figures: list[Figure] = []
    pools: dict[str, int] = {}
    for size in sizes:
        pool = _pool(cast, size, moment)
        pools[f"pool_{size}"] = len(pool.senders)
        for operation, contestants in (("seal", _sealing(pool)), ("open", _opening(pool))):
            plan.say(f"core: {operation}, {size} octets")
            figures += _figures(operation, size, take_turns(contestants, plan.seconds))
    pki.clear_caches()
    cms.clear_caches()
    conditions = _conditions() | {
        "senders": senders,
        "rsa_keys": cast.key_count,
        "certificates": 3 * senders + 1,
        **pools,
        "seconds_per_measurement": plan.seconds,
    }
    return Report("core", SUMMARY, _NOTES, conditions, tuple(figures))


def _conditions() -> dict[str, str | int | float]:
    return {
        "python": platform.python_version(),
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
    }


def _pool(cast: Cast, size: int, now: datetime) -> _Pool:
    senders = cast.senders[: max(2, min(len(cast.senders), MAX_POOL_OCTETS // size))]
    message = ServiceMessage(_TYPE, secrets.token_bytes(size))
    plaintext = message.serialize()
    material = tuple(floor_material(cast, sender, plaintext) for sender in senders)
    return _Pool(cast, senders, message, material, now)


def _sealing(pool: _Pool) -> dict[str, Contestant]:
    buffer = new_buffer(pool.material[0].plaintext)
    cold: list[Sender] = []

    def floor() -> int:
        for material in pool.material:
            bare_seal(material, buffer)
        return len(pool.material)

    def forget() -> None:
        _clear()
        cold[:] = [_read_again(sender) for sender in pool.senders]
        _clear()

    def seal(senders: Sequence[Sender]) -> int:
        for sender in senders:
            seal_parcel(sender, pool.message, pool.now)
        return len(senders)

    return {
        _FLOOR: Contestant(floor),
        _COLD: Contestant(lambda: seal(cold), forget),
        _WARM: Contestant(lambda: seal(pool.senders), lambda: seal(pool.senders)),
    }


def _opening(pool: _Pool) -> dict[str, Contestant]:
    buffer = new_buffer(pool.material[0].plaintext)
    parcels = [(sender, seal_parcel(sender, pool.message, pool.now)) for sender in pool.senders]
    anchors = (pool.cast.gateway,)

    def floor() -> int:
        for material in pool.material:
            bare_open(material, buffer)
        return len(pool.material)

    def open_all() -> int:
        for sender, parcel in parcels:
            open_parcel(parcel, sender, anchors, pool.now)
        return len(parcels)

    return {
        _FLOOR: Contestant(floor),
        _COLD: Contestant(open_all, _clear),
        _WARM: Contestant(open_all, open_all),
    }


def seal_parcel(sender: Sender, message: ServiceMessage, now: datetime) -> bytes:
    """Do all that an endpoint does to send a message, but for its store."""
    payload = cms.encrypt(
        message.serialize(),
        recipient=SessionKey(sender.session.key_id, sender.session.private_key.public_key),
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


def _clear() -> None:
    pki.clear_caches()
    cms.clear_caches()


def _read_again(sender: Sender) -> Sender:
    """Return the sender with certificates that nothing is remembered about, their keys included."""
    return Sender(
        sender.key,
        Certificate.parse(sender.authorization.encoding),
        Certificate.parse(sender.endpoint.encoding),
        Certificate.parse(sender.private_gateway.encoding),
        sender.session,
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
