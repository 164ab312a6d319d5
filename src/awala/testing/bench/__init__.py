# SPDX-License-Identifier: MIT
"""The measurements behind ``awala bench``: each sets what this program does beside the bare work below it."""

from awala.testing.bench.figures import Figure, Plan, Report
from awala.testing.bench.registry import BENCHES, Entry, measure

__all__ = ["BENCHES", "Entry", "Figure", "Plan", "Report", "measure"]
