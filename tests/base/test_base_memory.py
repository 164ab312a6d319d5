# SPDX-License-Identifier: MIT

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from awala.base.memory import keep_freed_memory

FAULTS_OF_LARGE_BUFFERS = """
import resource, sys
from awala.base.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = 0
for turn in range(20):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    buffers = [bytearray(b"x") * (5 << 20) for _ in range(4)]
    del buffers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_used_again():
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", FAULTS_OF_LARGE_BUFFERS, how]))
        for how in ("keep", "default")
    }

    assert faults["keep"] < faults["default"] / 5


@pytest.mark.parametrize("error", [OSError, AttributeError])
def test_another_c_library_is_left_alone(monkeypatch, error):
    def no_library(_name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", no_library)

    assert keep_freed_memory() is False
