# SPDX-License-Identifier: MIT
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dns.dnssec
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from awala.base.errors import AwalaError, ConfigurationError
from awala.bindings.addressing import InsecureAnswer, Service, Target, TrustAnchors
from awala.bindings.addressing.dnssec import MAX_KEYS, MAX_SIGNATURES, ChainValidator
from awala.testing import FakeClock, SignedZones
from helpers.network import network

NAME = "_awala-gsc._tcp.igw.demo.test."
RECORDS = {NAME: ["SRV 0 0 443 poweb.demo.test."]}
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
SRV = dns.rdatatype.SRV


def find(answer, rdtype, covers=dns.rdatatype.NONE):
    return next(rrset for rrset in answer.answer if (rrset.rdtype, rrset.covers) == (rdtype, covers))


def sent(answer):
    """Return the answer as it comes off the wire: dnspython indexes only what it parsed."""
    return dns.message.from_wire(answer.to_wire(max_size=65535))


async def prove(zones, *, now=NOW, tamper=lambda answer: answer, anchors=None, name=NAME, rdtype=SRV):
    """Prove the SRV set of the zones, each answer going through ``tamper``."""

    async def ask(asked, kind):
        return sent(tamper(zones.respond(dns.message.make_query(asked, kind, want_dnssec=True))))

    validator = ChainValidator(anchors or TrustAnchors.parse(zones.trust_anchor), ask)
    owner = dns.name.from_text(name)
    return await validator.prove(await ask(owner, rdtype), owner, rdtype, now)


def replacing(rdtype, change):
    """Return a tamperer that lets ``change`` work on the answers about ``rdtype``."""

    def tamper(answer):
        if answer.question[0].rdtype == rdtype:
            change(answer)
        return answer

    return tamper


def without_signatures(answer):
    answer.answer[:] = [rrset for rrset in answer.answer if rrset.rdtype != dns.rdatatype.RRSIG]


@pytest.fixture(scope="module")
def zones():
    return SignedZones(RECORDS, now=NOW)


@pytest.mark.rule("10.2")
async def test_proves_a_signed_set_from_the_root(zones):
    proven = await prove(zones)
    assert proven.rrset[0].port == 443
    assert proven.ttl == 60


async def test_accepts_a_dnskey_as_anchor(zones):
    root = zones.respond(dns.message.make_query(".", "DNSKEY", want_dnssec=True))
    await prove(zones, anchors=TrustAnchors.parse(root.answer[0].to_text()))


async def test_an_anchor_may_stand_below_the_root(zones):
    query = dns.message.make_query("demo.test.", "DS", want_dnssec=True)
    anchors = TrustAnchors.parse(zones.respond(query).answer[0].to_text())
    await prove(zones, anchors=anchors)


async def test_refuses_a_chain_that_does_not_meet_the_anchor(zones):
    foreign = TrustAnchors.parse(SignedZones(now=NOW).trust_anchor)
    with pytest.raises(InsecureAnswer):
        await prove(zones, anchors=foreign)


async def test_refuses_a_chain_that_ends_beside_the_anchor(zones):
    anchors = TrustAnchors.parse(zones.trust_anchor.replace(". IN", "elsewhere. IN", 1))
    with pytest.raises(InsecureAnswer, match="anchor"):
        await prove(zones, anchors=anchors)


@pytest.mark.rule("10.2")
@pytest.mark.parametrize("rdtype", ["SRV", "DS", "DNSKEY"])
async def test_refuses_unsigned_answers(zones, rdtype):
    with pytest.raises(InsecureAnswer):
        await prove(zones, tamper=replacing(dns.rdatatype.from_text(rdtype), without_signatures))


@pytest.mark.rule("10.2")
@pytest.mark.parametrize("rdtype", ["SRV", "DS", "DNSKEY"])
async def test_refuses_missing_records(zones, rdtype):
    with pytest.raises(InsecureAnswer):
        await prove(
            zones, tamper=replacing(dns.rdatatype.from_text(rdtype), lambda answer: answer.answer.clear())
        )


