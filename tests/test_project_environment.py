# SPDX-License-Identifier: MIT

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
CONFTEST = Path(__file__).parent / "conftest.py"

SETTINGS = f"[pytest]\nmarkers = requires(*tools)\npythonpath = {CONFTEST.parent}\n"

CASE = """
import pytest

@pytest.mark.requires("a-tool-that-nobody-has")
def test_with_a_tool():
    pass
"""


@pytest.mark.parametrize(("require_all", "outcome"), [("", {"skipped": 1}), ("1", {"errors": 1})])
def test_a_missing_tool_skips_a_test_unless_all_are_required(pytester, monkeypatch, require_all, outcome):
    monkeypatch.setenv("AWALA_REQUIRE_ALL", require_all)
    pytester.makeini(SETTINGS)
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(CASE)

    result = pytester.runpytest_subprocess("-rsf", "-p", "no:cacheprovider")

    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines(["*test_with_a_tool needs a-tool-that-nobody-has*"])


def test_what_the_registry_does_not_serve_is_told_by_name_and_skips_a_test(pytester, monkeypatch):
    monkeypatch.setenv("AWALA_REQUIRE_ALL", "1")
    pytester.makeini(SETTINGS)
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(CASE.replace("a-tool-that-nobody-has", "java"))
    note = pytester.mkdir("interop") / "kotlin" / "target" / "not-served"
    note.parent.mkdir(parents=True)
    note.write_text("the registry does not serve group:artifact:1\nwhat wanted it\n")

    result = pytester.runpytest_subprocess("-rs", "-p", "no:cacheprovider")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs java: the registry does not serve group:artifact:1*"])


HEAVY = ("click", "grpc", "pydantic", "rich", "segno", "starlette", "structlog", "uvicorn")


def test_the_sdk_works_with_what_a_plain_installation_brings():
    code = f"import sys\nfor name in {HEAVY!r}: sys.modules[name] = None\nimport awala, awala.sdk"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
