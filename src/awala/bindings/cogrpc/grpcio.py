# SPDX-License-Identifier: MIT
"""The one place where grpcio is imported, quietly: its core prints peers' addresses (design, privacy)."""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

__all__ = ["grpc"]
