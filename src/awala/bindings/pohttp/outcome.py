# SPDX-License-Identifier: MIT
"""What an HTTP answer means for the parcel that was delivered (rules §9). No I/O here."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from awala.bindings.errors import BindingError, MalformedError, RefusedError, ServerError

MALFORMED: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    }
)
"""Final: the peer cannot read what we sent."""

REFUSED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Final: the peer read the parcel and does not take it."""

REDIRECTS: Final = frozenset({HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT})
"""The only redirects that keep the method and the body."""

MAX_RETRY_AFTER: Final = 24 * 3600.0
"""Seconds; a peer that asks for a longer pause gets this one."""

_MAX_DIGITS: Final = 9


def problem_of(status: int, retry_after: str | None, now: datetime) -> BindingError | None:
    """Return what ``status`` means: None for success, else the error to raise.

    Args:
        status: the status of the last answer, after redirects.
        retry_after: the Retry-After header, if there is one.
        now: when the answer came.

    """
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status in MALFORMED:
        return MalformedError(f"The peer cannot read the parcel (HTTP {status})", status=status)
    if status in REFUSED:
        return RefusedError(f"The peer refused the parcel (HTTP {status})", status=status)
    pause = parse_retry_after(retry_after, now)
    return ServerError(
        f"The peer cannot take the parcel now (HTTP {status})", status=status, retry_after=pause
    )


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110 §10.2.3), from 0 to the maximum.

    Both forms are read, a number of seconds and a date; None stands for no header or an unreadable one.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:_MAX_DIGITS]) if len(text) <= _MAX_DIGITS else MAX_RETRY_AFTER
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
