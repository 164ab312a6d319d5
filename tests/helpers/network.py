# SPDX-License-Identifier: MIT
"""A small Internet on loopback: a DoH server over TLS, an authority, resolvers that ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import dns.message

from awala.bindings.addressing import DohResolver, Target, TrustAnchors, Validation
from awala.testing import Authority, DohServer, SignedZones, serve_doh

LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass
class Network:
    zones: SignedZones
    authority: Authority
    doh: DohServer

    def resolver(self, validation=Validation.LOCAL, **settings) -> DohResolver:
        if validation is Validation.LOCAL:
            settings.setdefault("anchors", TrustAnchors.parse(self.zones.trust_anchor))
        settings.setdefault("allow_networks", LOOPBACK)
        return DohResolver(
            self.doh.url,
            validation=validation,
            tls=self.authority.client_context(),
            random=Random(7),
            **settings,
        )


@asynccontextmanager
async def network(
    records=None,
    *,
    tamper: Callable[[dns.message.Message], dns.message.Message] = lambda answer: answer,
    **settings,
) -> AsyncIterator[Network]:
    zones = SignedZones(records, **settings)
    authority = Authority.create()
    tls = authority.server_context("127.0.0.1")
    async with serve_doh(lambda query: tamper(zones.respond(query)), tls=tls) as doh:
        yield Network(zones, authority, doh)


class StaticResolver:
    """Answers from two mappings; what is missing there is an error that the test gives."""

    def __init__(self, services=None, hosts=None, error=None):
        self.services = services or {}
        self.hosts = hosts or {}
        self.error = error

    async def locate(self, address, _service):
        if address not in self.services:
            raise self.error
        return [Target(*target) for target in self.services[address]]

    async def addresses(self, host):
        if host not in self.hosts:
            raise self.error
        return list(self.hosts[host])
