# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import ssl

import dns.flags
import dns.message
import dns.rcode
import pytest

from awala.base.errors import ConfigurationError
from awala.bindings.addressing import (
    DohResolver,
    ForbiddenAddressError,
    InsecureAnswer,
    InvalidAddressError,
    NotFound,
    ResolverUnavailable,
    Service,
    Target,
    TrustAnchors,
    Validation,
)
from awala.bindings.addressing import resolver as resolver_module
from awala.bindings.asgi import HttpApp, Response
from awala.bindings.serving import serve
from awala.testing import Authority, FakeClock, SignedZones
from helpers.network import network

NAME = "_awala-gsc._tcp.igw.demo.test"
RECORDS = {
    NAME: ["SRV 1 0 443 second.igw.demo.test.", "SRV 0 0 8443 Poweb.igw.demo.test."],
    "poweb.igw.demo.test": ["A 127.0.0.1", "A 127.0.0.2", "AAAA ::1"],
}
BOTH = pytest.mark.parametrize("validation", Validation)


async def locate(resolver, address="igw.demo.test"):
    return await resolver.locate(address, Service.GATEWAY_SYNC)


@pytest.mark.rule("10.1")
@BOTH
async def test_locates_a_service_in_the_order_of_priorities(validation):
    async with network(RECORDS) as net, net.resolver(validation) as resolver:
        assert await locate(resolver, "IGW.Demo.Test.") == [
            Target("poweb.igw.demo.test", 8443),
            Target("second.igw.demo.test", 443),
        ]


@BOTH
async def test_gives_the_addresses_of_a_host(validation):
    async with network(RECORDS) as net, net.resolver(validation) as resolver:
        assert sorted(await resolver.addresses("poweb.igw.demo.test")) == ["127.0.0.1", "127.0.0.2", "::1"]


@pytest.mark.rule("10.1")
@pytest.mark.parametrize(
    ("validation", "error"), [(Validation.AD, NotFound), (Validation.LOCAL, InsecureAnswer)]
)
async def test_never_falls_back_to_the_bare_host(validation, error):
    async with network({"igw.demo.test": ["A 127.0.0.1"]}) as net, net.resolver(validation) as resolver:
        with pytest.raises(error) as caught:
            await locate(resolver)
        assert caught.value.retryable
        assert all("A" not in query.split() for query in net.doh.queries)


@BOTH
async def test_follows_a_signed_alias(validation):
    records = {
        NAME: ["CNAME services.test."],
        "services.test": ["SRV 0 0 443 host.test."],
    }
    async with network(records) as net, net.resolver(validation) as resolver:
        assert await locate(resolver) == [Target("host.test", 443)]


@BOTH
async def test_gives_up_on_a_loop_of_aliases(validation):
    records = {NAME: ["CNAME loop.test."], "loop.test": [f"CNAME {NAME}."]}
    async with network(records) as net, net.resolver(validation) as resolver:
        with pytest.raises((InsecureAnswer, ResolverUnavailable, NotFound)):
            await locate(resolver)


async def test_gives_up_on_a_loop_of_aliases_on_the_way_to_a_host():
    async with (
        network({"a.test": ["CNAME b.test."], "b.test": ["CNAME a.test."]}) as net,
        net.resolver() as resolver,
    ):
        with pytest.raises(ResolverUnavailable):
            await resolver.addresses("a.test")


@BOTH
async def test_asks_again_only_when_the_time_to_live_is_over(validation):
    clock = FakeClock()
    async with (
        network(RECORDS, now=clock.now(), ttl=60) as net,
        net.resolver(validation, clock=clock) as resolver,
    ):
        await locate(resolver)
        await resolver.addresses("poweb.igw.demo.test")
        asked = len(net.doh.queries)
        await clock.advance(59)
        await locate(resolver)
        await resolver.addresses("poweb.igw.demo.test")
        assert len(net.doh.queries) == asked
        net.zones.set(NAME, "SRV 0 0 99 moved.test.")
        await clock.advance(1)
        assert await locate(resolver) == [Target("moved.test", 99)]


async def test_those_who_ask_at_once_share_one_look_up():
    async with network(RECORDS) as net, net.resolver() as resolver:
        answers = await asyncio.gather(*(locate(resolver) for _ in range(10)))
        assert len(answers) == 10
        assert sum(query.endswith(" SRV") for query in net.doh.queries) == 1


