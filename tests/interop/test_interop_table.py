# SPDX-License-Identifier: MIT
"""The interoperability table itself: what counts as ok, what a page says, and what its files name."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from helpers.interop_table import (
    FOLDER,
    Cell,
    Defect,
    Group,
    Outcome,
    Peer,
    Result,
    Table,
    functions_of_tests,
    ok_cells,
    page,
    read_table,
    states,
)
from helpers.node_peer import PRODUCTION

pytest_plugins = "pytester"

SOAK = FOLDER.parent.parent / "scripts" / "soaks" / "interop.py"

SEND, TAKE = "door-send", "door-take"
DEFECT = Defect("other", (TAKE,), "It takes nothing.", "test_takes_nothing")
TABLE = Table(
    {"one": Peer("One", "one 1.0"), "other": Peer("Other", "other 2.0")},
    (Group("A door", ("one", "other"), {SEND: "send", TAKE: "take"}),),
    (DEFECT,),
)
TEST = "tests/interop/test_door.py::test_sends[1]"


def passed(test=TEST, *cells):
    return Result(test, Outcome.PASSED, frozenset(cells))


def failed(test=TEST, *cells):
    return Result(test, Outcome.FAILED, frozenset(cells))


def skipped(test=TEST, *cells):
    return Result(test, Outcome.SKIPPED, frozenset(cells), "it needs java")


# ---- cells -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([passed], "ok"),
        ([passed, skipped], "ok"),
        ([passed, failed], "failed"),
        ([skipped], "not tried: it needs java"),
        ([], "not tried: there is no test"),
    ],
)
def test_a_cell_is_ok_if_a_test_showed_it_and_none_failed(results, state):
    cell = Cell("one", SEND)

    found = states(TABLE, [make(f"{TEST}{number}", cell) for number, make in enumerate(results)])

    assert found[cell] == state
    assert found.keys() == TABLE.cells


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([passed], "defect 1"),
        ([passed, failed], "failed"),
        ([skipped], "not tried: it needs java"),
        ([], "not tried: there is no test"),
    ],
)
def test_a_defect_counts_if_its_test_showed_it_in_this_run(results, state):
    tests = [make(f"tests/x.py::{DEFECT.test}[{number}]") for number, make in enumerate(results)]

    assert states(TABLE, tests)[Cell("other", TAKE)] == state


def test_what_the_peer_does_not_have_is_not_tried():
    table = Table(TABLE.peers, TABLE.groups, (Defect("other", (TAKE,), "It has none."),))

    assert states(table, [])[Cell("other", TAKE)] == "not tried: It has none."
    assert "Defects" not in page(table, [])


# ---- the page ----------------------------------------------------------------------------------------


def test_the_page_has_a_table_for_each_door_and_names_the_tests():
    text = page(TABLE, [passed(TEST, Cell("one", SEND)), passed(f"tests/x.py::{DEFECT.test}")])

    assert (
        "\n## A door\n\n"
        "| peer | version | send | take |\n"
        "| --- | --- | --- | --- |\n"
        "| One | one 1.0 | ok | not tried: there is no test |\n"
        "| Other | other 2.0 | not tried: there is no test | defect 1 |\n"
        "\n* send: [test_door.py](../tests/interop/test_door.py): sends\n"
    ) in text
    assert text.endswith("1. Other: It takes nothing. Shown by: takes nothing.\n")


@pytest.mark.parametrize(
    ("results", "earlier", "state"),
    [
        ([skipped], [passed], "ok before"),
        ([skipped], [failed], "not tried: it needs java"),
        ([], [passed], "not tried: there is no test"),
        ([failed], [passed], "failed"),
        ([passed], [passed], "ok"),
    ],
)
def test_what_a_peer_showed_before_is_told_where_it_cannot_be_had(results, earlier, state):
    before = page(TABLE, [make(TEST, Cell("one", SEND)) for make in earlier])
    text = page(TABLE, [make(TEST, Cell("one", SEND)) for make in results], before)
    again = page(TABLE, [make(TEST, Cell("one", SEND)) for make in results], text)

    assert f"| {state} |" in text
    assert text == again
    assert bool(ok_cells(text)) is state.startswith("ok")


def test_a_page_tells_which_cells_were_ok():
    both = [passed(TEST, Cell("one", SEND), Cell("other", SEND))]

    assert ok_cells(page(TABLE, both)) == {("A door", "One", "send"), ("A door", "Other", "send")}
    assert ok_cells(page(TABLE, [failed(TEST, Cell("one", SEND))])) == set()
    assert ok_cells("") == set()


def test_results_survive_being_written():
    for make in (passed, failed, skipped):
        result = make(TEST, Cell("one", SEND))
        assert Result.of(json.loads(json.dumps(result.described()))) == result


# ---- the plug-in -------------------------------------------------------------------------------------

MODULE = """
import pytest

NAMES = ["production", "newest"]
BOTH = [pytest.param(name, marks=pytest.mark.cell(peer=f"js-core-{name}")) for name in NAMES]
pytestmark = pytest.mark.cell("core-messages")

