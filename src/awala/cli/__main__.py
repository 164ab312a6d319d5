# SPDX-License-Identifier: MIT
"""``python -m awala.cli``: the same program for those whose PATH lacks it."""

from __future__ import annotations

from awala.cli import main

if __name__ == "__main__":
    main()
