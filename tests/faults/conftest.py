# SPDX-License-Identifier: MIT

from __future__ import annotations

import logging

import pytest

from awala.services.ping import Pinger
from helpers.nodes_network import village
from helpers.siege import Siege


@pytest.fixture
async def siege(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with village(tmp_path) as net:
        side, pong, courier = await net.side("a"), await net.pong(), await net.courier()
        app = await net.app(side)
        peer = await app.add_internet_peer(pong.node.connection_params())
        siege = Siege(net, side, pong, courier, Pinger(app), peer)
        siege.app = app
        await siege.still_works()
        yield siege
        await siege.still_works()
    traced = [each for each in caplog.records if each.exc_info]
    assert not traced, [f"{each.name}: {each.getMessage()}: {each.exc_info[1]!r}" for each in traced]
