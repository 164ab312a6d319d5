# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from awala.bindings.media import file_name
from awala.messages import Cargo, Recipient
from awala.nodes.lanes import TO_INTERNET_GATEWAY
from awala.pki import Role, issue_now
from awala.spool import Arrival, Carrier, Hop, Identity, Kind, Priority, SqliteSpool
from helpers.commands import read_environment_file, running
from helpers.nodes import IGW, PGW

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


@pytest.mark.parametrize("action", ["export", "import"])
def test_what_is_no_directory_is_told_in_one_line(awala, home, tmp_path, action):
    (tmp_path / "file").touch()
    with running("courier", "run", "--data-dir", tmp_path / "courier", *LISTEN, home=home):
        code, out, err = awala("courier", action, tmp_path / "file", "--data-dir", tmp_path / "courier")

    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"awala: cannot read {tmp_path}/file: Not a directory. Name a ")


@pytest.mark.rule("6.9")
def test_cargo_is_copied_to_a_medium_and_taken_from_it(awala, home, tmp_path, monkeypatch):
    data, stick = tmp_path / "courier", tmp_path / "stick"
    stick.mkdir()
    monkeypatch.chdir(tmp_path)
    (stick / f"cargo-{0:032x}.awala").write_bytes(b"rubbish")
    now = datetime.now(UTC).replace(microsecond=0)
    certificate = issue_now(
        subject_key=IGW.public_key,
        issuer_key=IGW,
        issuer=None,
        role=Role.SELF_ISSUED_GATEWAY,
        now=now,
        until=now + timedelta(days=1),
    )
    cargo = Cargo(
        recipient=Recipient(PGW.node_id),
        message_id="m1",
        creation_date=now,
        ttl=60,
        payload=b"sealed",
        sender_certificate=certificate,
    ).serialize(IGW)
    name = file_name(cargo)
    (stick / name).write_bytes(cargo)

    with running("courier", "run", "--data-dir", data, *LISTEN, home=home):
        code, out, err = awala("courier", "import", "stick", "--json", "--data-dir", data)
        assert (code, [path.name for path in stick.iterdir()]) == (0, [f"cargo-{0:032x}.awala"])
        taken = json.loads(out)
        assert (taken["imported"], taken["left"], taken["skipped"]) == (1, 0, 1)
        assert "done: 1 imported, 0 left, 1 skipped" in err.splitlines()
        assert err.splitlines()[-1].startswith(f"cargo-{0:032x}.awala: ")

        for exported, there in ((1, 0), (0, 1)):
            code, out, _ = awala("courier", "export", stick, "--json", "--data-dir", data)
            assert (code, json.loads(out)["exported"], json.loads(out)["already_there"]) == (
                0,
                exported,
                there,
            )
            assert (stick / name).read_bytes() == cargo
        _, status, _ = awala("courier", "status", "--json", "--data-dir", data)

    assert json.loads(status)["to_private_gateways"]["items"] == 1


@pytest.mark.parametrize("number", [0, 1])
def test_the_place_to_listen_can_be_chosen_at_init(awala, tmp_path, number):
    assert awala("courier", "init", "--data-dir", tmp_path, "--listen", f"127.0.0.1:{number}")[0] == 0

    assert f'listen = "127.0.0.1:{number}"\n' in (tmp_path / "config.toml").read_text()