async def test_those_who_wait_for_a_look_up_share_its_failure_and_the_next_asks_again():
    async with network(tamper=_failing) as net, net.resolver() as resolver:
        results = await asyncio.gather(*(locate(resolver) for _ in range(10)), return_exceptions=True)
        assert {type(result) for result in results} == {ResolverUnavailable}
        assert len(net.doh.queries) == 1
        with pytest.raises(ResolverUnavailable):
            await locate(resolver)
        assert len(net.doh.queries) == 2


async def test_a_look_up_as_a_whole_is_bounded(monkeypatch):
    monkeypatch.setattr(resolver_module, "LOOKUP_TIMEOUT", 0)
    async with network(RECORDS) as net, net.resolver() as resolver:
        with pytest.raises(ResolverUnavailable, match="too long"):
            await locate(resolver)


async def test_draws_anew_among_equals_on_every_look_up():
    records = {NAME: [f"SRV 0 10 {port} host.test." for port in range(1, 9)]}
    async with network(records) as net, net.resolver() as resolver:
        orders = {tuple(await locate(resolver)) for _ in range(20)}
        assert len(orders) > 1


@BOTH
@pytest.mark.parametrize("target", ["127.0.0.1.", "10.0.0.1.", "5.", "-bad.test."])
async def test_refuses_a_target_that_is_no_host_name(validation, target):
    async with network({NAME: [f"SRV 0 0 443 {target}"]}) as net, net.resolver(validation) as resolver:
        with pytest.raises(NotFound):
            await locate(resolver)


@BOTH
async def test_skips_unusable_targets_beside_usable_ones(validation):
    records = {NAME: ["SRV 0 0 443 127.0.0.1.", "SRV 1 0 0 zero.test.", "SRV 2 0 443 good.test."]}
    async with network(records) as net, net.resolver(validation) as resolver:
        assert await locate(resolver) == [Target("good.test", 443)]


async def test_a_single_root_target_means_no_service():
    async with network({NAME: ["SRV 0 0 0 ."]}) as net, net.resolver() as resolver:
        with pytest.raises(NotFound, match="does not offer"):
            await locate(resolver)


@pytest.mark.parametrize("address", ["127.0.0.1", "no host", "", "a" * 250])
async def test_asks_nothing_about_what_is_no_internet_address(address):
    async with network() as net, net.resolver() as resolver:
        with pytest.raises(InvalidAddressError):
            await locate(resolver, address)
        assert net.doh.queries == []


async def test_refuses_a_name_that_grows_too_long_with_the_service_label():
    async with network() as net, net.resolver() as resolver:
        with pytest.raises(InvalidAddressError):
            await locate(resolver, ".".join(["abcdefg"] * 31))


@pytest.mark.parametrize(
    "addresses", [["A 127.0.0.1"], ["A 10.0.0.1", "AAAA fe80::1"], ["AAAA ::ffff:127.0.0.1"]]
)
async def test_refuses_a_host_that_leads_to_the_local_network(addresses):
    async with network({"inside.test": addresses}) as net, net.resolver(allow_networks=()) as resolver:
        with pytest.raises(ForbiddenAddressError):
            await resolver.addresses("inside.test")


async def test_keeps_the_public_addresses_of_a_host():
    records = {"mixed.test": ["A 10.0.0.1", "A 8.8.8.8"]}
    async with network(records) as net, net.resolver(allow_networks=()) as resolver:
        assert await resolver.addresses("mixed.test") == ["8.8.8.8"]


async def test_an_ip_address_stands_for_itself_under_the_policy():
    async with network() as net, net.resolver(allow_networks=["::1/128"]) as resolver:
        assert await resolver.addresses("[::1]") == ["::1"]
        with pytest.raises(ForbiddenAddressError):
            await resolver.addresses("127.0.0.1")
        assert net.doh.queries == []


async def test_a_host_without_addresses_is_not_found():
    async with network({"text.test": ['TXT "nothing"']}) as net, net.resolver() as resolver:
        for host in ("text.test", "nowhere.test"):
            with pytest.raises(NotFound):
                await resolver.addresses(host)


async def test_one_family_suffices_when_the_other_cannot_be_asked():
    def tamper(answer):
        if answer.question[0].to_text().endswith("AAAA"):
            answer.set_rcode(dns.rcode.SERVFAIL)
        return answer

    records = {"four.test": ["A 127.0.0.1"], "six.test": ["AAAA ::1"]}
    async with network(records, tamper=tamper) as net, net.resolver() as resolver:
        assert await resolver.addresses("four.test") == ["127.0.0.1"]
        with pytest.raises(ResolverUnavailable):
            await resolver.addresses("six.test")


