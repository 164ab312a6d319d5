# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from awala.nodes.lanes import TO_INTERNET_GATEWAY
from awala.spool import Arrival, Carrier, Hop, Identity, Kind, Priority, SqliteSpool
from helpers.commands import read_environment_file, running

LISTEN = ("--listen", "127.0.0.1:0")


async def put_cargo_on_board(data):
    """Put something for gateway.demo.test into the courier's spool, as a visit would have."""
    now = datetime.now(UTC)
    spool = await SqliteSpool.open(data / "spool")
    cargo = Arrival(
        Identity(Kind.CARGO, "0s", "0r", "m1"),
        Hop(TO_INTERNET_GATEWAY, "gateway.demo.test"),
        now,
        now + timedelta(days=1),
        b"cargo",
        Carrier.CARGO,
        Priority.BULK,
        None,
    )
    await spool.accept([cargo], now=now)
    await spool.close()


def test_an_empty_courier_makes_an_empty_trip(awala, home, tmp_path):
    with running("courier", "run", "--data-dir", tmp_path, *LISTEN, home=home):
        code, out, err = awala("courier", "sync", "--json", "--data-dir", tmp_path)

    assert code == 0
    assert json.loads(out) == {"stage": "done", "delivered": 0, "collected": 0, "failures": []}
    assert err.splitlines()[-1] == "done: 0 collected, 0 delivered"


def test_a_trip_that_fails_says_where_and_keeps_the_cargo(awala, home, tmp_path):
    data, lab = tmp_path / "courier", tmp_path / "lab"
    assert awala("courier", "init", "--data-dir", data)[0] == 0
    asyncio.run(put_cargo_on_board(data))

    with running("lab", "run", "--data-dir", lab, home=home):
        settings = read_environment_file(lab / "courier.env")
        with running("courier", "run", "--data-dir", data, *LISTEN, home=home, **settings):
            code, _, err = awala("courier", "sync", "--data-dir", data)
            _, status, _ = awala("courier", "status", "--json", "--data-dir", data)

    assert code == 1
    assert err.splitlines()[-1].startswith("awala: gateway.demo.test: ")
    assert err.endswith("What is on board stays; try again when there is a connection.\n")
    assert json.loads(status)["to_internet_gateways"] == {"items": 1, "octets": 5}


@pytest.mark.parametrize("number", [0, 1])
def test_the_place_to_listen_can_be_chosen_at_init(awala, tmp_path, number):
    assert awala("courier", "init", "--data-dir", tmp_path, "--listen", f"127.0.0.1:{number}")[0] == 0

    assert f'listen = "127.0.0.1:{number}"\n' in (tmp_path / "config.toml").read_text()
