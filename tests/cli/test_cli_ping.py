# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from awala.cli.program import run_program
from helpers.commands import environment, free_ports, read_environment_file, running
from helpers.vectors import vector


@dataclass
class Net:
    """A lab with an Internet gateway, Pong, and a paired gateway."""

    lab: Path
    params: Path
    settings: dict[str, str]
    """Of the devices, with the address of the gateway for ping."""


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    base = tmp_path_factory.mktemp("net")
    lab, gateway, internet, pong = (base / name for name in ("lab", "gateway", "internet", "pong"))
    *doors, door = map(str, free_ports(4))
    hosts = (
        "--internet-gateway",
        f"gateway.demo.test={','.join(doors)}",
        "--endpoint",
        f"pong.demo.test={door}",
    )
    assert run_program(["gateway", "init", "--data-dir", str(gateway)]) == 0
    init = ["internet-gateway", "init", "--address", "gateway.demo.test", "--data-dir", str(internet)]
    assert run_program(init) == 0
    with ExitStack() as stack:

        def start(*arguments, place=None):
            settings = read_environment_file(lab / f"{place}.env") if place else {}
            return stack.enter_context(running(*arguments, home=base, **settings))

        start("lab", "run", "--data-dir", lab, *hosts)
        start("internet-gateway", "run", "--data-dir", internet, place="gateway.demo.test")
        start("pong", "--address", "pong.demo.test", "--data-dir", pong, place="pong.demo.test")
        local = start("gateway", "run", "--data-dir", gateway, "--listen", "127.0.0.1:0", place="devices")
        assert run_program(["gateway", "pair", "gateway.demo.test", "--data-dir", str(gateway)]) == 0
        devices = read_environment_file(lab / "devices.env")
        url = {"AWALA_GATEWAY_URL": f"http://{local.ready['poweb']}"}
        yield Net(lab, pong / "connection-params.der", devices | url)


@pytest.fixture
def devices(net, monkeypatch):
    for name, value in net.settings.items():
        if name.startswith("AWALA_"):
            monkeypatch.setenv(name, value)
    return net


@pytest.mark.usefixtures("devices")
def test_pings_are_answered_and_summarised(awala, tmp_path):
    options = ("--count", "2", "--interval", "0", "--data-dir", tmp_path)

    code, out, err = awala("ping", "pong.demo.test", *options)

    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "PING pong.demo.test"
    assert [line.partition(" time=")[0] for line in lines[1:3]] == [
        "pong from pong.demo.test: seq=1",
        "pong from pong.demo.test: seq=2",
    ]
    assert lines[3:5] == [
        "--- pong.demo.test ping statistics ---",
        "2 pings sent, 2 pongs received, 0% without an answer so far",
    ]
    assert lines[5].startswith("round trip min/avg/max = ")


def test_json_has_a_line_for_each_ping_and_a_summary(awala, devices, tmp_path):
    code, out, err = awala("ping", devices.params, "--json", "--data-dir", tmp_path)

    first, summary = map(json.loads, out.splitlines())
    assert (code, err) == (0, "")
    assert first == {"sequence": 1, "milliseconds": first["milliseconds"]}
    assert first["milliseconds"] > 0
    assert summary == {"summary": {"sent": 1, "received": 1, "milliseconds": [first["milliseconds"]]}}


def test_an_endpoint_that_was_pinged_before_needs_no_resolver(awala, devices, tmp_path):
    assert awala("ping", "pong.demo.test", "--data-dir", tmp_path)[0] == 0
    awala("lab", "cut", "--data-dir", devices.lab)
    try:
        code, out, err = awala("ping", "Pong.Demo.test", "--timeout", "0.1", "--data-dir", tmp_path)
        new = awala("ping", "gateway.demo.test", "--timeout", "5", "--data-dir", tmp_path)
    finally:
        awala("lab", "mend", "--data-dir", devices.lab)

    assert code == 1
    assert "no answer yet: seq=1\n" in out
    assert "1 pings sent, 0 pongs received, 100% without an answer so far" in out
    assert err.startswith("awala: no answer from Pong.Demo.test. Check the gateway")
    assert new[0] == 1
    assert new[2].startswith("awala: cannot find 'gateway.demo.test': The resolver cannot be reached.")


@pytest.mark.usefixtures("devices")
def test_an_unknown_address_is_an_error(awala, tmp_path):
    code, out, err = awala("ping", "nowhere.demo.test", "--data-dir", tmp_path)

    assert (code, out) == (1, "")
    assert err.startswith("awala: cannot find 'nowhere.demo.test': ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_summary(devices, tmp_path, number):
    arguments = ["ping", devices.params, "--count", "1000", "--interval", "60", "--data-dir", tmp_path]
    process = subprocess.Popen(
        [sys.executable, "-m", "awala", *map(str, arguments)],
        env=environment(tmp_path, **devices.settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "PING pong.demo.test\n"
    assert process.stdout.readline().startswith("pong from pong.demo.test: seq=1 time=")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (0, "")
    assert "1 pings sent, 1 pongs received, 0% without an answer so far" in out


def test_a_gateway_that_is_not_there_is_an_error(awala, tmp_path, taken_port):
    file = tmp_path / "params.der"
    file.write_bytes(vector("js", "ncp.der"))

    url = f"http://127.0.0.1:{taken_port}"

    code, out, err = awala("ping", file, "--timeout", "0.3", "--gateway", url)

    assert (code, out) == (1, "")
    assert err.startswith(f"awala: the private gateway at {url} did not register this app.")
    assert err.count("\n") == 1


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1:1", "http://example.com"])
def test_what_is_no_url_of_a_local_gateway_is_named(awala, tmp_path, url):
    file = tmp_path / "params.der"
    file.write_bytes(vector("js", "ncp.der"))

    code, out, err = awala("ping", file, "--gateway", url, "--timeout", "1", "--data-dir", tmp_path / "ping")

    assert (code, out) == (1, "")
    assert err.startswith(f"awala: [gateway] url {url!r}: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "holds no connection parameters of a node: "),
        (b"nonsense", "holds no connection parameters of a node: "),
        (bytes(65_537), "is too large for connection parameters"),
    ],
)
def test_a_file_without_parameters_is_named(awala, tmp_path, content, complaint):
    file = tmp_path / "params.der"
    file.write_bytes(content)

    code, out, err = awala("ping", file)

    assert (code, out) == (1, "")
    assert err.startswith(f"awala: {file}: {complaint}")
    assert err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_cannot_be_read_is_named(awala, tmp_path):
    file = tmp_path / "params.der"
    file.touch(mode=0)

    assert f"{file}: cannot be read: Permission denied" in awala("ping", file)[2]


def test_what_is_neither_file_nor_name_is_named(awala):
    code, _, err = awala("ping", "two words")

    assert code == 1
    assert err.startswith("awala: 'two words' is neither a file nor a domain name.")
