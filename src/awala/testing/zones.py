# SPDX-License-Identifier: MIT
"""A small DNS of its own: a signed root, ``test.``, ``demo.test.``, and whatever records a test wants."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm, DSDigest
from dns.rdtypes.dnskeybase import Flag

DEFAULT_ZONES: Final = ("test.", "demo.test.")

DEFAULT_TTL: Final = 60
"""Seconds; short, so that changes show."""

BACKDATING: Final = timedelta(days=1)
LIFE: Final = timedelta(days=30)

_MAX_ALIASES: Final = 8

Records = Mapping[str, Iterable[str]]
"""Name → records as text, type first: ``{"www.demo.test": ["A 127.0.0.1"]}``."""


@dataclass(frozen=True, slots=True)
class _Zone:
    name: dns.name.Name
    key: ec.EllipticCurvePrivateKey
    dnskey: Any
    signed: bool


class SignedZones:
    """Zones that answer as one recursive resolver would; records may change at any time.

    Signatures are made when they are first asked for, so a changed record needs no step of its own.
    """

    def __init__(
        self,
        records: Records | None = None,
        *,
        zones: Iterable[str] = DEFAULT_ZONES,
        unsigned: Collection[str] = (),
        now: datetime | None = None,
        ttl: int = DEFAULT_TTL,
    ) -> None:
        """Make keys for the root and for each of ``zones``, and take ``records``.

        Args:
            records: the first records.
            zones: absolute names of the zones below the root.
            unsigned: those of them that are not signed, and have no DS record.
            now: signatures are valid around this time; by default, the present.
            ttl: of every record, seconds.

        """
        unsigned_names = {dns.name.from_text(name) for name in unsigned}
        names = [dns.name.root, *(dns.name.from_text(zone) for zone in zones)]
        self._zones = {name: _make_zone(name, signed=name not in unsigned_names) for name in names}
        self._now = now or datetime.now(UTC)
        self._ttl = ttl
        self._records: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        self._signatures: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        self._add_infrastructure()
        for name, texts in (records or {}).items():
            self.set(name, *texts)

    @property
    def trust_anchor(self) -> str:
        """The root's DS record, as a file for ``[resolver] anchors``."""
        root = self._zones[dns.name.root]
        ds = dns.dnssec.make_ds(dns.name.root, root.dnskey, DSDigest.SHA256)
        return f". IN DS {ds.to_text()}\n"

    def set(self, name: str, *records: str) -> None:
        """Replace all records of ``name``; without ``records``, remove the name."""
        owner = dns.name.from_text(name)
        self.remove(name)
        for text in records:
            rdtype, _, rdata = text.partition(" ")
            added = dns.rrset.from_text(owner, self._ttl, dns.rdataclass.IN, rdtype, rdata)
            known = self._records.setdefault((owner, added.rdtype), added)
            known.update(added)  # type: ignore[no-untyped-call]  # dnspython has no types here

    def remove(self, name: str) -> None:
        """Remove all records of ``name``, but not a zone's own."""
        owner = dns.name.from_text(name)
        for key in [key for key in self._records if key[0] == owner and key[1] not in _INFRASTRUCTURE]:
            del self._records[key]
            self._signatures.pop(key, None)

    def resign(self, now: datetime) -> None:
        """Make all signatures anew, valid around ``now``."""
        self._now = now
        self._signatures.clear()

    def respond(self, query: dns.message.Message) -> dns.message.Message:
        """Answer as a validating resolver: aliases followed, AD where every record is signed."""
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name, secure = question.name, True
        for _ in range(_MAX_ALIASES):
            found = self._records.get((name, question.rdtype))
            alias = self._records.get((name, dns.rdatatype.CNAME)) if found is None else None
            shown = found or alias
            if shown is None:
                break
            secure &= self._add(response, shown)
            if alias is None:
                break
            name = alias[0].target
        if not response.answer:
            secure = self._add_absence(response, name)
        if secure:
            response.flags |= dns.flags.AD
        return response

    def _add(self, response: dns.message.Message, rrset: dns.rrset.RRset) -> bool:
        response.answer.append(rrset)
        zone = self._zone_of(rrset.name, rrset.rdtype)
        if not self._is_secure(zone):
            return False
        key = (rrset.name, int(rrset.rdtype))
        if key not in self._signatures:
            self._signatures[key] = self.sign(rrset, str(zone.name))
        response.answer.append(self._signatures[key])
        return True

    def _add_absence(self, response: dns.message.Message, name: dns.name.Name) -> bool:
        """Say that there is nothing; the proof is left out, since nobody here reads it."""
        zone = self._zone_of(name, dns.rdatatype.SOA)
        response.authority.append(self._records[zone.name, dns.rdatatype.SOA])
        if not any(owner.is_subdomain(name) for owner, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return self._is_secure(zone)

    def sign(
        self,
        rrset: dns.rrset.RRset,
        zone: str,
        *,
        inception: datetime | None = None,
        expiration: datetime | None = None,
    ) -> dns.rrset.RRset:
        """Return a signature over ``rrset`` by the key of ``zone``, fitting or not: for forgeries too."""
        signer = self._zones[dns.name.from_text(zone)]
        signature = dns.dnssec.sign(
            rrset,
            signer.key,
            signer.name,
            signer.dnskey,
            inception=inception or self._now - BACKDATING,
            expiration=expiration or self._now + LIFE,
        )
        return dns.rrset.from_rdata(rrset.name, rrset.ttl, signature)

    def _zone_of(self, name: dns.name.Name, rdtype: int) -> _Zone:
        """Return the zone that holds ``name``: for a DS record, the parent of the zone of that name."""
        candidates = [
            zone
            for zone in self._zones.values()
            if name.is_subdomain(zone.name)
            and not (rdtype == dns.rdatatype.DS and name == zone.name != dns.name.root)
        ]
        return max(candidates, key=lambda zone: len(zone.name))

    def _is_secure(self, zone: _Zone) -> bool:
        return zone.signed and all(
            other.signed for other in self._zones.values() if zone.name.is_subdomain(other.name)
        )

    def _add_infrastructure(self) -> None:
        for zone in self._zones.values():
            self._put(zone.name, f"SOA ns.invalid. nobody.invalid. 1 3600 600 86400 {self._ttl}")
            self._put(zone.name, "NS ns.invalid.")
            if not zone.signed:
                continue
            self._put(zone.name, f"DNSKEY {zone.dnskey.to_text()}")
            if zone.name != dns.name.root:
                ds = dns.dnssec.make_ds(zone.name, zone.dnskey, DSDigest.SHA256)
                self._put(zone.name, f"DS {ds.to_text()}")

    def _put(self, name: dns.name.Name, text: str) -> None:
        rdtype, _, rdata = text.partition(" ")
        rrset = dns.rrset.from_text(name, self._ttl, dns.rdataclass.IN, rdtype, rdata)
        self._records[name, rrset.rdtype] = rrset


_INFRASTRUCTURE: Final = (
    dns.rdatatype.SOA,
    dns.rdatatype.NS,
    dns.rdatatype.DNSKEY,
    dns.rdatatype.DS,
)


def _make_zone(name: dns.name.Name, *, signed: bool) -> _Zone:
    key = ec.generate_private_key(ec.SECP256R1())
    dnskey = dns.dnssec.make_dnskey(key.public_key(), Algorithm.ECDSAP256SHA256, flags=Flag.ZONE | Flag.SEP)
    return _Zone(name, key, dnskey, signed)
