# SPDX-License-Identifier: MIT
"""Trust anchors for local DNSSEC validation: DS or DNSKEY records in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import dns.dnssec
import dns.exception
import dns.name
import dns.rdatatype
import dns.rrset
import dns.zonefile

from awala.base.errors import ConfigurationError

IANA_ROOT: Final = """
. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
. IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
"""
"""The key-signing keys of the root of the public DNS (IANA's root-anchors, KSK-2017 and KSK-2024)."""

MAX_ANCHOR_FILE: Final = 64 * 1024
"""Octets of an anchor file."""

_ACCEPTED: Final = (dns.rdatatype.DS, dns.rdatatype.DNSKEY)


class TrustAnchors:
    """The keys from which every proof has to come, by zone."""

    def __init__(self, zones: Mapping[dns.name.Name, list[dns.rrset.RRset]]) -> None:
        self._zones = dict(zones)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read DS and DNSKEY records in the presentation form of zone files.

        Raises:
            ConfigurationError: something else stands there, or nothing.

        """
        try:
            rrsets = dns.zonefile.read_rrsets(text, rdclass=None, default_ttl=0)
        except (dns.exception.DNSException, ValueError) as error:
            raise ConfigurationError(f"[resolver] anchors: not DS or DNSKEY records ({error})") from error
        zones: dict[dns.name.Name, list[dns.rrset.RRset]] = {}
        for rrset in rrsets:
            if rrset.rdtype not in _ACCEPTED:
                raise ConfigurationError("[resolver] anchors: only DS and DNSKEY records are anchors")
            zones.setdefault(rrset.name, []).append(rrset)
        if not zones:
            raise ConfigurationError("[resolver] anchors: there is no record")
        return cls(zones)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file as ``parse`` reads text.

        Raises:
            ConfigurationError: it cannot be read, or is no anchor file.

        """
        try:
            with path.open("rb") as file:
                text = file.read(MAX_ANCHOR_FILE).decode("ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"[resolver] anchors: cannot read {path}") from error
        try:
            return cls.parse(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}: {path}") from error

    @classmethod
    def of_the_public_root(cls) -> Self:
        """Return the anchors of the public DNS."""
        return cls.parse(IANA_ROOT)

    def __contains__(self, zone: dns.name.Name) -> bool:
        return zone in self._zones

    def at(self, zone: dns.name.Name) -> list[dns.rrset.RRset]:
        """Return the DS and DNSKEY record sets that anchor ``zone``."""
        return self._zones.get(zone, [])
