# SPDX-License-Identifier: MIT
"""All fuzz targets by name; `run` feeds them with atheris, and the tests with their seeds."""

from __future__ import annotations

from fuzz import core, messages

TARGETS = {target.name: target for target in (*core.TARGETS, *messages.TARGETS)}
