# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from awala.messages import NodeConnectionParams
from helpers.commands import environment, running

LISTEN_ANYWHERE = {f"AWALA_{section}_LISTEN": "127.0.0.1:0" for section in ("POWEB", "POHTTP", "COGRPC")}


@pytest.fixture
def data(awala, tmp_path):
    data = tmp_path / "gateway"
    assert awala("internet-gateway", "init", "--address", "Gateway.Demo.test.", "--data-dir", data)[0] == 0
    return data


@pytest.mark.parametrize("address", ["two words", "-x.test", "", "127.0.0.1:1"])
def test_what_is_no_domain_name_cannot_be_an_address(awala, tmp_path, address):
    code, out, err = awala("internet-gateway", "init", "--address", address, "--data-dir", tmp_path / "new")

    assert (code, out) == (1, "")
    assert err.startswith(f"awala: --address: {address!r} is not a domain name")
    assert not (tmp_path / "new").exists()


def test_a_gateway_keeps_its_address(awala, data):
    code, _, err = awala("internet-gateway", "init", "--address", "other.test", "--data-dir", data)

    assert code == 1
    assert "--address: this Internet gateway is gateway.demo.test already, and stays so" in err


def test_the_parameters_are_the_same_whether_it_runs_or_not(awala, data, home, tmp_path):
    file = tmp_path / "params.der"
    assert awala("internet-gateway", "params", file, "--data-dir", data) == (0, "", "")
    stopped = file.read_bytes()

    with running("internet-gateway", "run", "--data-dir", data, home=home, **LISTEN_ANYWHERE):
        assert awala("internet-gateway", "params", file, "--data-dir", data) == (0, "", "")
        _, status, _ = awala("internet-gateway", "status", "--json", "--data-dir", data)

    assert NodeConnectionParams.parse(stopped).internet_address == "gateway.demo.test"
    assert NodeConnectionParams.parse(stopped).identity_key.node_id == json.loads(status)["node_id"]
    assert file.read_bytes() == stopped
    assert json.loads(status)["address"] == "gateway.demo.test"


def test_the_parameters_can_go_to_standard_output(data, home):
    command = [sys.executable, "-m", "awala", "internet-gateway", "params", "-", "--data-dir", str(data)]

    result = subprocess.run(command, env=environment(home), capture_output=True, check=True)

    assert NodeConnectionParams.parse(result.stdout).internet_address == "gateway.demo.test"


def test_the_parameters_of_nobody_are_an_error(awala, tmp_path):
    code, out, err = awala("internet-gateway", "params", tmp_path / "p", "--data-dir", tmp_path / "none")

    assert (code, out) == (1, "")
    assert f"{tmp_path / 'none'} does not exist. Run the init command first." in err


def test_a_file_that_cannot_be_written_is_named(awala, data, tmp_path):
    code, _, err = awala("internet-gateway", "params", tmp_path / "none" / "p.der", "--data-dir", data)

    assert code == 1
    assert str(tmp_path / "none" / "p.der") in err
    assert err.count("\n") == 1
