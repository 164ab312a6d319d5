# SPDX-License-Identifier: MIT

from __future__ import annotations

import errno
import json
import logging
import subprocess
import sys

import click
import pytest
import structlog

from awala.base.errors import AwalaError, ConfigurationError
from awala.cli.failures import CommandFailure, ExitCode, describe, run_guarded
from awala.cli.logs import LogFormat, configure_logs
from awala.cli.options import Common, common_options, json_option
from awala.cli.output import print_json_line, printable
from awala.cli.program import COMMANDS, run_program


@pytest.fixture
def failing():
    def command_that_raises(error):
        @click.command()
        def command():
            raise error

        return run_guarded(command, [])

    return command_that_raises


@pytest.fixture
def restore_logging():
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("awala").level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.getLogger("awala").setLevel(before[2])
    structlog.reset_defaults()


def test_prints_its_version(capsys):
    assert run_program(["--version"]) is ExitCode.SUCCESS
    assert capsys.readouterr().out.startswith("awala 0")


def test_the_help_lists_the_commands_without_importing_them():
    code = (
        "import sys; from awala.cli.program import run_program; run_program(['--help']); "
        "sys.exit(any(name in sys.modules for name in ('cryptography', 'pydantic', 'rich', 'grpc')))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert result.returncode == 0, "the help imports too much"
    assert "inspect           Explain any Awala artefact." in result.stdout


@pytest.mark.parametrize("arguments", [["nothing"], ["--nothing"], ["inspect", "--nothing"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    assert run_program(arguments) is ExitCode.USAGE
    assert "Usage: awala" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_explains_itself(name, capsys):
    assert run_program([name, "--help"]) is ExitCode.SUCCESS
    assert capsys.readouterr().out.startswith(f"Usage: awala {name} ")


def test_a_module_without_a_command_is_a_defect(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "inspect", COMMANDS["inspect"]._replace(module="awala.cli.settings"))
    monkeypatch.setattr("awala.cli.settings.command", "nonsense", raising=False)

    assert run_program(["inspect"]) is ExitCode.FAILURE
    assert "is no click command" in capsys.readouterr().err


def test_a_missing_extra_is_told_in_one_line():
    code = "import sys; sys.modules['click'] = None; from awala.cli import main; main()"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert result.stderr == (
        "awala: the commands need the package click; install awala with its extra 'servers'\n"
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigurationError("bad"), "bad. Correct the setting that the message names, then start again."),
        (ExceptionGroup("x", [ValueError("y"), ConfigurationError("bad.")]), "bad. Correct the setting"),
        (AwalaError("two\nlines"), "two lines"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), "x: No such file or directory"),
        (OSError("plain"), "plain"),
        (click.ClickException("of click"), "of click"),
        (CommandFailure("it did not hold"), "it did not hold"),
        (RuntimeError("boom"), "unexpected failure, a defect of this program: RuntimeError: boom"),
    ],
)
def test_every_failure_is_one_line(failing, capsys, error, line):
    assert failing(error) is ExitCode.FAILURE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"awala: {line}")
    assert err.count("\n") == 1


def test_a_failure_that_was_told_already_prints_nothing(failing, capsys):
    assert failing(CommandFailure()) is ExitCode.FAILURE
    assert capsys.readouterr() == ("", "")


def test_a_trace_is_printed_only_when_asked_for(failing, capsys, monkeypatch):
    monkeypatch.setenv("AWALA_TRACEBACK", "1")

    failing(RuntimeError("boom"))

    assert "Traceback" in capsys.readouterr().err


def test_control_c_ends_quietly(failing, capsys):
    assert failing(KeyboardInterrupt()) is ExitCode.INTERRUPTED
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", "")


def test_a_reader_who_leaves_is_no_defect():
    command = f"{sys.executable} -c 'import click; from awala.cli.failures import run_guarded\n"
    command += (
        'run_guarded(click.command()(lambda: [print("x" * 1000) for _ in range(10000)]), [])\' | head -c 1'
    )

    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)

    assert (result.stdout, result.stderr) == ("x", "")


def test_escapes_are_shown_in_messages():
    assert describe(AwalaError("a\x1b[31mb")) == "a\\x1b[31mb"
    assert printable("fine\n") == "fine\n"


@pytest.mark.usefixtures("restore_logging")
def test_common_options_reach_the_command(capsys, tmp_path):
    seen = []

    @click.command()
    @common_options
    @json_option
    def command(*, common: Common, as_json: bool) -> None:
        seen.append((common, as_json))
        print_json_line({"a": "é"})

    code = run_guarded(
        command, ["--json", "-vv", "--data-dir", str(tmp_path), "--config", "c.toml", "--log-format", "json"]
    )

    assert code is ExitCode.SUCCESS
    (common, as_json) = seen[0]
    assert (common.data_dir, str(common.config), common.verbosity) == (tmp_path, "c.toml", 2)
    assert common.log_format is LogFormat.JSON
    assert as_json
    assert capsys.readouterr().out == '{"a": "é"}\n'


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [
        (0, {"own info", "other warning"}),
        (1, {"own info", "own debug", "other warning", "other info"}),
        (2, {"own info", "own debug", "other warning", "other info", "other debug"}),
    ],
)
@pytest.mark.usefixtures("restore_logging")
def test_verbosity_decides_what_is_logged(capsys, verbosity, expected):
    configure_logs(verbosity=verbosity, log_format=LogFormat.JSON)
    own, other = logging.getLogger("awala.nodes.something"), logging.getLogger("library")

    own.info("own info")
    own.debug("own debug")
    other.warning("other warning", extra={"count": 1})
    other.info("other info")
    other.debug("other debug")

    out, err = capsys.readouterr()
    records = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert {record["event"] for record in records} == expected
    assert all({"level", "logger", "timestamp"} <= record.keys() for record in records)
    assert next(record for record in records if record["event"] == "other warning")["count"] == 1


@pytest.mark.parametrize("log_format", list(LogFormat))
@pytest.mark.usefixtures("restore_logging")
def test_exceptions_are_logged(capsys, log_format):
    configure_logs(log_format=log_format)

    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("awala").exception("it failed")
    structlog.get_logger("awala.x").info("structured", number=3)

    err = capsys.readouterr().err
    assert "RuntimeError: boom" in err
    assert "structured" in err
