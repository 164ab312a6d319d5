# SPDX-License-Identifier: MIT

from __future__ import annotations

import json

import pytest

from awala.cli.asking import ask
from awala.cli.control import RequestFailedError
from awala.cli.targets import TargetError, read_target
from helpers.commands import read_environment_file, running
from helpers.vectors import vector


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return the settings of the devices of a lab that runs."""
    directory = tmp_path_factory.mktemp("lab")
    with running("lab", "run", "--data-dir", directory, home=directory):
        yield read_environment_file(directory / "devices.env")


@pytest.fixture(scope="module")
def gateway(lab, tmp_path_factory):
    """Return the data directory of a private gateway that runs and is not paired."""
    data, home = tmp_path_factory.mktemp("gateway"), tmp_path_factory.mktemp("home")
    from awala.cli.program import run_program  # noqa: PLC0415

    assert run_program(["gateway", "init", "--data-dir", str(data)]) == 0
    settings = {name: value for name, value in lab.items() if name.startswith("AWALA_")}
    with running("gateway", "run", "--data-dir", data, "--listen", "127.0.0.1:0", home=home, **settings):
        yield data


def complaint(answer):
    code, out, err = answer
    assert (code, out) == (1, "")
    assert err.startswith("awala: ")
    assert "defect" not in err
    return err.splitlines()[-1]


def test_an_unpaired_gateway_says_what_it_is(awala, gateway):
    code, out, _ = awala("gateway", "status", "--json", "--data-dir", gateway)

    status = json.loads(out)
    assert code == 0
    assert status["internet_gateway"] is None
    assert status["online"] is False
    assert status["certificate_until"] is None
    assert status["outgoing"] == {"items": 0, "octets": 0}
    assert len(status["node_id"]) == 65


def test_an_unknown_address_cannot_be_paired_with(awala, gateway):
    line = complaint(awala("gateway", "pair", "nowhere.demo.test", "--data-dir", gateway))

    assert line.startswith("awala: cannot pair with nowhere.demo.test: ")
    assert line.endswith("Nothing was changed. Check the address, and that there is a connection.")


def test_an_internet_gateway_that_does_not_run_cannot_be_paired_with(awala, gateway):
    line = complaint(awala("gateway", "pair", "gateway.demo.test", "--data-dir", gateway))

    assert line.startswith("awala: cannot pair with gateway.demo.test: ")


def test_what_is_no_address_cannot_be_paired_with(awala, gateway):
    line = complaint(awala("gateway", "pair", "no name", "--data-dir", gateway))

    assert line.startswith("awala: 'no name' is neither a file nor a domain name.")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"0\x00", bytes(65_537)])
def test_a_file_without_parameters_cannot_be_paired_with(awala, gateway, tmp_path, content):
    file = tmp_path / "params.der"
    file.write_bytes(content)

    line = complaint(awala("gateway", "pair", file, "--data-dir", gateway))

    assert str(file) in line
    assert line.endswith("Get the file again from whoever runs that node.")


def test_a_courier_is_of_no_use_before_pairing(awala, gateway, taken_port):
    line = complaint(awala("gateway", "sync", "--courier", f"127.0.0.1:{taken_port}", "--data-dir", gateway))

    assert "not paired" in line
    assert "awala gateway pair" in line


@pytest.mark.parametrize("action", ["export", "import"])
def test_a_medium_is_of_no_use_before_pairing(awala, gateway, tmp_path, action):
    line = complaint(awala("gateway", action, tmp_path, "--data-dir", gateway))

    assert "not paired" in line
    assert list(tmp_path.glob("*.awala")) == []


@pytest.mark.parametrize("arguments", [{}, {"directory": ""}])
def test_a_medium_without_a_directory_is_refused(gateway, arguments):
    with pytest.raises(RequestFailedError, match="directory on the medium is missing"):
        ask(gateway, "export", **arguments)


@pytest.mark.parametrize("courier", ["127.0.0.1:x", "127.0.0.1:99999", ""])
def test_a_courier_that_cannot_be_is_wrong_usage(awala, gateway, courier):
    code, out, err = awala("gateway", "sync", "--courier", courier, "--data-dir", gateway)

    assert (code, out) == (2, "")
    assert "Invalid value for --courier: " in err


def test_sync_tries_the_internet_gateway(awala, gateway):
    code, out, err = awala("gateway", "sync", "--json", "--data-dir", gateway)

    assert code == 0
    assert json.loads(out) == {"stage": "trying the Internet gateway"}
    assert err == "trying the Internet gateway\n"


def test_the_local_door_is_found_in_the_lab(awala, gateway, home):
    assert home != gateway
    code, out, _ = awala("gateway", "status", "--data-dir", gateway)

    assert code == 0
    assert "online: no\n" in out
    assert "outgoing: 0 (0 octets)\n" in out


def test_a_target_is_a_file_or_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.com").mkdir()
    (tmp_path / "params").write_bytes(vector("js", "ncp.der"))

    assert read_target("Example.COM.") == "example.com", "a folder is no file of parameters"
    assert read_target("params") == vector("js", "ncp.der")
    with pytest.raises(TargetError):
        read_target("no/such/file")
