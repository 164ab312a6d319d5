# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta

import dns.dnssec
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import httpx2
import pytest
from cryptography import x509

from awala.testing import Authority, SignedZones, serve_doh

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


def ask(zones, name, rdtype):
    return zones.respond(dns.message.make_query(name, rdtype, want_dnssec=True))


def texts(answer):
    return [record.to_text() for rrset in answer.answer if rrset.rdtype != 46 for record in rrset]


def check(zones, answer, zone):
    keys = ask(zones, zone, "DNSKEY").answer[0]
    dns.dnssec.validate(answer.answer[0], answer.answer[1], {keys.name: keys}, now=NOW.timestamp())


@pytest.mark.parametrize(("name", "zone"), [("a.demo.test", "demo.test."), ("a.test", "test."), ("a", ".")])
def test_signs_each_record_by_its_zone(name, zone):
    zones = SignedZones({name: ["A 127.0.0.1"]}, now=NOW)
    answer = ask(zones, name, "A")
    assert answer.flags & dns.flags.AD
    check(zones, answer, zone)


def test_delegates_from_the_root_down():
    zones = SignedZones(now=NOW)
    check(zones, ask(zones, "demo.test.", "DS"), "test.")
    check(zones, ask(zones, "test.", "DS"), ".")
    check(zones, ask(zones, ".", "DNSKEY"), ".")
    assert zones.trust_anchor.startswith(". IN DS ")


def test_records_change_at_run_time_and_are_signed_anew():
    zones = SignedZones({"a.test": ["A 127.0.0.1"]}, now=NOW)
    ask(zones, "a.test", "A")
    zones.set("a.test", "A 127.0.0.2", "A 127.0.0.3", "AAAA ::1")
    answer = ask(zones, "a.test", "A")
    assert sorted(texts(answer)) == ["127.0.0.2", "127.0.0.3"]
    check(zones, answer, "test.")
    zones.set("a.test")
    assert ask(zones, "a.test", "A").rcode() == dns.rcode.NXDOMAIN


def test_a_zone_keeps_its_own_records():
    zones = SignedZones({"demo.test": ["A 127.0.0.1"]}, now=NOW)
    zones.remove("demo.test")
    assert ask(zones, "demo.test", "DNSKEY").answer
    assert not ask(zones, "demo.test", "A").answer


def test_signatures_can_be_renewed():
    zones = SignedZones({"a.test": ["A 127.0.0.1"]}, now=NOW - timedelta(days=365))
    with pytest.raises(dns.dnssec.ValidationFailure):
        check(zones, ask(zones, "a.test", "A"), "test.")
    zones.resign(NOW)
    check(zones, ask(zones, "a.test", "A"), "test.")


def test_absence_has_a_code_and_the_flag():
    zones = SignedZones({"a.b.test": ["A 127.0.0.1"]}, now=NOW)
    for name, code in (("none.test", dns.rcode.NXDOMAIN), ("b.test", dns.rcode.NOERROR)):
        answer = ask(zones, name, "A")
        assert answer.rcode() == code
        assert answer.answer == []
        assert answer.flags & dns.flags.AD


def test_follows_aliases_as_a_resolver_does():
    zones = SignedZones({"a.test": ["CNAME b.demo.test."], "b.demo.test": ["A 127.0.0.1"]}, now=NOW)
    assert texts(ask(zones, "a.test", "A")) == ["b.demo.test.", "127.0.0.1"]
    assert texts(ask(zones, "a.test", "CNAME")) == ["b.demo.test."]


def test_an_unsigned_zone_has_neither_signatures_nor_the_flag():
    zones = SignedZones({"a.demo.test": ["A 127.0.0.1"]}, unsigned=("test.",), now=NOW)
    answer = ask(zones, "a.demo.test", "A")
    assert len(answer.answer) == 1
    assert not answer.flags & dns.flags.AD
    assert not ask(zones, "test.", "DS").answer


async def test_the_doh_server_answers_over_tls_and_remembers_questions():
    authority = Authority.create()
    zones = SignedZones({"a.test": ["A 127.0.0.1"]})
    async with (
        serve_doh(zones.respond, tls=authority.server_context("127.0.0.1")) as doh,
        httpx2.AsyncClient(verify=authority.client_context(), trust_env=False) as client,
    ):
        headers = {"Content-Type": "application/dns-message"}
        query = dns.message.make_query("a.test", "A", id=0)
        answer = await client.post(doh.url, content=query.to_wire(), headers=headers)
        assert texts(dns.message.from_wire(answer.content)) == ["127.0.0.1"]
        assert doh.queries == ["a.test. A"]
        for content in (b"", b"nonsense", bytes(12)):
            assert (await client.post(doh.url, content=content, headers=headers)).status_code == 400
        assert (await client.post(doh.url, content=b"")).status_code == 415


async def test_the_url_of_the_doh_server_may_name_a_proxy():
    tls = Authority.create().server_context("127.0.0.1")
    async with serve_doh(SignedZones().respond, tls=tls, host="127.0.0.1:1") as doh:
        assert doh.url == "https://127.0.0.1:1/dns-query"


@pytest.mark.parametrize("host", ["host.test", "127.0.0.1", "::1"])
async def test_certificates_are_for_the_hosts_they_name(host):
    authority = Authority.create()

    async def close(_reader, writer):
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0, ssl=authority.server_context(host))
    port = server.sockets[0].getsockname()[1]
    async with server:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=authority.client_context(), server_hostname=host
        )
        writer.close()
        for context, name in (
            (authority.client_context(), "x.test"),
            (Authority.create().client_context(), host),
        ):
            with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
                await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)


def test_certificates_are_written_for_their_owner_only(tmp_path):
    authority = Authority.create(now=NOW)
    ca = authority.write_ca(tmp_path / "ca.crt")
    certificate, key = authority.issue("host.test").write(tmp_path, "gateway")
    assert (certificate.name, key.name) == ("gateway.crt", "gateway.key")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (ca, certificate, key)} == {0o600}
    issued = x509.load_pem_x509_certificate(certificate.read_bytes())
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.read_bytes()))
    assert issued.not_valid_before_utc == NOW - timedelta(days=1)
