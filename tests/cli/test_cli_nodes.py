# SPDX-License-Identifier: MIT
"""What holds for the commands of all nodes alike."""

from __future__ import annotations

import importlib
import json
import signal
import stat
import tomllib

import click
import pytest

from awala.cli.configuration import load
from awala.cli.courier_node import CourierSettings
from awala.cli.gateway_node import GatewaySettings
from awala.cli.internet_gateway_node import InternetGatewaySettings
from awala.cli.program import program
from helpers.commands import running

INIT = {
    "gateway": (),
    "internet-gateway": ("--address", "gateway.demo.test"),
    "courier": (),
}
SETTINGS = {
    "gateway": GatewaySettings,
    "internet-gateway": InternetGatewaySettings,
    "courier": CourierSettings,
}
PONG = ("pong", "--address", "pong.demo.test")
RUN = {"gateway": ("gateway", "run"), "courier": ("courier", "run"), "pong": PONG}
LISTEN_ANYWHERE = {f"AWALA_{section}_LISTEN": "127.0.0.1:0" for section in ("POWEB", "POHTTP", "COGRPC")}


def commands(command, context, *path):
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            yield from commands(inner, click.Context(inner, parent=context, info_name=name), *path, name)


def failed(answer, text):
    code, out, err = answer
    assert (code, out) == (1, "")
    assert err.startswith("awala: "), err
    assert err.count("\n") == 1, f"one line was due: {err}"
    assert text in err
    return True


def test_every_command_has_a_help_with_an_example():
    found = list(commands(program, click.Context(program, info_name="awala")))

    lacking = [path for path, command, context in found if "Example: awala " not in command.get_help(context)]

    assert lacking == []
    assert ("lab", "run") in [path for path, _, _ in found]


def test_every_module_of_a_command_is_there():
    names = program.list_commands(click.Context(program))

    assert {"gateway", "internet-gateway", "courier", "ping", "pong", "lab"} <= set(names)
    assert all(importlib.util.find_spec(f"awala.cli.{name.replace('-', '_')}") for name in names)


@pytest.mark.parametrize("node", INIT)
def test_init_writes_a_commented_configuration_that_only_its_owner_reads(awala, tmp_path, node):
    code, out, err = awala(node, "init", *INIT[node], "--data-dir", tmp_path / "node")

    file = tmp_path / "node" / "config.toml"
    assert (code, err) == (0, "")
    assert f"configuration: {file}" in out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert all(table == {} for table in tomllib.loads(file.read_text()).values())
    assert load(SETTINGS[node], file=file, environ={}) == SETTINGS[node]()
    assert all(f"# {name} = " in file.read_text() for name in ("listen", "url", "ca_file", "quota"))


@pytest.mark.parametrize("node", INIT)
def test_init_changes_nothing_that_exists(awala, tmp_path, node):
    data = tmp_path / "node"
    first = awala(node, "init", *INIT[node], "--data-dir", data)
    (data / "config.toml").write_text("# mine\n")

    second = awala(node, "init", *INIT[node], "--data-dir", data)

    assert (first[0], second[0]) == (0, 0)
    assert (data / "config.toml").read_text() == "# mine\n"
    assert second[2] == f"{data / 'config.toml'} exists already and was left as it is\n"
    assert first[1].splitlines()[1:] == second[1].splitlines(), "the keys are others"


@pytest.mark.parametrize("node", ["gateway", "courier"])
def test_init_writes_nothing_when_an_option_does_not_fit(awala, tmp_path, node):
    data = tmp_path / "node"

    assert failed(
        awala(node, "init", "--listen", "8080", "--data-dir", data), "option --listen: must be HOST"
    )

    assert not (data / "config.toml").exists()
    assert awala(node, "init", "--listen", "127.0.0.1:80", "--data-dir", data)[0] == 0
    assert 'listen = "127.0.0.1:80"\n' in (data / "config.toml").read_text()


def test_init_uses_the_directories_of_the_user(awala, home):
    assert awala("courier", "init")[0] == 0

    assert (home / ".config/awala/courier.toml").exists()
    assert (home / ".local/share/awala/courier").is_dir()


