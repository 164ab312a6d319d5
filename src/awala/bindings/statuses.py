# SPDX-License-Identifier: MIT
"""What an HTTP status means to the client that meets it (rules §9). No I/O here."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from awala.bindings.errors import (
    BindingError,
    MalformedError,
    RefusedError,
    ServerError,
    UnauthenticatedError,
)

MALFORMED: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
)
"""Final in every protocol: the peer cannot read what we sent."""

MAX_RETRY_AFTER: Final = 24 * 3600.0
"""Seconds; a peer that asks for a longer pause gets this one."""

_MAX_DIGITS: Final = 9


def is_success(status: int) -> bool:
    """Say whether it is any of 2xx."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def error_for(
    status: int,
    retry_after: str | None,
    now: datetime,
    *,
    peer: str,
    refused: Collection[int],
    unauthenticated: Collection[int] = (),
) -> BindingError:
    """Return the error that a status stands for where it is no success.

    Args:
        status: the status of the answer.
        retry_after: the Retry-After header, if there is one.
        now: when the answer came.
        peer: what the peer is to us, for the message: ``gateway``.
        refused: the statuses by which the protocol refuses a message for good.
        unauthenticated: those by which it asks for other credentials.

    """
    if status in MALFORMED:
        return MalformedError(f"The {peer} cannot read what we sent (HTTP {status})", status=status)
    if status in refused:
        return RefusedError(f"The {peer} refused the message (HTTP {status})", status=status)
    if status in unauthenticated:
        return UnauthenticatedError(
            f"The {peer} does not accept our credentials (HTTP {status})", status=status
        )
    return ServerError(
        f"The {peer} answered HTTP {status}", status=status, retry_after=parse_retry_after(retry_after, now)
    )


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110 §10.2.3), from 0 to the maximum.

    Both forms are read, a number of seconds and a date; None stands for no header or an unreadable one.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text) if len(text) <= _MAX_DIGITS else MAX_RETRY_AFTER
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, LookupError, OverflowError):
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        seconds = (date - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)