async def test_refuses_a_forged_record(zones):
    def forge(answer):
        forged = dns.rrset.from_text(NAME, 60, "IN", "SRV", "0 0 443 evil.test.")
        answer.answer[0] = forged

    with pytest.raises(InsecureAnswer, match="signature"):
        await prove(zones, tamper=replacing(SRV, forge))


async def test_refuses_an_added_record(zones):
    def forge(answer):
        addition = dns.rrset.from_text(NAME, 60, "IN", "SRV", "0 0 443 evil.test.")
        answer.answer[0] = dns.rrset.from_rdata(answer.answer[0].name, 60, *answer.answer[0], *addition)

    with pytest.raises(InsecureAnswer):
        await prove(zones, tamper=replacing(SRV, forge))


@pytest.mark.parametrize("days", [-2, 31])
async def test_refuses_signatures_outside_their_time(zones, days):
    with pytest.raises(InsecureAnswer, match="not now"):
        await prove(zones, now=NOW + timedelta(days=days))


async def test_caches_keys_no_longer_than_their_signatures_hold():
    zones = SignedZones(RECORDS, now=NOW, ttl=86400 * 30)
    proven = await prove(zones, now=NOW + timedelta(days=29, hours=23))
    assert proven.ttl == 3600


async def test_refuses_an_expired_signature_of_the_right_signer(zones):
    def expire(answer):
        rrset = find(answer, SRV)
        expired = zones.sign(rrset, "demo.test.", expiration=NOW - timedelta(seconds=1))
        answer.answer[:] = [rrset, expired]

    with pytest.raises(InsecureAnswer):
        await prove(zones, tamper=replacing(SRV, expire))


async def test_refuses_a_signature_by_a_sibling_zone():
    zones = SignedZones(RECORDS, zones=("test.", "demo.test.", "evil.test."), now=NOW)

    def sign_by_sibling(answer):
        rrset = dns.rrset.from_text(NAME, 60, "IN", "SRV", "0 0 443 evil.test.")
        answer.answer[:] = [rrset, zones.sign(rrset, "evil.test.")]

    with pytest.raises(InsecureAnswer, match="its zone"):
        await prove(zones, tamper=replacing(SRV, sign_by_sibling))


async def test_refuses_a_signature_that_only_claims_the_right_signer():
    zones = SignedZones(RECORDS, zones=("test.", "demo.test.", "evil.test."), now=NOW)

    def lie(answer):
        rrset = dns.rrset.from_text(NAME, 60, "IN", "SRV", "0 0 443 evil.test.")
        signature = zones.sign(rrset, "evil.test.")[0]
        claimed = signature.replace(signer=dns.name.from_text("demo.test."))
        answer.answer[:] = [rrset, dns.rrset.from_rdata(rrset.name, 60, claimed)]

    with pytest.raises(InsecureAnswer):
        await prove(zones, tamper=replacing(SRV, lie))


async def test_refuses_a_delegation_that_the_child_signed_itself(zones):
    def sign_by_child(answer):
        if answer.question[0].name == dns.name.from_text("demo.test."):
            rrset = find(answer, dns.rdatatype.DS)
            answer.answer[:] = [rrset, zones.sign(rrset, "demo.test.")]

    with pytest.raises(InsecureAnswer, match="its zone"):
        await prove(zones, tamper=replacing(dns.rdatatype.DS, sign_by_child))


async def test_refuses_keys_that_the_parent_does_not_name(zones):
    stranger = SignedZones(RECORDS, now=NOW)

    def swap(answer):
        if answer.question[0].name == dns.name.from_text("demo.test."):
            other = stranger.respond(dns.message.make_query("demo.test.", "DNSKEY", want_dnssec=True))
            answer.answer[:] = other.answer

    with pytest.raises(InsecureAnswer, match="parent or anchor"):
        await prove(zones, tamper=replacing(dns.rdatatype.DNSKEY, swap))


