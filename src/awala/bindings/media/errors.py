# SPDX-License-Identifier: MIT
"""What can go wrong with a removable medium, or with one file on it."""

from __future__ import annotations

from awala.bindings.errors import BindingError


class MediumError(BindingError):
    """A directory that cannot be listed, or that no file can be written to or removed from."""

    advice = "Name a directory on the medium, and check that it is attached and can be written to."


class MediumFullError(MediumError):
    """There is no room for another file; those written before are whole."""

    retryable = True
    advice = "Make room on it or use another one, then export again; everything has stayed here too."


class DamagedFileError(BindingError):
    """A file that does not hold what was written to it, or that cannot be read; the others can."""

    advice = "Export again to replace it."
