# SPDX-License-Identifier: MIT
"""Processes of the peers, who they trust, and one cast for all tests of messages."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import pytest
import pytest_asyncio
from interop_cast import Cast, make_cast
from interop_peers import peer_param

from awala.testing import Authority
from helpers.kotlin_peer import KotlinPeer
from helpers.node_peer import SETS, NodePeer

JAVASCRIPT = [peer_param(f"js-core-{name}", partial(NodePeer, name), "node") for name in SETS]
KOTLIN = [peer_param("kotlin-awala", KotlinPeer, "java")]


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[*JAVASCRIPT, *KOTLIN])
async def peer(request):
    """Each core library."""
    async with request.param() as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=JAVASCRIPT)
async def javascript(request):
    """Each set of packages with the JavaScript core library, for what concerns that alone."""
    async with request.param() as started:
        yield started


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=KOTLIN)
async def kotlin(request):
    """The Kotlin core library, for what concerns that alone."""
    async with request.param() as started:
        yield started


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
