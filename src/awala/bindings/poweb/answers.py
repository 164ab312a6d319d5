# SPDX-License-Identifier: MIT
"""What the statuses of a PoWeb server mean to its client (rules §9)."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Final

from awala.bindings import statuses
from awala.bindings.errors import BindingError

_REFUSED: Final = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY})
_UNAUTHENTICATED: Final = frozenset({HTTPStatus.UNAUTHORIZED})


def error_for(status: int, retry_after: str | None, now: datetime) -> BindingError:
    """Return the error that a status stands for, whatever is no success."""
    return statuses.error_for(
        status, retry_after, now, peer="gateway", refused=_REFUSED, unauthenticated=_UNAUTHENTICATED
    )
