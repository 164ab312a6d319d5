# SPDX-License-Identifier: MIT
"""Finds services and hosts through a DoH resolver, with DNSSEC (rules §10)."""

from __future__ import annotations

import asyncio
import random as random_module
import ssl
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from awala.base.clock import Clock, SystemClock
from awala.base.errors import ConfigurationError
from awala.bindings.addressing.anchors import TrustAnchors
from awala.bindings.addressing.cache import TtlCache
from awala.bindings.addressing.dnssec import ChainValidator, Proven
from awala.bindings.addressing.doh import QUERY_TIMEOUT, DohClient
from awala.bindings.addressing.egress import EgressPolicy, IPNetwork
from awala.bindings.addressing.errors import (
    AddressError,
    InsecureAnswer,
    InvalidAddressError,
    NotFound,
    ResolverUnavailable,
)
from awala.bindings.addressing.model import Service, Target, Validation, is_ip_literal, normalise_host
from awala.bindings.addressing.ordering import ServiceRecord, order
from awala.bindings.closing import Closing

MAX_RECORDS: Final = 16
"""Records of one answer that are considered."""

MAX_ALIASES: Final = 8
"""CNAME records followed from a service's name to its SRV records."""

LOOKUP_TIMEOUT: Final = 20.0
"""Seconds for a whole look-up, proof included."""

CLOUDFLARE: Final = "https://cloudflare-dns.com/dns-query"
"""The resolver that the reference implementation asks by default."""

R = TypeVar("R")


class _LookUp:
    """What those who wait for the same look-up share: whose turn it is, and how the last one failed."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.failures = 0
        self.error: AddressError | None = None


class DohResolver(Closing):
    """The ``Resolver`` of real life; also an asynchronous context manager."""

    def __init__(
        self,
        url: str = CLOUDFLARE,
        *,
        validation: Validation = Validation.AD,
        anchors: TrustAnchors | None = None,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
        allow_networks: Iterable[str | IPNetwork] = (),
        random: Random | None = None,
        timeout: float = QUERY_TIMEOUT,
    ) -> None:
        """Configure; nothing is sent yet.

        Args:
            url: of the DoH resolver, https.
            validation: who checks DNSSEC.
            anchors: for local validation; None is the root of the public DNS.
            tls: authenticates the resolver; None trusts what the system trusts.
            clock: tells when signatures and cached answers end.
            allow_networks: addresses that names may lead to besides public ones.
            random: draws among targets of equal priority.
            timeout: seconds for one question.

        Raises:
            ConfigurationError: a setting cannot be used.

        """
        if anchors is not None and validation is not Validation.LOCAL:
            raise ConfigurationError('[resolver] anchors need validation = "local"')
        self._doh = DohClient(url, tls=tls or ssl.create_default_context(), timeout=timeout)
        self._clock = clock or SystemClock()
        self._policy = EgressPolicy(allow_networks)
        self._random = random or random_module.SystemRandom()
        self._validator = (
            ChainValidator(anchors or TrustAnchors.of_the_public_root(), self._ask_unchecked)
            if validation is Validation.LOCAL
            else None
        )
        self._services: TtlCache[str, list[ServiceRecord]] = TtlCache()
        self._hosts: TtlCache[str, list[str]] = TtlCache()
        self._look_ups: WeakValueDictionary[str, _LookUp] = WeakValueDictionary()

    async def aclose(self) -> None:
        """Close the connections to the resolver."""
        await self._doh.aclose()

    async def locate(self, address: str, service: Service) -> list[Target]:
        """Return where ``service`` of the Internet address runs; see ``Resolver.locate``."""
        name = f"{service.value}.{normalise_host(address)}"
        records = await self._cached(self._services, name, lambda: self._find_service(_absolute(name)))
        return order(records, self._random)

    async def addresses(self, host: str) -> list[str]:
        """Return the IP addresses of ``host`` that may be dialled; see ``Resolver.addresses``.

        An IP address stands for itself, if the egress policy permits it. Address records need not be
        signed: the TLS certificate proves the host, and the host was named by proven records.
        """
        if is_ip_literal(host):
            return self._policy.filter([host.strip("[]")], name=host)
        name = normalise_host(host)
        found = await self._cached(self._hosts, name, lambda: self._find_addresses(_absolute(name)))
        return self._policy.filter(found, name=name)

    async def _cached(
        self, cache: TtlCache[str, list[R]], name: str, find: Callable[[], Awaitable[tuple[list[R], float]]]
    ) -> list[R]:
        """Return what the cache holds, or look it up; those who ask at once share the outcome."""
        look_up = self._look_ups.setdefault(name, _LookUp())
        failures = look_up.failures
        async with look_up.lock:
            cached = cache.get(name, self._clock.now())
            if cached is not None:
                return cached
            if look_up.error is not None and look_up.failures != failures:
                raise type(look_up.error)(str(look_up.error), name=name) from look_up.error
            try:
                found, ttl = await self._in_time(find, name)
            except AddressError as error:
                look_up.failures += 1
                look_up.error = error
                raise
            cache.put(name, found, ttl=ttl, now=self._clock.now())
            return found

    async def _in_time(
        self, find: Callable[[], Awaitable[tuple[list[R], float]]], name: str
    ) -> tuple[list[R], float]:
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT):
                return await find()
        except TimeoutError as error:
            raise ResolverUnavailable("The look-up took too long", name=name) from error

    async def _find_service(self, name: dns.name.Name) -> tuple[list[ServiceRecord], float]:
        answer = await self._doh.ask(name, dns.rdatatype.SRV, checking_disabled=self._validator is not None)
        proven = (
            await self._proven_by_us(answer, name) if self._validator else _proven_by_resolver(answer, name)
        )
        return _service_records(proven.rrset), proven.ttl

    async def _proven_by_us(self, answer: dns.message.Message, name: dns.name.Name) -> Proven:
        """Prove the SRV set, and each alias that leads to it."""
        assert self._validator is not None  # noqa: S101 - the caller's condition
        ttl = float("inf")
        now = self._clock.now()
        for _ in range(MAX_ALIASES + 1):
            alias = answer.get_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.CNAME)
            if alias is None:
                proven = await self._validator.prove(answer, name, dns.rdatatype.SRV, now)
                return Proven(proven.rrset, min(ttl, proven.ttl))
            proven = await self._validator.prove(answer, name, dns.rdatatype.CNAME, now)
            ttl = min(ttl, proven.ttl)
            name = proven.rrset[0].target
        raise InsecureAnswer("Too many aliases", name=name.to_text())

    async def _ask_unchecked(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.message.Message:
        return await self._doh.ask(name, rdtype, checking_disabled=True)

    async def _find_addresses(self, name: dns.name.Name) -> tuple[list[str], float]:
        """Return the addresses of both families, IPv6 first; one family suffices."""
        results = await asyncio.gather(
            self._find_family(name, dns.rdatatype.AAAA),
            self._find_family(name, dns.rdatatype.A),
            return_exceptions=True,
        )
        found = [result for result in results if not isinstance(result, BaseException)]
        problems = [result for result in results if isinstance(result, BaseException)]
        addresses = [address for family, _ in found for address in family]
        if addresses:
            return addresses, min(ttl for family, ttl in found if family)
        # "Not found" is only true if neither question failed.
        raise next((p for p in problems if not isinstance(p, NotFound)), problems[0])

    async def _find_family(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> tuple[list[str], float]:
        answer = await self._doh.ask(name, rdtype)
        rrset, ttl = _follow(answer, name)
        if rrset is None:
            raise NotFound("The host has no address", name=name.to_text())
        return [record.address for record in list(rrset)[:MAX_RECORDS]], ttl


def _absolute(name: str) -> dns.name.Name:
    try:
        return dns.name.from_text(name)
    except dns.exception.DNSException as error:
        raise InvalidAddressError("Not a domain name", name=name) from error


def _proven_by_resolver(answer: dns.message.Message, name: dns.name.Name) -> Proven:
    """Take the resolver's word: it has to set the AD flag, for absences too."""
    if not answer.flags & dns.flags.AD:
        raise InsecureAnswer("The resolver could not prove the answer by DNSSEC", name=name.to_text())
    rrset, ttl = _follow(answer, name)
    if rrset is None:
        raise NotFound("The address does not offer this service", name=name.to_text())
    return Proven(rrset, ttl)