async def test_refuses_an_added_key_that_the_named_key_did_not_sign(zones):
    stranger = SignedZones(RECORDS, now=NOW)
    foreign = stranger.respond(dns.message.make_query("demo.test.", "DNSKEY")).answer[0]

    def add(answer):
        if answer.question[0].name == dns.name.from_text("demo.test."):
            keys = find(answer, dns.rdatatype.DNSKEY)
            answer.answer[0] = dns.rrset.from_rdata(keys.name, 60, *keys, *foreign)

    with pytest.raises(InsecureAnswer, match="signature"):
        await prove(zones, tamper=replacing(dns.rdatatype.DNSKEY, add))


async def test_refuses_a_revoked_key(zones):
    def revoke(answer):
        keys = find(answer, dns.rdatatype.DNSKEY)
        revoked = [key.replace(flags=int(key.flags) | 0x80) for key in keys]
        answer.answer[0] = dns.rrset.from_rdata(keys.name, 60, *revoked)

    with pytest.raises(InsecureAnswer, match="parent or anchor"):
        await prove(zones, tamper=replacing(dns.rdatatype.DNSKEY, revoke))


async def test_refuses_a_digest_that_proves_nothing_today(zones):
    async def answer(name, rdtype):
        return zones.respond(dns.message.make_query(name, rdtype, want_dnssec=True))

    root = (await answer(".", "DNSKEY")).answer[0]
    ds = dns.dnssec.make_ds(dns.name.root, root[0], "SHA1", policy=dns.dnssec.allow_all_policy)
    anchors = TrustAnchors.parse(f". IN DS {ds.to_text()}")
    with pytest.raises(InsecureAnswer):
        await prove(zones, anchors=anchors)


async def test_refuses_a_wildcard():
    wild = SignedZones({"*.igw.demo.test.": ["SRV 0 0 443 poweb.demo.test."]}, now=NOW)

    def expand(answer):
        rrset = dns.rrset.from_text("*.igw.demo.test.", 60, "IN", "SRV", "0 0 443 poweb.demo.test.")
        signature = wild.sign(rrset, "demo.test.")[0]
        owner = dns.name.from_text("_x.igw.demo.test.")
        answer.answer[:] = [
            dns.rrset.from_rdata(owner, 60, *rrset),
            dns.rrset.from_rdata(owner, 60, signature),
        ]

    with pytest.raises(InsecureAnswer, match="its zone"):
        await prove(wild, tamper=replacing(SRV, expand), name="_x.igw.demo.test.")
    with pytest.raises(InsecureAnswer):
        await prove(wild, name="*.igw.demo.test.")


async def test_refuses_an_insecure_delegation():
    zones = SignedZones(RECORDS, unsigned=("demo.test.",), now=NOW)
    with pytest.raises(InsecureAnswer, match="not signed"):
        await prove(zones)


@pytest.mark.rule("10.2")
async def test_tries_no_more_signatures_than_the_cap(zones):
    def flood(answer):
        rrset = find(answer, SRV)
        signature = find(answer, dns.rdatatype.RRSIG, SRV)[0]
        forged = [signature.replace(key_tag=tag) for tag in range(MAX_SIGNATURES)]
        answer.answer[:] = [rrset, dns.rrset.from_rdata(rrset.name, 60, signature, *forged)]

    with pytest.raises(InsecureAnswer, match="more"):
        await prove(zones, tamper=replacing(SRV, flood))


async def test_passes_over_bad_signatures_within_the_cap(zones):
    def spoil(answer):
        rrset = find(answer, SRV)
        signature = find(answer, dns.rdatatype.RRSIG, SRV)[0]
        bad = [signature.replace(signature=bytes([n]) * 64) for n in range(MAX_SIGNATURES - 1)]
        answer.answer[:] = [rrset, dns.rrset.from_rdata(rrset.name, 60, *bad, signature)]

    await prove(zones, tamper=replacing(SRV, spoil))


