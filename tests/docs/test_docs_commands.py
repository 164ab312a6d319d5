# SPDX-License-Identifier: MIT
"""Checks that what the documentation tells people to type and to set exists."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import dns.rdatatype
import dns.zone
import pytest

from awala.cli.failures import ExitCode
from awala.cli.program import program, run_program

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "src").rglob("README.md")),
]
OPERATOR = (ROOT / "docs" / "operator.md").read_text()
ADDRESS = "gateway.example.com"
SHELL_WORDS = {".", "cd", "export"}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def command_lines() -> list[tuple[str, str]]:
    """Return the page and the text of every call of this program, in blocks and within sentences."""
    found = []
    for page in PAGES:
        name, text = str(page.relative_to(ROOT)), page.read_text()
        typed = [line for block in blocks(text, "sh") for line in block.splitlines()]
        typed += re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
        typed += re.findall(r"`((?:\S*/)?awala [a-z][^`\n]*)`", text)
        lines = (line.partition("#")[0].rstrip(" &") for line in typed)
        found += [(name, line) for line in lines if re.match(r"(\S*/)?awala ", line)]
    return found


def test_there_are_command_lines_to_check():
    assert len(command_lines()) > 30


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_a_command_line_of_the_documentation_can_be_parsed(page, line):
    words = shlex.split(line.replace("…", ""))[1:]
    command: click.Command = program
    context = click.Context(program, info_name="awala")
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: there is no command {words[0]!r}"
        command, context = found, click.Context(found, parent=context, info_name=words.pop(0))

    if isinstance(command, click.Group) or not (words or "$" in line):
        return  # a sentence names the command
    known = {name for parameter in command.params for name in parameter.opts} | {"-h", "--help"}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, f"{page}: {line}"
    places = sum(1 if p.nargs == 1 else len(words) for p in command.params if isinstance(p, click.Argument))
    values = [word for word in words if not word.startswith("-")]
    assert places or len(values) <= len(given), f"{page}: {line}"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the configuration that ``init`` writes."""
    directory = tmp_path_factory.mktemp("gateway")
    words = ["internet-gateway", "init", "--address", ADDRESS, "--data-dir", str(directory)]
    assert run_program(words) is ExitCode.SUCCESS
    return (directory / "config.toml").read_text()


def test_the_operator_s_page_shows_the_configuration_that_init_writes(written):
    shown = re.search(r"<!-- what init writes -->\n```toml\n(.*?)```", OPERATOR, re.DOTALL)

    assert shown is not None
    assert shown[1].strip() == written.strip(), f"docs/operator.md should show:\n{written}"


def test_the_settings_and_variables_that_the_operator_s_page_names_exist(written):
    settings: dict[str, set[str]] = {}
    for section, name in re.findall(r"^\[([a-z-]+)\]|^(?:# )?([a-z_]+) = ", written, re.MULTILINE):
        if section:
            known = settings.setdefault(section, set())
        else:
            known.add(name)
    variables = {
        f"AWALA_{section}_{name}".upper().replace("-", "_")
        for section, names in settings.items()
        for name in names
    }

    assert set(re.findall(r"AWALA_[A-Z_]+[A-Z]", OPERATOR)) <= variables
    for block in blocks(OPERATOR, "toml"):
        for section, given in tomllib.loads(block).items():
            assert given.keys() <= settings[section]


def test_the_example_zone_names_all_doors():
    (text,) = blocks(OPERATOR, "zone")
    zone = dns.zone.from_text(text, "example.com.", relativize=False, check_origin=False)
    services = {
        str(name).partition(".gateway.")[0]: str(record.target)
        for name, _, record in zone.iterate_rdatas(dns.rdatatype.SRV)
    }
    hosts = {str(name) for name, _, _ in zone.iterate_rdatas(dns.rdatatype.A)}

    assert services.keys() == {"_awala-gsc._tcp", "_awala-pdc._tcp", "_awala-crc._tcp"}
    assert set(services.values()) == hosts


def test_examples_of_json_can_be_read():
    lines = [line for block in blocks(OPERATOR, "json") for line in block.splitlines()]
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} does not exist"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{target}: there is no such heading"