def _follow(answer: dns.message.Message, name: dns.name.Name) -> tuple[dns.rrset.RRset | None, float]:
    """Return the answer's record set behind its aliases, if there is one, and its time to live."""
    if not isinstance(answer, dns.message.QueryMessage):
        raise ResolverUnavailable("The resolver's answer is no answer to a query", name=name.to_text())
    try:
        chain = answer.resolve_chaining()
    except dns.exception.DNSException as error:
        raise ResolverUnavailable("The resolver's answer contradicts itself", name=name.to_text()) from error
    return chain.answer, chain.minimum_ttl


def _service_records(rrset: dns.rrset.RRset) -> list[ServiceRecord]:
    """Return the usable records of an SRV set.

    Raises:
        NotFound: the set says that there is no such service (a single target of ".", RFC 2782).
        AddressError: no record has a target that can be used.

    """
    name = rrset.name.to_text()
    if all(record.target == dns.name.root for record in rrset):
        raise NotFound("The address says that it does not offer this service", name=name)
    records: list[ServiceRecord] = []
    problem: AddressError = InvalidAddressError("The service is on port 0", name=name)
    for record in list(rrset)[:MAX_RECORDS]:
        try:
            records.append(_service_record(record))
        except InvalidAddressError as error:
            problem = error
    if not records:
        raise NotFound(f"No target of the service can be used: {problem}", name=name) from problem
    return records


def _service_record(record: Any) -> ServiceRecord:
    host = normalise_host(record.target.to_text(omit_final_dot=True))
    if record.port == 0:
        raise InvalidAddressError("The service is on port 0", name=host)
    return ServiceRecord(record.priority, record.weight, Target(host, record.port))