@pytest.mark.parametrize("name", BOTH)
def test_one_of_two(name):
    assert name == "newest"

@pytest.mark.thorough
def test_takes_long():
    pass

@pytest.fixture
def broken():
    yield
    raise ValueError

def test_breaks_afterwards(broken):
    pass
"""

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
markers =
    cell
    thorough
"""


@pytest.fixture
def run(pytester):
    def run_module(text, *options):
        pytester.makepyfile(test_module=text)
        pytester.makeini(INI)
        return pytester.runpytest("-p", "helpers.interop_plugin", *options)

    return run_module


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_a_run_tells_what_became_of_each_test_and_which_cells_it_shows(run, pytester, options):
    run(MODULE, "--interop-results=results.json", "-p", "no:cacheprovider", *options)

    written = json.loads(Path(pytester.path, "results.json").read_text())
    results = {result.test.partition("::")[2]: result for result in map(Result.of, written)}
    assert {name: result.outcome.value for name, result in results.items()} == {
        "test_breaks_afterwards": "failed",
        "test_one_of_two[newest]": "passed",
        "test_one_of_two[production]": "failed",
        "test_takes_long": "skipped",
    }
    for name in ("production", "newest"):
        assert results[f"test_one_of_two[{name}]"].cells == {Cell(f"js-core-{name}", "core-messages")}
    assert results["test_takes_long"].cells == frozenset()
    assert results["test_takes_long"].reason == "test_takes_long takes long; ./scripts/soak interop runs it"


def test_what_takes_long_runs_when_it_is_asked_for(run):
    assert run(MODULE, "--thorough", "-k", "takes_long").parseoutcomes() == {"passed": 1, "deselected": 3}


def test_a_mark_of_a_cell_that_the_table_lacks_is_an_error(run):
    wrong = MODULE.replace("core-messages", "core-massages")

    outcome = run(wrong)

    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*test_one_of_two*table.toml has no js-core-production:core-massages*"])


def test_a_mark_of_a_cell_that_is_excused_is_an_error(run, monkeypatch):
    table = read_table()
    excused = Table(table.peers, table.groups, (Defect("js-core-newest", ("core-messages",), "None."),))
    monkeypatch.setattr("helpers.interop_plugin.read_table", lambda: excused)

    outcome = run(MODULE)

    assert outcome.ret == pytest.ExitCode.USAGE_ERROR
    outcome.stderr.fnmatch_lines(["*test_one_of_two*defects.toml excuses js-core-newest:core-messages*"])


# ---- the command -------------------------------------------------------------------------------------


def load_soak():
    spec = importlib.util.spec_from_file_location("soak_interop", SOAK)
    soak = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(soak)
    return soak


def test_the_command_compares_with_the_page_as_it_was_committed(tmp_path):
    file = tmp_path / "docs" / "page.md"
    file.parent.mkdir()
    committed = partial(load_soak().committed, tmp_path, file)
    git = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)

    assert committed() == ""
    file.write_text("as it lies there")
    assert committed() == "as it lies there"
    git(["git", "init"])
    git(["git", "add", "."])
    git(["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-m", "x"])
    file.write_text("written by a bad run")
    assert committed() == "as it lies there"


# ---- what the files name -----------------------------------------------------------------------------


def test_groups_name_peers_that_exist_and_no_capability_twice():
    table = read_table()
    capabilities = Counter(itertools.chain.from_iterable(group.capabilities for group in table.groups))

    assert {peer for group in table.groups for peer in group.peers} <= table.peers.keys()
    assert [name for name, count in capabilities.items() if count > 1] == []


def test_titles_are_told_apart():
    table = read_table()
    for titles in (
        [peer.title for peer in table.peers.values()],
        [group.title for group in table.groups],
        *(list(group.capabilities.values()) for group in table.groups),
    ):
        assert len(titles) == len(set(titles))
        assert not any("|" in title for title in titles)


def test_each_of_the_35_traps_has_a_test_that_bears_its_number():
    numbers = {name.split("_")[2] for name in functions_of_tests() if name.startswith("test_trap_")}

    assert numbers == {f"{number:02}" for number in range(1, 36)}


def test_every_excuse_is_for_cells_of_the_table_and_each_has_one():
    table = read_table()
    cells = [cell for defect in table.defects for cell in defect.cells]

    assert set(cells) <= table.cells
    assert len(cells) == len(set(cells))


def test_every_defect_names_a_test_that_exists():
    assert {defect.test for defect in read_table().defects if defect.test} <= functions_of_tests()


def test_versions_of_npm_packages_are_those_that_are_installed():
    packages = json.loads((FOLDER / "js" / PRODUCTION / "package.json").read_text())["dependencies"]
    versions = {name: peer.version for name, peer in read_table().peers.items()}

    for name in ("poweb", "pohttp", "testing"):
        package = f"@relaycorp/relaynet-{name}"
        assert versions[f"js-{name}"] == f"{package} {packages[package]}"
