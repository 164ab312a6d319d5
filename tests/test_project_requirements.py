# SPDX-License-Identifier: MIT

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETS = runpy.run_path(str(ROOT / "scripts" / "environment.py"), run_name="environment")["SETS"]


def pins(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {line.split(" ")[0] for line in text.splitlines() if line[:1].isalnum()}


@pytest.mark.parametrize("name", SETS)
def test_a_set_that_is_said_to_hold_another_does(name):
    assert all(pins(name) <= pins(holder) for holder in SETS[name])


def test_nothing_but_fuzzing_needs_the_fuzzer():
    assert {name for name in SETS if "atheris==3.0.0" in pins(name)} == {"fuzz"}
