# SPDX-License-Identifier: MIT
"""What the builder of the Kotlin peer makes of Maven's complaints."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "kotlin_peer.py"

LACKING = """\
[ERROR] The following artifacts could not be resolved: tech.relaycorp:awala:jar:1.69.2, \
tech.relaycorp:cogrpc-okhttp:jar:1.1.28: Could not find artifact tech.relaycorp:awala:jar:1.69.2 in central"""


@pytest.fixture(scope="module")
def script():
    specification = importlib.util.spec_from_file_location("kotlin_peer_script", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_libraries_that_the_registry_lacks_are_named_once(script):
    assert script.not_served(LACKING) == [
        "tech.relaycorp:awala:1.69.2",
        "tech.relaycorp:cogrpc-okhttp:1.1.28",
    ]


@pytest.mark.parametrize(
    "trouble",
    [
        "Could not transfer artifact tech.relaycorp:awala:jar:1.69.2 from/to central: timed out",
        "COMPILATION ERROR",
    ],
)
def test_a_build_that_fails_otherwise_is_not_blamed_on_the_registry(script, trouble):
    assert script.not_served(f"{LACKING}\n[ERROR] {trouble}") == []
    assert script.not_served("[ERROR] something else") == []
