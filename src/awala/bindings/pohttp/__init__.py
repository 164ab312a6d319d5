# SPDX-License-Identifier: MIT
"""Parcel delivery over HTTP (PoHTTP): between Internet gateways and Internet endpoints."""

from awala.bindings.pohttp.client import CONNECTION_PARAMS_PATH, PoHttpClient
from awala.bindings.pohttp.outcome import problem_of
from awala.bindings.pohttp.server import PoHttpService, pohttp_app

__all__ = [
    "CONNECTION_PARAMS_PATH",
    "PoHttpClient",
    "PoHttpService",
    "pohttp_app",
    "problem_of",
]
