# SPDX-License-Identifier: MIT
"""What an HTTP answer means for the parcel that was delivered (rules §9). No I/O here."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Final

from awala.bindings.errors import BindingError
from awala.bindings.statuses import error_for, is_success

REFUSED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})
"""Final: the peer read the parcel and does not take it."""

REDIRECTS: Final = frozenset({HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT})
"""The only redirects that keep the method and the body."""


def problem_of(status: int, retry_after: str | None, now: datetime) -> BindingError | None:
    """Return what ``status`` means: None for success, else the error to raise.

    Args:
        status: the status of the last answer, after redirects.
        retry_after: the Retry-After header, if there is one.
        now: when the answer came.

    """
    return None if is_success(status) else error_for(status, retry_after, now, peer="peer", refused=REFUSED)
