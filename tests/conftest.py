# SPDX-License-Identifier: MIT
"""What holds for all tests: tools that may be missing, a clean environment, calm hypothesis."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["helpers.interop_plugin"]

REQUIRE_ALL = os.environ.get("AWALA_REQUIRE_ALL") == "1"
NODE_PACKAGES = Path(__file__).parent / "interop" / "js"
KOTLIN_BUILD = Path(__file__).parent / "interop" / "kotlin" / "target"

for _variable in [name for name in os.environ if name.startswith("AWALA_") and name != "AWALA_REQUIRE_ALL"]:
    del os.environ[_variable]

settings.register_profile("awala", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("awala")


def missing_tools(tools: tuple[str, ...]) -> list[str]:
    return [tool for tool in tools if not _present(tool)]


def _present(tool: str) -> bool:
    if tool == "node":
        sets = [path.parent for path in NODE_PACKAGES.glob("*/package.json")]
        return shutil.which("node") is not None and all(map(_installed, sets))
    if tool == "java":
        return shutil.which("java") is not None and (KOTLIN_BUILD / ".awala-stamp").exists()
    if tool == "namespaces":
        return shutil.which("ip") is not None and _may_make_namespaces()
    return shutil.which(tool) is not None


@functools.cache
def _may_make_namespaces() -> bool:
    result = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)  # noqa: S607 - wherever it is installed
    return result.returncode == 0


def _installed(packages: Path) -> bool:
    return (packages / "node_modules" / ".awala-stamp").exists()


def _not_served(tools: list[str]) -> str | None:
    """Return what no installation can bring, since the registry says that it does not have it."""
    note = KOTLIN_BUILD / "not-served"
    return note.read_text().splitlines()[0] if tools == ["java"] and note.exists() else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("requires"):
        missing = missing_tools(mark.args)
        if not missing:
            continue
        reason = f"{item.name} needs {', '.join(missing)}"
        not_served = _not_served(missing)
        if not_served is not None:
            pytest.skip(f"{reason}: {not_served}")
        if REQUIRE_ALL:
            pytest.fail(f"{reason}, and AWALA_REQUIRE_ALL=1", pytrace=False)
        pytest.skip(reason)
