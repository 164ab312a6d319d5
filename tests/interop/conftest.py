# SPDX-License-Identifier: MIT
"""One process for each set of packages, one for Kotlin, and one cast, for all tests of messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_asyncio
from interop_cast import Cast, make_cast

from helpers.kotlin_peer import KotlinPeer
from helpers.node_peer import SETS, NodePeer


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=SETS)
async def peer(request):
    async with NodePeer(request.param) as node_peer:
        yield node_peer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kotlin():
    async with KotlinPeer() as kotlin_peer:
        yield kotlin_peer


@pytest.fixture(scope="session")
def cast() -> Cast:
    return make_cast(datetime.now(UTC))
