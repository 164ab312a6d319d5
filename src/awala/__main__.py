# SPDX-License-Identifier: MIT
"""``python -m awala``: the program ``awala`` for those whose PATH lacks it."""

from awala.cli import main

if __name__ == "__main__":
    main()
