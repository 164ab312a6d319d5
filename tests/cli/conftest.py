# SPDX-License-Identifier: MIT

from __future__ import annotations

import logging
import os
import socket

import pytest
import structlog

from awala.cli.program import run_program


@pytest.fixture
def home(tmp_path, monkeypatch):
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def awala(home, capsys):
    """Runs a command in this process; returns its exit code, its output and its complaints."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("awala").level

    def run(*arguments):
        assert os.environ["HOME"] == str(home)
        capsys.readouterr()
        code = run_program([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(code), out, err

    yield run
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.getLogger("awala").setLevel(before[2])
    structlog.reset_defaults()


@pytest.fixture
def taken_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield sock.getsockname()[1]
