# SPDX-License-Identifier: MIT
"""What our tests, the demonstration and our users' tests share; no part of a running node."""

from awala.testing.authority import Authority, IssuedCertificate
from awala.testing.chaos import ChaosProxy, Weather
from awala.testing.clock import FakeClock
from awala.testing.doh import DohServer, serve_doh
from awala.testing.proxy import TcpProxy
from awala.testing.zones import SignedZones

__all__ = [
    "Authority",
    "ChaosProxy",
    "DohServer",
    "FakeClock",
    "IssuedCertificate",
    "SignedZones",
    "TcpProxy",
    "Weather",
    "serve_doh",
]