@pytest.mark.rule("10.2")
@pytest.mark.parametrize("rdtype", [dns.rdatatype.DNSKEY, dns.rdatatype.DS])
async def test_tries_no_more_keys_than_the_cap(zones, rdtype):
    texts = {
        dns.rdatatype.DNSKEY: [f"257 3 13 {n:02}{'A' * 84}==" for n in range(10, 10 + MAX_KEYS)],
        dns.rdatatype.DS: [f"{n} 13 2 {'00' * 32}" for n in range(MAX_KEYS)],
    }

    def flood(answer):
        rrset = find(answer, rdtype)
        many = dns.rrset.from_text(rrset.name, 60, "IN", dns.rdatatype.to_text(rdtype), *texts[rdtype])
        flooded = dns.rrset.from_rdata(rrset.name, 60, *rrset, *many)
        signer = "." if rdtype == dns.rdatatype.DNSKEY else rrset.name.parent().to_text()
        answer.answer[:] = [flooded, zones.sign(flooded, signer)]

    with pytest.raises(InsecureAnswer, match="more"):
        await prove(zones, tamper=replacing(rdtype, flood))


async def test_follows_no_more_zones_than_the_cap():
    names = ["test."]
    while len(names) < 20:
        names.append(f"z.{names[-1]}")
    deep = f"_x.{names[-1]}"
    zones = SignedZones({deep: ["SRV 0 0 443 host.test."]}, zones=names, now=NOW)
    with pytest.raises(InsecureAnswer, match="too long"):
        await prove(zones, name=deep)


@settings(max_examples=150)
@given(data=st.data())
async def test_survives_mutated_answers_without_believing_another_target(zones, data):
    owner = dns.name.from_text(NAME)

    async def ask(name, rdtype):
        return sent(zones.respond(dns.message.make_query(name, rdtype, want_dnssec=True)))

    wire = bytearray((await ask(owner, SRV)).to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    validator = ChainValidator(TrustAnchors.parse(zones.trust_anchor), ask)
    try:
        answer = dns.message.from_wire(bytes(wire))
    except Exception:  # noqa: BLE001 - dnspython's own matter here; DohClient maps it
        return
    try:
        proven = await validator.prove(answer, owner, SRV, NOW)
    except AwalaError:
        return
    # Names have no case in a signature (RFC 4034 §6.2).
    targets = [(record.target.to_text().lower(), record.port) for record in proven.rrset]
    assert targets == [("poweb.demo.test.", 443)]


async def test_a_whole_look_up_needs_six_queries_and_the_next_one_only_one():
    clock = FakeClock(NOW)
    other = "_awala-gsc._tcp.other.demo.test."
    records = RECORDS | {other: ["SRV 0 0 443 other.demo.test."]}
    async with network(records, now=NOW) as net, net.resolver(clock=clock) as resolver:
        await resolver.locate("igw.demo.test", Service.GATEWAY_SYNC)
        assert len(net.doh.queries) == 6
        assert await resolver.locate("other.demo.test", Service.GATEWAY_SYNC) == [
            Target("other.demo.test", 443)
        ]
        assert len(net.doh.queries) == 7


async def test_an_alias_into_an_unsigned_zone_proves_nothing():
    records = {NAME: ["CNAME x.plain.test."], "x.plain.test.": ["SRV 0 0 443 evil.test."]}
    zones = ("test.", "demo.test.", "plain.test.")
    async with network(records, zones=zones, unsigned=("plain.test.",)) as net, net.resolver() as resolver:
        with pytest.raises(InsecureAnswer):
            await resolver.locate("igw.demo.test", Service.GATEWAY_SYNC)


@pytest.mark.parametrize(
    "text", ["", "; nothing\n", "nonsense", ". IN A 127.0.0.1", ". IN DS 1 2", "$INCLUDE /etc/passwd"]
)
def test_refuses_what_is_no_anchor_file(text):
    with pytest.raises(ConfigurationError, match="anchors"):
        TrustAnchors.parse(text)


def test_reads_an_anchor_file(tmp_path):
    path = tmp_path / "anchors"
    path.write_text("; the root\n" + SignedZones().trust_anchor)
    assert dns.name.root in TrustAnchors.load(path)
    path.write_bytes(b"\xff")
    for bad in (path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError, match="cannot read"):
            TrustAnchors.load(bad)


def test_knows_the_public_root():
    assert len(TrustAnchors.of_the_public_root().at(dns.name.root)[0]) == 2
