# SPDX-License-Identifier: MIT
"""What every layer stands on: the error tree, the clock, durable files, SQLite."""
