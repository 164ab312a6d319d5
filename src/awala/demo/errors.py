# SPDX-License-Identifier: MIT
"""What can go wrong in the demonstration."""

from __future__ import annotations

from awala.base.errors import AwalaError


class DemoError(AwalaError):
    """A part of the demonstration failed, or did not do in time what was waited for.

    Attributes:
        details: the last log lines of the node concerned; empty if there is none.
    """

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class CheckFailedError(DemoError):
    """Something that must hold does not."""


def first_error(errors: BaseExceptionGroup[AwalaError]) -> AwalaError:
    """Return the first error in a group, however deep."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, AwalaError) else DemoError(str(error))
