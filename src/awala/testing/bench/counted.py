# SPDX-License-Identifier: MIT
"""Runs the public command given as arguments, and tells for each line on standard input what it used so far.

The command ends with standard input, so that it never outlives who measures it.
"""

from __future__ import annotations

import json
import os
import resource
import runpy
import signal
import sys
import threading

from awala.testing.bench.figures import peak_memory


def main() -> None:
    """Run the command in this thread, and answer in another one."""
    threading.Thread(target=_answer, daemon=True).start()
    runpy.run_module("awala", run_name="__main__", alter_sys=True)


def _answer() -> None:
    for _line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        usage = {"seconds": used.ru_utime + used.ru_stime, "peak": peak_memory()}
        sys.stdout.write(json.dumps(usage) + "\n")
        sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
