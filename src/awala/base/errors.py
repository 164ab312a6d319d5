# SPDX-License-Identifier: MIT
"""The root of every error that a public function of this package raises."""

from __future__ import annotations

from typing import ClassVar


class AwalaError(Exception):
    """Base of all errors of this package.

    Each class says whether trying the same thing again can help, and what the
    person or program that meets the error should do about it.
    """

    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without a change by the caller."""

    advice: ClassVar[str] = ""
    """One sentence that says what to do; empty when the message says it all."""


class ConfigurationError(AwalaError):
    """A setting, file or command line that cannot be used as it is."""

    advice = "Correct the setting that the message names, then start again."


class StorageFullError(AwalaError):
    """The store has no room for what should be kept, and took nothing of it."""

    retryable = True
    advice = "Free space or raise the quota; nothing that was acknowledged is lost."
