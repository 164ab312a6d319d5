# SPDX-License-Identifier: MIT
"""Files that are damaged, foreign or out of reach: one line that names the file, exit 1, no traceback."""

from __future__ import annotations

import os
import sqlite3

import pytest

pytestmark = pytest.mark.timeout(15)  # a node that starts in spite of it all would run for ever

DOORS = ("POWEB", "POHTTP", "COGRPC")
INIT = {
    "gateway": ("gateway", "init"),
    "internet-gateway": ("internet-gateway", "init", "--address", "igw.demo.test"),
    "courier": ("courier", "init"),
}
RUN = {
    "gateway": ("gateway", "run"),
    "internet-gateway": ("internet-gateway", "run"),
    "courier": ("courier", "run"),
    "pong": ("pong", "--address", "pong.demo.test"),
}
VAULTED = ("gateway", "internet-gateway")
RUBBISH = b"\xffrubbish" * 1000


@pytest.fixture(autouse=True)
def anywhere(monkeypatch):
    for door in DOORS:
        monkeypatch.setenv(f"AWALA_{door}_LISTEN", "127.0.0.1:0")


@pytest.fixture
def made(awala, tmp_path):
    """Initialises a node; returns its data directory."""

    def make(node):
        data = tmp_path / node
        code, _, err = awala(*INIT[node], "--data-dir", data)
        assert code == 0, err
        return data

    return make


def complains(answer, *texts):
    code, out, err = answer
    assert (code, out) == (1, ""), answer
    assert err.startswith("awala: "), err
    assert err.count("\n") == 1, f"one line was due: {err}"
    assert "defect" not in err
    for text in texts:
        assert str(text) in err, err
    return True


def change(database, statement, *values):
    connection = sqlite3.connect(database)
    with connection:
        connection.execute(statement, values)
    connection.close()


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def blot(file):
    octets = file.read_bytes()
    file.write_bytes(octets[:200] + b"\xff" * (len(octets) - 200))


def replace_by_directory(file):
    file.unlink()
    file.mkdir()


