# SPDX-License-Identifier: MIT
"""The list of benches, each imported only when it is run."""

from __future__ import annotations

import importlib
from typing import NamedTuple, cast

from awala.testing.bench.figures import Plan, Report


class Entry(NamedTuple):
    """Where a bench lives, and what it measures. The module has ``measure(plan: Plan) -> Report``."""

    module: str
    summary: str
    seconds: float
    """How long each of its measurements takes unless the user says otherwise."""


BENCHES = {
    "core": Entry("awala.testing.bench.core", "Sealing and opening parcels, beside bare OpenSSL.", 1.5),
    "spool": Entry(
        "awala.testing.bench.spool", "Operations of the spool, beside bare SQLite and bare files.", 1.0
    ),
    "gateway": Entry(
        "awala.testing.bench.gateway", "A private gateway's whole path, beside the bare work per parcel.", 1.5
    ),
}
"""All benches, in the order in which they are run."""


def measure(name: str, plan: Plan) -> Report:
    """Run the bench of that name, which is one of `BENCHES`."""
    return cast("Report", importlib.import_module(BENCHES[name].module).measure(plan))
