# SPDX-License-Identifier: MIT
"""The clocks that peers are tried with."""

from __future__ import annotations

from datetime import timedelta

import pytest

HOUR = timedelta(hours=1)
CLOCKS = (pytest.param(HOUR, id="fast"), pytest.param(-HOUR, id="slow", marks=pytest.mark.thorough))
"""By how much a peer's clock is ahead of ours."""
