# SPDX-License-Identifier: MIT
"""The extension that limits how many parcels a peer may send to an endpoint (RS-002, PDA rate limiting)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final

from awala.asn1 import Asn1Error, Element, der, parse, values
from awala.pki.errors import CertificateError

RATE_LIMIT: Final = "1.3.6.1.4.1.58708.0.0.0"
"""The extension's object identifier (RS-002)."""

MAX_RATE_LIMIT: Final = 2**31 - 1
"""The largest number of parcels, and of seconds, that is read or written; RS-002 sets no limit."""

_CONTEXT: Final = 0x80
_SECOND: Final = timedelta(seconds=1)
_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``limit`` parcels in any ``period``, which is a whole number of seconds.

    A limit of zero lets nothing through. Internet gateways count by the time at which parcels come in,
    private gateways by the dates of the parcels.
    """

    limit: int
    period: timedelta

    def encode(self) -> bytes:
        """Return the value of the extension in DER; raise `CertificateError` if there is none for it."""
        seconds, rest = divmod(self.period, _SECOND)
        if rest:
            raise CertificateError("the period of a rate limit is no whole number of seconds")
        _check(self.limit, seconds)
        return der.sequence(der.integer(self.limit), der.integer(seconds))

    @classmethod
    def decode(cls, value: bytes) -> RateLimit:
        """Read the value of the extension; raise `CertificateError` if it is malformed.

        The two numbers may have the tags of INTEGER or context tags from 0, since RS-002 does not
        say which; fields behind them are ignored.
        """
        return _decode(value)


@lru_cache(maxsize=_KEPT)
def _decode(value: bytes) -> RateLimit:
    try:
        fields = parse(value).expect(der.SEQUENCE, "a rate limit").children()
        limit, seconds = (_number(field, tag) for tag, field in enumerate(fields[:2]))
    except (Asn1Error, ValueError):
        raise CertificateError("the rate limit in a certificate is malformed") from None
    _check(limit, seconds)
    return RateLimit(limit, seconds * _SECOND)


def _number(field: Element, tag: int) -> int:
    if field.identifier == der.INTEGER:
        return values.integer(field)
    return values.integer_from(field.expect(_CONTEXT | tag, "a number").content)


def _check(limit: int, seconds: int) -> None:
    if not (0 <= limit <= MAX_RATE_LIMIT and 0 < seconds <= MAX_RATE_LIMIT):
        raise CertificateError("a rate limit has a negative or far too large number, or no period")