DAMAGE = {
    "rubbish": lambda file: file.write_bytes(RUBBISH),
    "cut": cut,
    "blotted": blot,
    "a directory": replace_by_directory,
    "without a table": lambda file: change(file, "DROP TABLE records"),
    "written by a newer version": lambda file: change(file, "PRAGMA user_version = 99"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("node", VAULTED)
def test_a_damaged_vault_is_named_and_left_as_it_is(awala, made, node, damage):
    data = made(node)
    file = data / "vault" / "vault.sqlite"
    DAMAGE[damage](file)
    before = file.is_file() and file.read_bytes()

    assert complains(awala(*RUN[node], "--data-dir", data), file)
    code, out, err = awala(*INIT[node], "--data-dir", data)
    assert complains((code, out, err.splitlines(keepends=True)[-1]), file)  # after: the configuration stays
    assert (file.is_file() and file.read_bytes()) == before


def test_what_a_newer_version_wrote_is_said_to_be_so(awala, made):
    data = made("gateway")
    DAMAGE["written by a newer version"](data / "vault" / "vault.sqlite")

    assert complains(awala("gateway", "run", "--data-dir", data), "newer version", "Install")


@pytest.mark.parametrize(
    ("node", "statement", "value"),
    [
        *((node, "UPDATE identity_keys SET private_key = ?", b"junk") for node in VAULTED),
        ("internet-gateway", "UPDATE certification_paths SET encoding = ?", b"junk"),
        ("internet-gateway", "UPDATE records SET value = ?", b"\xff\xfe"),
        ("internet-gateway", "UPDATE own_session_keys SET private_key = ?", b"junk"),
        ("gateway", "INSERT INTO records VALUES ('pairing', 'internet-gateway', ?)", b"no JSON"),
        ("gateway", "INSERT INTO records VALUES ('pairing', 'internet-gateway', ?)", b"{}"),
        ("gateway", "INSERT INTO records VALUES ('pairing', 'internet-gateway', ?)", b"[]"),
    ],
)
def test_a_vault_that_holds_what_cannot_be_read_is_named(awala, made, node, statement, value):
    data = made(node)
    if node == "internet-gateway":
        assert awala(node, "params", data / "params", "--data-dir", data)[0] == 0  # makes its session key
    change(data / "vault" / "vault.sqlite", statement, value)

    assert complains(awala(*RUN[node], "--data-dir", data), data / "vault")


@pytest.mark.parametrize("damage", ["rubbish", "a directory"])
@pytest.mark.parametrize("node", INIT)
def test_a_damaged_spool_is_named(awala, made, node, damage):
    data = made(node)
    file = data / "spool" / "spool.sqlite"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    DAMAGE[damage](file)

    assert complains(awala(*RUN[node], "--data-dir", data), file)


@pytest.mark.parametrize("name", ["spool", "spool/bodies", "vault"])
def test_a_file_where_a_directory_is_due_is_named(awala, tmp_path, name):
    data = tmp_path / "pong"
    data.mkdir()
    (data / name).parent.mkdir(exist_ok=True)
    (data / name).write_bytes(RUBBISH)

    assert complains(awala(*RUN["pong"], "--data-dir", data), data / name)


@pytest.mark.parametrize("content", [RUBBISH, b"[poweb", b"poweb = 1", b"[storage]\nquota = []"])
def test_a_damaged_configuration_is_named(awala, made, content):
    data = made("gateway")
    (data / "config.toml").write_bytes(content)

    assert complains(awala("gateway", "run", "--data-dir", data), data / "config.toml")


def test_a_configuration_that_is_a_directory_is_named(awala, made):
    data = made("courier")
    replace_by_directory(data / "config.toml")

    assert complains(awala("courier", "run", "--data-dir", data), data / "config.toml")


@pytest.mark.parametrize("of", INIT)
@pytest.mark.parametrize("node", RUN)
def test_the_data_directory_of_another_kind_of_node_is_refused(awala, made, node, of):
    data = made(of)
    if node == of:
        pytest.skip("that is its own")

    assert complains(awala(*RUN[node], "--data-dir", data), data)


@pytest.mark.parametrize("node", RUN)
def test_a_data_directory_that_is_a_file_is_named(awala, tmp_path, node):
    data = tmp_path / "data"
    data.write_bytes(RUBBISH)

    assert complains(awala(*RUN[node], "--data-dir", data), data)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["vault/vault.sqlite", "config.toml", "."])
def test_what_may_not_be_read_is_named(awala, made, name):
    data = made("gateway")
    (data / name).chmod(0)
    try:
        assert complains(awala("gateway", "run", "--data-dir", data), data)
    finally:
        (data / name).chmod(0o700)


@pytest.mark.parametrize("content", [None, b"", RUBBISH], ids=["missing", "empty", "rubbish"])
@pytest.mark.parametrize(
    ("node", "variable", "more"),
    [
        *((node, "AWALA_TLS_CA_FILE", {}) for node in RUN),
        *((node, "AWALA_RESOLVER_ANCHORS", {"AWALA_RESOLVER_VALIDATION": "local"}) for node in RUN),
        ("internet-gateway", "AWALA_POWEB_TLS_CERT", {"AWALA_POWEB_TLS_KEY": None}),
        ("internet-gateway", "AWALA_POHTTP_TLS_CERT", {"AWALA_POHTTP_TLS_KEY": None}),
        ("internet-gateway", "AWALA_COGRPC_TLS_CERT", {"AWALA_COGRPC_TLS_KEY": None}),
        ("courier", "AWALA_COGRPC_TLS_CERT", {"AWALA_COGRPC_TLS_KEY": None}),
        ("pong", "AWALA_POHTTP_TLS_CERT", {"AWALA_POHTTP_TLS_KEY": None}),
    ],
)
def test_a_file_that_a_setting_names_is_named(
    awala, made, tmp_path, monkeypatch, node, variable, more, content
):
    data = made(node) if node in INIT else tmp_path / "pong"
    file = tmp_path / "named"
    if content is not None:
        file.write_bytes(content)
    for name, value in {variable: str(file), **more}.items():
        monkeypatch.setenv(name, value or str(file))

    assert complains(awala(*RUN[node], "--data-dir", data), file)


@pytest.mark.parametrize("content", [b"", RUBBISH], ids=["empty", "rubbish"])
@pytest.mark.parametrize("command", [("gateway", "pair"), ("ping",)])
def test_a_damaged_parameters_file_is_named(awala, tmp_path, command, content):
    file = tmp_path / "node.params"
    file.write_bytes(content)

    assert complains(awala(*command, file, "--data-dir", tmp_path / "data"), file)
