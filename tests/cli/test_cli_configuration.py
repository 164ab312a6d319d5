# SPDX-License-Identifier: MIT

from __future__ import annotations

import stat
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awala.base.errors import ConfigurationError
from awala.base.files import StorageError
from awala.bindings import cogrpc
from awala.bindings.poweb import DEFAULT_LOCAL_GATEWAY
from awala.cli import options
from awala.cli.configuration import load
from awala.cli.initial import default_configuration, write_configuration
from awala.cli.settings import Door, Gateway, Section, Settings
from awala.nodes.private_gateway.root import LOCAL_PORT


class Own(Section):
    """What only this command has."""

    name: str
    """What the node is called."""

    limit: int = 5
    """How many at most."""


class Example(Settings):
    """Settings such as a command has them."""

    poweb: Door = Door(listen="127.0.0.1:13276")
    internet_gateway: Own = Own(name="somebody")


class Strict(Settings):
    """Settings with one that has no default."""

    own: Own


@pytest.fixture
def file(tmp_path):
    return tmp_path / "gateway.toml"


def read(file, text="", environ=None, model=Example, **overrides):
    file.write_text(text)
    return load(model, file=file, environ=environ or {}, overrides=overrides)


def test_defaults_serve_without_a_file(file):
    settings = load(Example, file=file, environ={})

    assert settings.poweb.listen == "127.0.0.1:13276"
    assert settings.resolver.validation == "ad"


def test_a_file_that_is_required_must_exist(file):
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(Example, file=file, environ={}, required=True)


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(file):
    text = """
        poweb.listen = "127.0.0.1:1"
        internet-gateway = { name = "x", limit = 1 }
        tls.ca_file = "a.pem"
    """
    environ = {"AWALA_POWEB_LISTEN": "127.0.0.1:2", "AWALA_INTERNET_GATEWAY_LIMIT": "2"}

    settings = read(file, text, environ, poweb={"listen": "127.0.0.1:3", "tls_cert": None})

    assert settings.poweb.listen == "127.0.0.1:3"
    assert (settings.internet_gateway.name, settings.internet_gateway.limit) == ("x", 2)
    assert settings.tls.ca_file == Path("a.pem")


@pytest.mark.parametrize(
    ("text", "octets"),
    [("4096", 4096), ('"4096"', 4096), ('"2 GiB"', 2 << 30), ('"1k"', 1024), ('"3MB"', 3 << 20)],
)
def test_sizes_have_units(file, text, octets):
    assert read(file, f"[storage]\nquota = {text}\n").storage.quota == octets


@pytest.mark.parametrize(
    ("text", "hours"), [("1 day", 24), ("30 days", 720), ("180d", 4320), ("36 hours", 36), (" 36H ", 36)]
)
def test_times_have_units(file, text, hours):
    settings = read(file, f'[storage]\nsession_key_retention = "{text}"\n')

    assert settings.storage.session_key_retention == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text", ["10.0.0.0/8,127.0.0.0/8", '["10.0.0.0/8", "127.0.0.0/8"]', " 10.0.0.0/8 , 127.0.0.0/8,"]
)
def test_lists_come_from_the_environment_with_commas_or_as_json(file, text):
    settings = read(file, environ={"AWALA_RESOLVER_ALLOW_NETWORKS": text})

    assert settings.resolver.allow_networks == ("10.0.0.0/8", "127.0.0.0/8")


def test_an_empty_variable_takes_a_setting_away(file):
    settings = read(file, '[tls]\nca_file = "a.pem"\n', {"AWALA_TLS_CA_FILE": ""})

    assert settings.tls.ca_file is None


