# SPDX-License-Identifier: MIT
"""Proves record sets by DNSSEC, bottom-up: from a signature to its signer's keys, and so to an anchor.

Only positive answers are proven. Wildcards are refused, and so is everything that would need a proof
of absence, because we check none. The signer of a set must stand at or above its owner, that of a DS
set above it: no zone can speak for another branch. What is fetched and what is tried is capped, so
that a hostile zone cannot buy much of our time (RFC 4035 §5, rules §10).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import cryptography.exceptions
import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from dns.dnssectypes import Algorithm, DSDigest
from dns.rdtypes.dnskeybase import Flag

from awala.bindings.addressing.anchors import TrustAnchors
from awala.bindings.addressing.cache import TtlCache
from awala.bindings.addressing.errors import InsecureAnswer

MAX_KEYS: Final = 16
"""Keys in a DNSKEY set, and records in a DS set."""

MAX_SIGNATURES: Final = 8
"""Signatures over one record set."""

MAX_ZONES: Final = 16
"""Zones between a record set and its anchor."""

ALGORITHMS: Final = frozenset(
    {
        Algorithm.RSASHA256,
        Algorithm.RSASHA512,
        Algorithm.ECDSAP256SHA256,
        Algorithm.ECDSAP384SHA384,
        Algorithm.ED25519,
        Algorithm.ED448,
    }
)
"""Signature algorithms that prove something: those of RFC 8624 §3.1 without SHA-1."""

DIGESTS: Final = frozenset({DSDigest.SHA256, DSDigest.SHA384})
"""DS digests that prove something: those of RFC 8624 §3.3 without SHA-1."""

# What dnspython and pyca raise for records that they cannot use.
_UNUSABLE: Final = (
    dns.exception.DNSException,
    cryptography.exceptions.UnsupportedAlgorithm,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)

Ask = Callable[[dns.name.Name, dns.rdatatype.RdataType], Awaitable[dns.message.Message]]


class _Policy(dns.dnssec.Policy):
    def __init__(self) -> None:
        """Keep no state, as the base class, whose constructor is not typed."""

    def ok_to_validate(self, key: Any) -> bool:
        return key.algorithm in ALGORITHMS

    def ok_to_validate_ds(self, algorithm: DSDigest) -> bool:
        return algorithm in DIGESTS


_POLICY: Final = _Policy()


@dataclass(frozen=True, slots=True)
class Proven:
    """A record set that is proven, and for how long it may be kept (seconds)."""

    rrset: dns.rrset.RRset
    ttl: float


class ChainValidator:
    """Proves record sets from trust anchors, with the records that ``ask`` brings."""

    def __init__(self, anchors: TrustAnchors, ask: Ask) -> None:
        self._anchors = anchors
        self._ask = ask
        self._keys: TtlCache[dns.name.Name, Proven] = TtlCache()

    async def prove(
        self,
        answer: dns.message.Message,
        name: dns.name.Name,
        rdtype: dns.rdatatype.RdataType,
        now: datetime,
        *,
        depth: int = 0,
    ) -> Proven:
        """Return the set of ``name`` and ``rdtype`` in ``answer``, proven.

        Raises:
            InsecureAnswer: it is missing, or no signature over it leads to an anchor.
            AddressError: what the proof needs could not be fetched.

        """
        rrset = _find(answer, name, rdtype)
        if rrset is None:
            raise InsecureAnswer("A record is missing, and its absence is not proven", name=name.to_text())
        signatures = [
            s for s in _signatures(answer, rrset) if _is_exact(s, rrset) and _in_bailiwick(s, rrset)
        ]
        if not signatures:
            raise InsecureAnswer("A record set is not signed by its zone", name=name.to_text())
        # One signer only, the nearest: were several followed, a hostile zone could make the proof a tree.
        signer = max((s.signer for s in signatures), key=len)
        keys = await self._zone_keys(signer, now, depth=depth + 1)
        return _verify(rrset, [s for s in signatures if s.signer == signer], keys, now)

    async def _zone_keys(self, zone: dns.name.Name, now: datetime, *, depth: int) -> Proven:
        """Return the keys of ``zone``, proven from its anchor or else through its parent."""
        cached = self._keys.get(zone, now)
        if cached is not None:
            return cached
        if depth > MAX_ZONES:
            raise InsecureAnswer("The chain of zones is too long", name=zone.to_text())
        delegation: list[dns.rrset.RRset] = self._anchors.at(zone)
        ttl = float("inf")
        if not delegation:
            if zone == dns.name.root:
                raise InsecureAnswer("The chain of zones does not lead to a trust anchor", name=".")
            answer = await self._ask(zone, dns.rdatatype.DS)
            proven = await self.prove(answer, zone, dns.rdatatype.DS, now, depth=depth)
            delegation, ttl = [proven.rrset], proven.ttl
        answer = await self._ask(zone, dns.rdatatype.DNSKEY)
        keys = _prove_keys(answer, zone, delegation, now)
        keys = Proven(keys.rrset, min(keys.ttl, ttl))
        self._keys.put(zone, keys, ttl=keys.ttl, now=now)
        return keys


def _prove_keys(
    answer: dns.message.Message, zone: dns.name.Name, delegation: list[dns.rrset.RRset], now: datetime
) -> Proven:
    """Prove a DNSKEY set: one of the keys that the delegation names has signed all of it."""
    rrset = _find(answer, zone, dns.rdatatype.DNSKEY)
    if rrset is None:
        raise InsecureAnswer("A zone shows no keys", name=zone.to_text())
    _cap(rrset, MAX_KEYS, zone)
    for records in delegation:
        _cap(records, MAX_KEYS, zone)
    entry_points = [key for key in rrset if any(_is_named(key, zone, records) for records in delegation)]
    if not entry_points:
        raise InsecureAnswer(
            "A zone's keys are not those that its parent or anchor names", name=zone.to_text()
        )
    signatures = [s for s in _signatures(answer, rrset) if s.signer == zone and _is_exact(s, rrset)]
    named = dns.rrset.from_rdata_list(zone, rrset.ttl, entry_points)
    proven = _verify(rrset, signatures, Proven(named, float("inf")), now)
    return Proven(rrset, proven.ttl)


def _is_named(key: Any, zone: dns.name.Name, records: dns.rrset.RRset) -> bool:
    """Say whether a DS or DNSKEY set names ``key``; revoked keys are named by none (RFC 5011 §2.1)."""
    if key.flags & Flag.REVOKE:
        return False
    if records.rdtype == dns.rdatatype.DNSKEY:
        return key in records
    return any(_digest_matches(ds, key, zone) for ds in records)


def _digest_matches(ds: Any, key: Any, zone: dns.name.Name) -> bool:
    try:
        made = dns.dnssec.make_ds(zone, key, ds.digest_type, policy=_POLICY, validating=True)
    except _UNUSABLE:
        return False
    return bool(made == ds)


def _verify(rrset: dns.rrset.RRset, signatures: Iterable[Any], keys: Proven, now: datetime) -> Proven:
    """Return the set as proven by the first of the signatures that one of the keys made."""
    timestamp = now.timestamp()
    for signature in signatures:
        try:
            dns.dnssec.validate_rrsig(
                rrset,
                signature,
                {keys.rrset.name: keys.rrset},
                now=timestamp,
                policy=_POLICY,
            )
        except _UNUSABLE:
            continue
        ttl = min(rrset.ttl, signature.original_ttl, signature.expiration - timestamp, keys.ttl)
        return Proven(rrset, ttl)
    raise InsecureAnswer("A signature does not hold, or not now", name=rrset.name.to_text())


def _signatures(answer: dns.message.Message, rrset: dns.rrset.RRset) -> list[Any]:
    found = answer.get_rrset(
        answer.answer, rrset.name, dns.rdataclass.IN, dns.rdatatype.RRSIG, covers=rrset.rdtype
    )
    if found is None:
        raise InsecureAnswer("A record set is not signed", name=rrset.name.to_text())
    _cap(found, MAX_SIGNATURES, rrset.name)
    return list(found)


def _is_exact(signature: Any, rrset: dns.rrset.RRset) -> bool:
    """Say whether the signature is over this very name, not over a wildcard (RFC 4035 §5.3.4)."""
    return not rrset.name.is_wild() and signature.labels == len(rrset.name) - 1


def _in_bailiwick(signature: Any, rrset: dns.rrset.RRset) -> bool:
    if not rrset.name.is_subdomain(signature.signer):
        return False
    # A DS set belongs to the parent; signed by the child it would vouch for itself.
    return bool(rrset.rdtype != dns.rdatatype.DS or rrset.name != signature.signer)


def _find(
    answer: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
) -> dns.rrset.RRset | None:
    return answer.get_rrset(answer.answer, name, dns.rdataclass.IN, rdtype)


def _cap(records: dns.rdataset.Rdataset, limit: int, name: dns.name.Name) -> None:
    if len(records) > limit:
        raise InsecureAnswer("A zone shows more keys or signatures than we try", name=name.to_text())
