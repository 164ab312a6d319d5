# SPDX-License-Identifier: MIT

from __future__ import annotations

import stat

import pytest

from awala.messages import NodeConnectionParams
from helpers.commands import running

LISTEN = ("--listen", "127.0.0.1:0")


@pytest.mark.parametrize("address", [(), ("--address", "two words")])
def test_pong_needs_a_domain_name(awala, tmp_path, address):
    code, out, err = awala("pong", *address, "--data-dir", tmp_path / "pong")

    assert (code, out) == (1, "")
    assert err.startswith("awala: [endpoint] address: a domain name is needed (option --address)")
    assert not (tmp_path / "pong").exists()


def test_pong_writes_its_parameters_and_keeps_its_address(awala, home, tmp_path):
    for _ in range(2):
        with running("pong", "--address", "Pong.Demo.test", *LISTEN, "--data-dir", tmp_path, home=home):
            file = tmp_path / "connection-params.der"
            params = NodeConnectionParams.parse(file.read_bytes())
    code, _, err = awala("pong", "--address", "other.demo.test", *LISTEN, "--data-dir", tmp_path)

    assert params.internet_address == "pong.demo.test"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert code == 1
    assert "[endpoint] address: this endpoint is pong.demo.test already, and stays so" in err
    assert NodeConnectionParams.parse(file.read_bytes()) == params


def test_the_address_can_come_from_a_file(home, tmp_path):
    file = tmp_path / "pong.toml"
    file.write_text('[endpoint]\naddress = "pong.demo.test"\n[pohttp]\nlisten = "127.0.0.1:0"\n')

    with running("pong", "--config", file, "--data-dir", tmp_path / "pong", home=home) as pong:
        assert pong.ready.keys() == {"pohttp"}
