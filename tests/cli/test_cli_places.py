# SPDX-License-Identifier: MIT

from __future__ import annotations

from pathlib import Path

from awala.cli.options import Common
from awala.cli.places import NodeKind, Places, places


def test_files_live_under_the_xdg_directories():
    environ = {"XDG_CONFIG_HOME": "/etc/mine", "XDG_DATA_HOME": "/var/mine", "HOME": "/home/me"}

    assert places(NodeKind.GATEWAY, Common(), environ) == Places(
        Path("/etc/mine/awala/gateway.toml"), Path("/var/mine/awala/gateway")
    )


def test_files_live_under_the_home_directory_without_xdg_variables():
    environ = {"XDG_CONFIG_HOME": "", "XDG_DATA_HOME": "relative", "HOME": "/home/me"}

    assert places(NodeKind.COURIER, Common(), environ) == Places(
        Path("/home/me/.config/awala/courier.toml"), Path("/home/me/.local/share/awala/courier")
    )


def test_a_data_directory_that_is_named_holds_the_configuration_too():
    common = Common(data_dir=Path("/srv/one"))

    assert places(NodeKind.PONG, common, {}) == Places(Path("/srv/one/config.toml"), Path("/srv/one"))


def test_a_configuration_that_is_named_wins():
    common = Common(config=Path("/etc/a.toml"), data_dir=Path("/srv/one"))

    assert places(NodeKind.PONG, common, {}) == Places(Path("/etc/a.toml"), Path("/srv/one"))


def test_relative_names_are_meant_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert places(NodeKind.PONG, Common(data_dir=Path("x")), {}).data == tmp_path / "x"
