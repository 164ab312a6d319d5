# SPDX-License-Identifier: MIT
"""One process for each set of packages, and one cast, for all tests of messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_asyncio
from interop_cast import Cast, make_cast

from helpers.node_peer import SETS, NodePeer

CORE_PEERS = [pytest.param(name, marks=pytest.mark.cell(peer=f"js-core-{name}")) for name in SETS]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=CORE_PEERS)
async def peer(request):
    async with NodePeer(request.param) as node_peer:
        yield node_peer


@pytest.fixture(scope="session")
def cast() -> Cast:
    return make_cast(datetime.now(UTC))
