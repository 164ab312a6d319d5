# SPDX-License-Identifier: MIT
"""Explains any Awala artefact as plain values, ready for JSON (what ``awala inspect`` shows)."""

from awala.messages.inspection.inspector import inspect
from awala.messages.inspection.kinds import Kind

__all__ = ["Kind", "inspect"]
