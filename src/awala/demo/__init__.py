# SPDX-License-Identifier: MIT
"""A whole network on this machine, to look at and to check."""

from awala.demo.building import open_network
from awala.demo.checks import STEPS, Result, run_steps
from awala.demo.errors import CheckFailedError, DemoError
from awala.demo.network import Network, Side

__all__ = [
    "STEPS",
    "CheckFailedError",
    "DemoError",
    "Network",
    "Result",
    "Side",
    "open_network",
    "run_steps",
]