@pytest.mark.rule("10.2")
async def test_takes_no_answer_without_the_ad_flag():
    def tamper(answer):
        answer.flags &= ~dns.flags.AD
        return answer

    async with network(RECORDS, tamper=tamper) as net, net.resolver(Validation.AD) as resolver:
        for address in ("igw.demo.test", "nowhere.test"):
            with pytest.raises(InsecureAnswer):
                await locate(resolver, address)
        assert await resolver.addresses("poweb.igw.demo.test")


@pytest.mark.rule("10.2")
async def test_local_validation_does_not_need_the_ad_flag():
    def tamper(answer):
        answer.flags &= ~dns.flags.AD
        return answer

    async with network(RECORDS, tamper=tamper) as net, net.resolver() as resolver:
        assert await locate(resolver)


def _wrong_question(_answer):
    forged = dns.message.make_response(dns.message.make_query("other.test", "SRV", id=0))
    forged.flags |= dns.flags.AD
    return forged


def _truncated(answer):
    answer.flags |= dns.flags.TC
    return answer


def _failing(answer):
    answer.set_rcode(dns.rcode.SERVFAIL)
    return answer


def _not_a_response(answer):
    answer.flags &= ~dns.flags.QR
    return answer


def _contradicting(answer):
    answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer


@pytest.mark.parametrize("tamper", [_wrong_question, _truncated, _failing, _not_a_response, _contradicting])
async def test_refuses_answers_that_do_not_fit(tamper):
    async with network(RECORDS, tamper=tamper) as net, net.resolver(Validation.AD) as resolver:
        with pytest.raises(ResolverUnavailable) as caught:
            await locate(resolver)
        assert caught.value.retryable


@pytest.mark.parametrize(
    "response",
    [
        Response(500, b"", "application/dns-message"),
        Response(302, b"", headers={"Location": "/elsewhere"}),
        Response(200, b"<html>", "text/html"),
        Response(200, b"", "application/dns-message"),
        Response(200, b"\x00" * 12, "application/dns-message"),
        Response(200, b"\xff" * 100, "application/dns-message"),
        Response(200, b"\x00" * 70_000, "application/dns-message"),
    ],
)
async def test_refuses_http_answers_that_are_no_dns_message(response):
    authority = Authority.create()

    async def answer(_request):
        return response

    app = HttpApp({"/dns-query": {"POST": answer}})
    async with serve(app, "127.0.0.1:0", tls=authority.server_context("127.0.0.1")) as server:
        url = f"https://{server.address}/dns-query"
        async with DohResolver(url, tls=authority.client_context()) as resolver:
            with pytest.raises(ResolverUnavailable):
                await locate(resolver)


async def test_a_resolver_that_hangs_is_given_up_in_time():
    authority = Authority.create()

    async def answer(_request):
        await asyncio.Event().wait()

    app = HttpApp({"/dns-query": {"POST": answer}})
    async with serve(app, "127.0.0.1:0", tls=authority.server_context("127.0.0.1"), grace=0) as server:
        url = f"https://{server.address}/dns-query"
        async with DohResolver(url, tls=authority.client_context(), timeout=0.2) as resolver:
            with pytest.raises(ResolverUnavailable, match="in time"):
                await locate(resolver)


async def test_a_resolver_that_is_not_there_is_unavailable():
    async with network() as net:
        resolver = net.resolver()
    async with resolver:
        with pytest.raises(ResolverUnavailable):
            await locate(resolver)


async def test_a_resolver_with_a_foreign_certificate_is_not_asked():
    async with network(RECORDS) as net:
        foreign = Authority.create().client_context()
        async with DohResolver(net.doh.url, tls=foreign) as resolver:
            with pytest.raises(ResolverUnavailable):
                await locate(resolver)
        assert net.doh.queries == []


@pytest.mark.rule("10.2")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/dns-query", "ftp://x", "https://", "https://[", "https://a:b", "nonsense"]
)
def test_refuses_a_resolver_url_without_tls(url):
    with pytest.raises(ConfigurationError, match="url"):
        DohResolver(url, tls=ssl.create_default_context())


def test_refuses_anchors_that_nobody_would_use():
    anchors = TrustAnchors.parse(SignedZones().trust_anchor)
    with pytest.raises(ConfigurationError, match="anchors"):
        DohResolver(validation=Validation.AD, anchors=anchors)


async def test_trusts_the_public_root_by_default():
    async with network(RECORDS) as net:
        tls = net.authority.client_context()
        async with DohResolver(net.doh.url, validation=Validation.LOCAL, tls=tls) as resolver:
            with pytest.raises(InsecureAnswer):
                await locate(resolver)
