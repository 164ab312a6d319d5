# SPDX-License-Identifier: MIT
"""Peers as parameters of tests that hold for several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from helpers.json_peer import JsonPeer


def peer_param(name: str, start: Callable[..., JsonPeer], *tools: str) -> Any:
    """Return a peer as a parameter: its name in the table, what starts it, and the tools that it takes."""
    return pytest.param(start, id=name, marks=(pytest.mark.cell(peer=name), pytest.mark.requires(*tools)))
