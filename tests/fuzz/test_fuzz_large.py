# SPDX-License-Identifier: MIT
"""Large inputs that are made to cost memory or time: at most 64 MiB above the input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.large import LARGE

TESTS = Path(__file__).parent.parent
MEMORY_LIMIT = 64 * 1024 * 1024
TIME_LIMIT = 10
"""Seconds; each takes two at most, but tests run side by side."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process anew")


@pytest.fixture(scope="module")
def costs():
    result = subprocess.run(
        [sys.executable, "-m", "fuzz.large"],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {line["name"]: line for line in map(json.loads, result.stdout.splitlines())}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_input_takes_bounded_memory_and_time(name, costs):
    assert costs[name]["memory"] <= MEMORY_LIMIT
    assert costs[name]["seconds"] <= TIME_LIMIT


def test_what_is_measured_is_what_reading_takes(costs):
    assert costs["parcel-in-full"]["memory"] > 8_000_000, "the payload alone takes more"
