# SPDX-License-Identifier: MIT
"""What the statuses of a PoWeb server mean to its client (rules §9)."""

from __future__ import annotations

from collections.abc import Mapping
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

MAX_RETRY_AFTER: Final = 7 * 24 * 3600.0
"""Seconds; a peer that asks for more is taken to ask for this."""

_MALFORMED = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
)


def error_for(status: int, headers: Mapping[str, str], *, now: datetime) -> BindingError:
    """Return the error that a status stands for, whatever is no success."""
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return RefusedError("The gateway refused it (422)", status=status)
    if status in _MALFORMED:
        return MalformedError(f"The gateway finds it malformed ({status})", status=status)
    if status == HTTPStatus.UNAUTHORIZED:
        return UnauthenticatedError("The gateway does not accept our signature (401)", status=status)
    return ServerError(
        f"The gateway answered {status}",
        status=status,
        retry_after=parse_retry_after(headers.get("retry-after"), now=now),
    )


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for; None if it can't be understood."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(0.0, (date - now).total_seconds()), MAX_RETRY_AFTER)
