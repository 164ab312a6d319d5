# SPDX-License-Identifier: MIT
"""What holds for all tests: tools that may be missing, a clean environment, calm hypothesis."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REQUIRE_ALL = os.environ.get("AWALA_REQUIRE_ALL") == "1"
NODE_MODULES = Path(__file__).parent / "interop" / "js" / "node_modules"

for _variable in [name for name in os.environ if name.startswith("AWALA_") and name != "AWALA_REQUIRE_ALL"]:
    del os.environ[_variable]

settings.register_profile("awala", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("awala")


def missing_tools(tools: tuple[str, ...]) -> list[str]:
    return [tool for tool in tools if not _present(tool)]


def _present(tool: str) -> bool:
    if tool == "node":
        return shutil.which("node") is not None and (NODE_MODULES / ".awala-stamp").exists()
    return shutil.which(tool) is not None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("requires"):
        missing = missing_tools(mark.args)
        if not missing:
            continue
        reason = f"{item.name} needs {', '.join(missing)}"
        if REQUIRE_ALL:
            pytest.fail(f"{reason}, and AWALA_REQUIRE_ALL=1", pytrace=False)
        pytest.skip(reason)