@pytest.mark.parametrize("node", ["gateway", "internet-gateway"])
def test_a_node_that_was_not_initialised_does_not_run(awala, tmp_path, node):
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()

    assert failed(
        awala(node, "run", "--data-dir", missing), f"{missing} does not exist. Run the init command"
    )
    assert not missing.exists()
    assert failed(awala(node, "run", "--data-dir", empty), "Run the init command first.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("gateway", "status"),
        ("gateway", "pair", "gateway.demo.test"),
        ("gateway", "sync"),
        ("gateway", "export", "."),
        ("gateway", "import", "."),
        ("internet-gateway", "status"),
        ("courier", "status"),
        ("courier", "sync"),
        ("courier", "export", "."),
        ("courier", "import", "."),
        ("lab", "status"),
        ("lab", "cut"),
    ],
)
def test_a_command_that_needs_the_running_node_says_so(awala, tmp_path, arguments):
    answer = awala(*arguments, "--data-dir", tmp_path)

    assert failed(answer, f"no node runs on {tmp_path}. Start it with 'run', then try again.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("gateway", "init", "extra"),
        ("gateway", "pair"),
        ("gateway", "nothing"),
        ("internet-gateway", "init"),
        ("internet-gateway", "params"),
        ("courier", "run", "--nothing"),
        ("ping",),
        ("ping", "--count", "0", "pong.demo.test"),
        ("ping", "--timeout", "0", "pong.demo.test"),
        ("pong", "extra"),
        ("lab", "run", "--endpoint", "pong.demo.test"),
    ],
)
def test_wrong_usage_of_a_command_exits_with_2(awala, arguments):
    code, out, err = awala(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith(f"Usage: awala {arguments[0]}")


@pytest.fixture
def initialised(awala, tmp_path):
    def initialise(node):
        data = tmp_path / "node"
        if node in INIT:
            assert awala(node, "init", *INIT[node], "--data-dir", data)[0] == 0
        return data

    return initialise


@pytest.mark.parametrize("node", RUN)
def test_a_port_that_is_taken_is_named(awala, initialised, taken_port, node):
    data = initialised(node)

    answer = awala(*RUN[node], "--data-dir", data, "--listen", f"127.0.0.1:{taken_port}")

    assert failed(answer, str(taken_port))


@pytest.mark.parametrize("door", ["POWEB", "POHTTP", "COGRPC"])
def test_the_internet_gateway_names_the_port_that_is_taken(awala, initialised, taken_port, door, monkeypatch):
    data = initialised("internet-gateway")
    for name, value in (LISTEN_ANYWHERE | {f"AWALA_{door}_LISTEN": f"127.0.0.1:{taken_port}"}).items():
        monkeypatch.setenv(name, value)

    assert failed(awala("internet-gateway", "run", "--data-dir", data), str(taken_port))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[poweb]\nlisten = "8080"', "[poweb] listen: must be HOST:PORT"),
        ("[poweb]\nlisten = 8080", "[poweb] listen: input should be a valid string"),
        ('[poweb]\nlistn = "127.0.0.1:1"', "[poweb] has no setting 'listn'; did you mean listen?"),
        ("[powep]", "there is no section [powep]; did you mean poweb?"),
        ("[poweb", "is no valid TOML"),
        ('[resolver]\nvalidation = "no"', "[resolver] validation: input should be 'ad' or 'local'"),
        ('[storage]\nquota = "much"', "[storage] quota: must be a number of octets"),
    ],
)
def test_a_wrong_setting_in_the_file_is_named(awala, initialised, text, complaint):
    data = initialised("gateway")
    (data / "config.toml").write_text(text)

    assert failed(awala("gateway", "run", "--data-dir", data), f"{data / 'config.toml'}: {complaint}")


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("AWALA_POWEB_LISTEN", "8080", "environment variable AWALA_POWEB_LISTEN: must be HOST:PORT"),
        ("AWALA_POWEB_LISTN", "x", "AWALA_POWEB_LISTN is no setting; did you mean AWALA_POWEB_LISTEN?"),
        ("AWALA_POWEB_TLS_CERT", "/none", "[poweb] tls_cert and tls_key go together"),
        ("AWALA_TLS_CA_FILE", "/none", "[tls] ca_file /none cannot be read"),
        ("AWALA_RESOLVER_URL", "http://127.0.0.1/", "[resolver] url must be an https URL"),
        ("AWALA_RESOLVER_ANCHORS", "/none", "[resolver] anchors: cannot read /none"),
        ("AWALA_RESOLVER_ALLOW_NETWORKS", "127.0.0.0/8,x", "AWALA_RESOLVER_ALLOW_NETWORKS: 'x' does not"),
        ("AWALA_STORAGE_URL", "postgresql://x/y", "[storage] url: must be sqlite:///"),
        ("AWALA_STORAGE_OBJECTS", "s3://x", "[storage] objects: "),
    ],
)
def test_a_wrong_setting_in_the_environment_is_named(
    awala, initialised, monkeypatch, variable, value, complaint
):
    data = initialised("gateway")
    monkeypatch.setenv(variable, value)

    assert failed(awala("gateway", "run", "--data-dir", data), complaint)


