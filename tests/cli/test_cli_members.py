# SPDX-License-Identifier: MIT
"""The commands that list, refuse and admit the nodes which registered with a gateway (rules §11)."""

from __future__ import annotations

import json

import pytest

from awala.cli.program import run_program
from helpers.commands import running
from helpers.nodes import ENDPOINT

GATEWAYS = {
    "gateway": ("endpoints", [], ["--listen", "127.0.0.1:0"]),
    "internet-gateway": ("private-gateways", ["--address", "gateway.demo.test"], []),
}


@pytest.fixture(params=GATEWAYS, scope="module")
def gateway(request, tmp_path_factory):
    """Return a gateway that runs: its command, the one that lists, and its data directory."""
    listing, init, run = GATEWAYS[request.param]
    data, home = tmp_path_factory.mktemp("gateway"), tmp_path_factory.mktemp("home")
    assert run_program([request.param, "init", *init, "--data-dir", str(data)]) == 0
    any_ports = (
        {f"AWALA_{door}_LISTEN": "127.0.0.1:0" for door in ("POWEB", "POHTTP", "COGRPC")} if init else {}
    )
    with running(request.param, "run", "--data-dir", data, *run, home=home, **any_ports):
        yield request.param, listing, data


@pytest.mark.rule("11.3")
def test_a_node_is_refused_and_admitted_again(awala, gateway):
    command, listing, data = gateway
    assert awala(command, listing, "--data-dir", data)[:2] == (0, "")

    assert awala(command, "refuse", ENDPOINT.node_id, "--data-dir", data)[0] == 0
    assert awala(command, listing, "--data-dir", data)[1] == f"{ENDPOINT.node_id} refused\n"
    [member] = json.loads(awala(command, listing, "--json", "--data-dir", data)[1])
    assert member == {"id": ENDPOINT.node_id, "registered_at": None, "valid_until": None, "refused": True}

    assert awala(command, "admit", ENDPOINT.node_id, "--data-dir", data)[0] == 0
    assert awala(command, listing, "--data-dir", data)[1] == ""


def test_what_is_no_id_is_told(awala, gateway):
    command, _, data = gateway
    code, _, err = awala(command, "refuse", "me", "--data-dir", data)

    assert code == 1
    assert "is not the id of a node" in err
