# SPDX-License-Identifier: MIT
"""A paired private gateway, a stick and a courier, by the commands that people type."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from helpers.commands import free_ports, read_environment_file, running

ANY = ("--listen", "127.0.0.1:0")


@pytest.mark.rule("6.9")
def test_a_stick_goes_from_a_device_to_a_courier(awala, home, tmp_path):
    lab, device, internet, courier, stick = (tmp_path / name for name in ("lab", "dev", "igw", "cou", "usb"))
    stick.mkdir()
    hosts = f"gateway.demo.test={','.join(map(str, free_ports(3)))}"
    assert awala("gateway", "init", "--data-dir", device)[0] == 0
    init = ("internet-gateway", "init", "--address", "gateway.demo.test", "--data-dir", internet)
    assert awala(*init)[0] == 0
    with ExitStack() as stack:

        def start(*arguments, place=None):
            settings = read_environment_file(lab / f"{place}.env") if place else {}
            stack.enter_context(running(*arguments, home=home, **settings))

        start("lab", "run", "--data-dir", lab, "--internet-gateway", hosts)
        start("internet-gateway", "run", "--data-dir", internet, place="gateway.demo.test")
        start("gateway", "run", "--data-dir", device, *ANY, place="devices")
        start("courier", "run", "--data-dir", courier, *ANY)
        assert awala("gateway", "pair", "gateway.demo.test", "--data-dir", device)[0] == 0

        code, exported, lines = awala("gateway", "export", stick, "--json", "--data-dir", device)
        assert (code, [path.name[:4] for path in stick.iterdir()]) == (0, ["cca-"])
        assert json.loads(exported) == {"stage": "done", "exported": 1, "already_there": 0}
        assert lines.splitlines() == ["exporting: 1 exported", "done: 1 exported"]

        code, imported, _ = awala("gateway", "import", stick, "--json", "--data-dir", device)
        assert (code, json.loads(imported)["imported"], json.loads(imported)["left"]) == (0, 0, 1)

        code, out, lines = awala("courier", "import", stick, "--data-dir", courier)
        assert (code, out, list(stick.iterdir())) == (0, "", [])
        assert lines.splitlines()[-1] == "done: 1 imported, 0 left, 0 skipped"
        _, status, _ = awala("courier", "status", "--json", "--data-dir", courier)

    assert json.loads(status)["requests"]["items"] == 1
