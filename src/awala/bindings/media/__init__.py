# SPDX-License-Identifier: MIT
"""Removable media: cargo and collection authorisations as files in a directory (rules §6)."""

from __future__ import annotations

from awala.bindings.media.errors import DamagedFileError, MediumError, MediumFullError
from awala.bindings.media.medium import MAX_ENTRIES, Medium, file_name

__all__ = ["MAX_ENTRIES", "DamagedFileError", "Medium", "MediumError", "MediumFullError", "file_name"]
