# SPDX-License-Identifier: MIT
"""Processes of the peers, who they trust, and one cast for all tests of messages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import pytest_asyncio
from interop_cast import Cast, make_cast

from awala.testing import Authority
from helpers.kotlin_peer import KotlinPeer
from helpers.node_peer import SETS, NodePeer

CORE_PEERS = [pytest.param(name, marks=pytest.mark.cell(peer=f"js-core-{name}")) for name in SETS]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=CORE_PEERS)
async def peer(request):
    async with NodePeer(request.param) as node_peer:
        yield node_peer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kotlin():
    async with KotlinPeer() as kotlin_peer:
        yield kotlin_peer


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.create()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def production_peer(tmp_path_factory, authority):
    """The libraries as deployed; they trust servers whose certificates are of the authority."""
    trusted = authority.write_ca(tmp_path_factory.mktemp("authority") / "ca.pem")
    async with NodePeer(environment={"NODE_EXTRA_CA_CERTS": str(trusted)}) as node_peer:
        yield node_peer


@pytest.fixture(scope="session")
def cast() -> Cast:
    return make_cast(datetime.now(UTC))