@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.parametrize("node", RUN)
def test_a_certificate_that_cannot_be_used_is_named(awala, initialised, tmp_path, monkeypatch, node, content):
    data = initialised(node)
    section = {"gateway": "poweb", "courier": "cogrpc", "pong": "pohttp"}[node]
    file = tmp_path / "some.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(f"AWALA_{section}_TLS_CERT".upper(), str(file))
    monkeypatch.setenv(f"AWALA_{section}_TLS_KEY".upper(), str(file))

    assert failed(awala(*RUN[node], "--data-dir", data), f"[{section}] ")


def test_a_configuration_file_that_was_named_must_exist(awala, initialised, tmp_path):
    data, file = initialised("gateway"), tmp_path / "none.toml"

    answer = awala("gateway", "run", "--data-dir", data, "--config", file)

    assert failed(answer, f"{file} does not exist")


DOORS = {
    "gateway": {"poweb"},
    "internet-gateway": {"poweb", "pohttp", "cogrpc"},
    "courier": {"cogrpc"},
    "pong": {"pohttp"},
}


@pytest.mark.parametrize("node", DOORS)
def test_a_node_tells_its_doors_keeps_others_out_and_stops_at_a_signal(awala, initialised, home, node):
    data = initialised(node)
    run = ("internet-gateway", "run") if node == "internet-gateway" else RUN[node]

    with running(*run, "--data-dir", data, home=home, **LISTEN_ANYWHERE) as process:
        assert process.ready.keys() == DOORS[node]
        assert all(address.startswith("127.0.0.1:") for address in process.ready.values())
        assert failed(awala(*run, "--data-dir", data), f"in use by process {process.process.pid}")
        if node != "pong":
            assert_same_facts(awala, node, data)
        code, out, err = process.stop(signal.SIGTERM)

    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert not (data / "control.sock").exists()


FACTS = {
    "gateway": {
        "node_id",
        "internet_gateway",
        "former_internet_gateways",
        "online",
        "last_error",
        "certificate_until",
        "endpoints",
        "outgoing",
        "incoming",
        "clock",
    },
    "internet-gateway": {
        "node_id",
        "address",
        "certificate_until",
        "private_gateways",
        "to_internet",
        "to_private_gateways",
        "cargo",
        "clock",
    },
    "courier": {"to_internet_gateways", "to_private_gateways", "requests", "clock"},
}


def assert_same_facts(awala, node, data):
    code, out, _ = awala(node, "status", "--json", "--data-dir", data)
    assert code == 0
    assert FACTS[node] <= json.loads(out).keys()
    code, lines, _ = awala(node, "status", "--data-dir", data)
    assert code == 0
    assert len(lines.splitlines()) == len(json.loads(out))
    assert "0 (0 octets)" in lines
