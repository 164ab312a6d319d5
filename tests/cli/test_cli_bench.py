# SPDX-License-Identifier: MIT

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from awala.cli.bench import command
from awala.cli.failures import ExitCode
from awala.cli.program import run_program
from awala.testing.bench import BENCHES, Figure, Plan, Report


def report(plan: Plan, name: str) -> Report:
    plan.say(f"{name}: at work")
    figures = (
        Figure({"operation": "floor", "octets": 6000}, 12345.6, details={"p50_ms": 0.5}),
        Figure({"operation": "own", "octets": 65536}, 1000.0, 2000.0, 0.5, {"p50_ms": 1.25}),
        Figure({"operation": "own", "octets": 2**20}, 10.0, 20.0, 0.5, {"p50_ms": 1.25}),
    )
    return Report(
        name,
        f"the [summary] of {name}",
        ("A note [that] says it.",),
        {"seconds": plan.seconds},
        figures,
        ("p50_ms",),
    )


@pytest.fixture
def plans(monkeypatch):
    seen = []

    def measure(name, plan):
        seen.append((name, plan))
        return report(plan, name)

    monkeypatch.setattr("awala.testing.bench.measure", measure)
    monkeypatch.setattr("awala.cli.bench.keep_freed_memory", lambda: True)
    return seen


def test_shows_a_table_and_says_what_it_does(plans, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    assert run_program(["bench", "core"]) is ExitCode.SUCCESS

    out, err = capsys.readouterr()
    rows = [line.replace("│", " ").split() for line in out.splitlines()]
    assert ["floor", "6000", "B", "12,346", "0.50"] in rows
    assert ["own", "64", "KiB", "1,000", "2,000", "0.50", "1.25"] in rows
    assert ["own", "1", "MiB", "10", "20", "0.50", "1.25"] in rows
    assert "core: the [summary] of core" in out
    assert "- A note [that] says it." in out
    assert err == "core: at work\n"
    assert [name for name, _ in plans] == ["core"]


def test_prints_json_for_machines(plans, capsys):
    assert run_program(["bench", "--json"]) is ExitCode.SUCCESS

    printed = json.loads(capsys.readouterr().out)
    assert [bench["bench"] for bench in printed["benches"]] == list(BENCHES)
    assert printed["benches"][0]["figures"][:2] == [
        {"operation": "floor", "octets": 6000, "per_second": 12345.6, "p50_ms": 0.5},
        {
            "operation": "own",
            "octets": 65536,
            "per_second": 1000.0,
            "floor_per_second": 2000.0,
            "ratio": 0.5,
            "p50_ms": 1.25,
        },
    ]
    assert printed["machine"]["cpus"] >= 1
    assert printed["machine"]["keeps_freed_memory"] is True
    assert [name for name, _ in plans] == list(BENCHES)


def test_a_bench_runs_once_and_as_long_as_asked(plans, tmp_path, capsys):
    arguments = ["bench", "spool", "spool", "--seconds", "0.25", "--directory", str(tmp_path), "--json"]

    assert run_program(arguments) is ExitCode.SUCCESS

    assert [(name, plan.seconds, plan.directory) for name, plan in plans] == [("spool", 0.25, tmp_path)]
    assert json.loads(capsys.readouterr().out)["benches"][0]["conditions"] == {"seconds": 0.25}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nothing"], "'nothing' is no bench; there are core, spool"),
        (["--seconds", "0"], "'--seconds'"),
        (["--directory", "/nowhere/at/all"], "'--directory'"),
    ],
)
def test_wrong_usage_is_explained(plans, capsys, arguments, complaint):
    assert run_program(["bench", *arguments]) is ExitCode.USAGE

    assert complaint in capsys.readouterr().err
    assert plans == []


def test_the_help_names_each_bench():
    text = CliRunner().invoke(command, ["--help"]).output

    assert all(f"  {name} " in text for name in BENCHES)


@pytest.mark.usefixtures("plans")
def test_a_terminal_gets_a_line_that_vanishes(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")

    assert run_program(["bench", "core", "--json"]) is ExitCode.SUCCESS

    out, err = capsys.readouterr()
    assert json.loads(out)["benches"]
    assert "core: at work" in err or "\x1b[" in err


def test_measures_for_real(capsys, tmp_path):
    assert (
        run_program(["bench", "spool", "--seconds", "0.01", "--directory", str(tmp_path)]) is ExitCode.SUCCESS
    )

    assert "accept" in capsys.readouterr().out