def test_a_home_directory_may_be_written_with_a_tilde(file, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")

    assert read(file, '[tls]\nca_file = "~/ca.pem"\n').tls.ca_file == Path("/home/somebody/ca.pem")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[powerb]\n", r"gateway.toml: there is no section \[powerb\]; did you mean poweb\?"),
        (
            "[zzz]\n",
            r"there is no section \[zzz\]; known are resolver, tls, storage, poweb, internet-gateway",
        ),
        ("poweb = 1\n", r"gateway.toml: poweb must be a section, written \[poweb\]"),
        (
            '[poweb]\nlisten_on = "x"\n',
            r"gateway.toml: \[poweb\] has no setting 'listen_on'; did you mean listen",
        ),
        (
            '[poweb]\nlisten = "nowhere"\n',
            r"gateway.toml: \[poweb\] listen: must be HOST:PORT, not 'nowhere'",
        ),
        ("[poweb]\nlisten = 13276\n", r"gateway.toml: \[poweb\] listen: .*string"),
        ('[storage]\nmailbox_quota = "much"\n', r"\[storage\] mailbox_quota: must be a number of octets"),
        ("[storage]\npair_quota = 0\n", r"\[storage\] pair_quota: .*greater than 0"),
        ('[storage]\nquota = "lots"\n', r"\[storage\] quota: must be a number of octets"),
        ("[storage]\nquota = 0\n", r"\[storage\] quota: .*greater than 0"),
        ('[storage]\nsession_key_retention = "soon"\n', r"\] session_key_retention: must be a time such as"),
        ("[storage]\nsession_key_retention = 30\n", r"\[storage\] session_key_retention: must be a time"),
        (
            '[storage]\nsession_key_retention = "23 hours"\n',
            r"\[storage\] session_key_retention: must be from 1 day to 180 days",
        ),
        (
            '[storage]\nsession_key_retention = "181 days"\n',
            r"\[storage\] session_key_retention: must be from 1 day to 180 days",
        ),
        ('[resolver]\nvalidation = "none"\n', r"\[resolver\] validation: .*'ad' or 'local'"),
        ('[resolver]\nallow_networks = ["10.0.0.1/8"]\n', r"\[resolver\] allow_networks: .*host bits"),
        ("[poweb\n", r"gateway.toml: is no valid TOML: .*line 1"),
        ("[internet-gateway]\nlimit = 3\n", r"gateway.toml: \[internet-gateway\] name is missing"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_section_and_key(file, text, message):
    with pytest.raises(ConfigurationError, match=message):
        read(file, text)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("AWALA_POWEB_LISTN", "x", "AWALA_POWEB_LISTN is no setting; did you mean AWALA_POWEB_LISTEN"),
        ("AWALA_POWEB_LISTEN", "x", "environment variable AWALA_POWEB_LISTEN: must be HOST:PORT"),
        ("AWALA_RESOLVER_ALLOW_NETWORKS", "[1", "AWALA_RESOLVER_ALLOW_NETWORKS"),
        ("AWALA_INTERNET_GATEWAY_LIMIT", "many", "AWALA_INTERNET_GATEWAY_LIMIT: .*integer"),
    ],
)
def test_a_mistake_in_the_environment_is_named_by_its_variable(file, variable, value, message):
    with pytest.raises(ConfigurationError, match=message):
        read(file, '[internet-gateway]\nname = "x"\n', {variable: value})


def test_variables_of_other_commands_are_ignored(file):
    assert read(file, environ={"AWALA_COGRPC_LISTEN": "x", "AWALA_REQUIRE_ALL": "1"}) == Example()


def test_a_mistake_on_the_command_line_is_named_by_its_option(file):
    with pytest.raises(ConfigurationError, match="option --listen: must be HOST:PORT"):
        read(file, poweb={"listen": "x"})


def test_a_section_that_is_missing_is_named(file):
    with pytest.raises(ConfigurationError, match=r"gateway.toml: \[own\] is missing"):
        read(file, model=Strict)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * 1_048_577, b"a" + b"=[" * 5_000])
def test_a_file_that_is_no_configuration_is_refused(file, content):
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=str(file)):
        load(Example, file=file, environ={})


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(Example, file=tmp_path, environ={})


@pytest.mark.parametrize("text", ["localhost:0", "[::1]:80"])
def test_a_door_listens_on_a_host_and_a_port(text):
    assert Door(listen=text).listen == text


@pytest.mark.parametrize("text", ["", ":80", "host:", "host", "host:70000", "::1:80", "host:-1", "host:८"])
def test_what_is_no_host_and_port_is_refused(text):
    with pytest.raises(ValueError, match=r"must be HOST:PORT, not .* in brackets"):
        Door(listen=text)


def test_defaults_are_those_of_the_layers_below():
    assert Gateway().url == f"http://{options.GATEWAY_LISTEN}" == DEFAULT_LOCAL_GATEWAY
    assert options.GATEWAY_LISTEN.endswith(f":{LOCAL_PORT}")
    assert options.COURIER_PORT == cogrpc.COURIER_PORT


def test_the_initial_file_explains_every_setting_and_changes_nothing(file):
    text = default_configuration(Example, title="An example.")

    assert read(file, text) == Example()
    assert "# What the node is called.\n" in text
    assert '# listen = "127.0.0.1:13276"\n' in text
    assert "[internet-gateway]\n" in text


def test_settings_that_are_given_to_the_initial_file_are_set(file):
    values = {
        "internet_gateway": {"name": "gateway.example.com", "limit": 7},
        "resolver": {"allow_networks": ["10.0.0.0/8"]},
    }

    settings = read(file, default_configuration(Example, values, title="An example."))

    assert settings.internet_gateway == Own(name="gateway.example.com", limit=7)
    assert settings.resolver.allow_networks == ("10.0.0.0/8",)


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_survives_the_initial_file(name):
    text = default_configuration(Example, {"internet_gateway": {"name": name}}, title="An example.")

    assert tomllib.loads(text)["internet-gateway"]["name"] == name


def test_the_initial_file_is_private_and_never_overwritten(tmp_path):
    file = tmp_path / "new" / "gateway.toml"
    write_configuration(file, "first")

    with pytest.raises(ConfigurationError, match="exists already"):
        write_configuration(file, "second")

    assert file.read_text() == "first"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_the_initial_file_leaves_the_directory_as_it_is(tmp_path):
    tmp_path.chmod(0o755)

    write_configuration(tmp_path / "gateway.toml", "")

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_an_initial_file_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_configuration(tmp_path / "file" / "gateway.toml", "")
    with pytest.raises(StorageError):
        write_configuration(tmp_path / "file" / "inner" / "gateway.toml", "")
