# SPDX-License-Identifier: MIT
"""How long what nodes issue lives, in each role, and which of several certificates counts (rules §2)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from awala.messages import CargoCollectionAuthorization, CargoCollectionRequest, Registration
from awala.messages.registration import RegistrationRequest
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import IDENTITY_LABEL, PrivateEndpoint
from awala.nodes.held_paths import MAX_HELD, HeldPaths
from awala.pki import CertificationPath, Role, issue_now
from awala.pki.lifetimes import BACKDATING, MAX_CERTIFICATE_LIFE
from awala.spool import MemorySpool
from awala.vault import MemoryVault
from helpers.nodes import (
    DAY,
    ENDPOINT,
    HOUR,
    IGW,
    NOW,
    OTHER_IGW,
    PEER,
    PGW,
    DirectPoWeb,
    certify,
    internet_side,
    private_side,
)


@pytest.fixture
async def internet():
    return await internet_side()


@pytest.fixture
async def gateway(internet):
    return await private_side(internet)


@pytest.fixture
async def endpoint(gateway):
    vault = MemoryVault()
    await vault.save_identity(IDENTITY_LABEL, ENDPOINT)
    endpoint = await PrivateEndpoint.open(
        vault=vault, spool=MemorySpool(), clock=gateway.clock, client=DirectPoWeb(gateway.node.local)
    )
    await endpoint.register()
    return endpoint


def begins_and_ends(certificate):
    return certificate.not_before, certificate.not_after


SPAN = (NOW - BACKDATING, NOW - BACKDATING + MAX_CERTIFICATE_LIFE)


@pytest.mark.rule("2.4", "2.5")
async def test_an_internet_gateway_issues_itself_180_days(internet):
    assert begins_and_ends(internet.node.credentials.current(NOW)) == SPAN


@pytest.mark.rule("2.4", "2.6")
async def test_a_private_gateway_gets_180_days_but_never_more_than_its_issuer_has(internet, gateway):
    assert begins_and_ends(gateway.own_certificate()) == SPAN

    internet.clock.jump(NOW + 29 * DAY)
    door = internet.node.gateway_door
    request = RegistrationRequest(PGW.public_key, await door.preregister(PGW.public_key.digest))
    later = Registration.parse(await door.register(request.serialize(PGW)))
    assert later.node_certificate.not_before == internet.clock.now() - BACKDATING
    assert later.node_certificate.not_after == later.gateway_certificate.not_after == SPAN[1]


@pytest.mark.rule("2.4", "2.7", "2.8")
async def test_endpoint_and_peers_get_what_the_private_gateway_has(gateway, endpoint):
    gateway.clock.jump(NOW + DAY)
    await endpoint.register()
    leaf = endpoint.own_path().leaf
    peer = Peer(PEER.node_id, PeerKind.PRIVATE, PEER.public_key, None)
    pda = (await endpoint.authorise(peer)).authorization.leaf

    for certificate in (leaf, pda):
        assert certificate.not_after == gateway.own_certificate().not_after
    assert leaf.not_before == SPAN[0]  # what was there already had the same issuer
    assert pda.not_before == NOW + DAY - BACKDATING


@pytest.mark.rule("2.8")
async def test_a_peer_may_get_less_but_never_more(endpoint):
    for until, expected in ((NOW + DAY, NOW + DAY), (NOW + 900 * DAY, SPAN[1])):
        params = await endpoint.identity.authorizations.grant(
            PEER.public_key,
            own_path=endpoint.own_path(),
            gateway_address="igw.demo.test",
            now=NOW,
            until=until,
        )
        assert params.authorization.leaf.not_after == expected


@pytest.mark.rule("2.9")
async def test_couriers_get_authorisations_for_90_days_under_an_issuer_of_180(internet, gateway):
    issuer = await gateway.node.credentials.cda_issuer()
    octets = await gateway.node.freight.authorization(gateway.node.credentials.peer)
    cca = CargoCollectionAuthorization.parse(octets)
    plaintext = await internet.sessions.open(
        cca.payload, own_id=IGW.node_id, peer_id=PGW.node_id, message_date=cca.creation_date, now=NOW
    )
    cda = CargoCollectionRequest.parse(plaintext).cargo_delivery_authorization

    assert begins_and_ends(issuer) == SPAN
    assert begins_and_ends(cda) == (NOW - BACKDATING, NOW + 90 * DAY)
    assert (cca.creation_date, cca.expiry_date) == (NOW - BACKDATING, NOW + 90 * DAY)


@pytest.mark.rule("2.4")
async def test_an_endpoint_issues_itself_180_days_for_peers_on_the_internet(endpoint):
    certificate = await endpoint.identity._sealer._self_issued_certificate(NOW)
    assert begins_and_ends(certificate) == SPAN


@pytest.mark.rule("2.4")
def test_nothing_begins_before_its_issuer_or_ends_after_it():
    issuer = certify(IGW, IGW, None, Role.SELF_ISSUED_GATEWAY, since=-HOUR, life=10 * DAY)
    issued = issue_now(subject_key=PGW.public_key, issuer_key=IGW, issuer=issuer, role=Role.GATEWAY, now=NOW)
    assert begins_and_ends(issued) == (NOW - HOUR, NOW + 10 * DAY)


class TestHeldPaths:
    """Which of several certificates counts, and how many there may be."""

    @pytest.fixture
    def vault(self):
        return MemoryVault()

    @pytest.fixture
    def held(self, vault):
        return HeldPaths(vault, subject_id=PGW.node_id, purpose="test")

    @staticmethod
    def path(issuer=IGW, **dates):
        anchor = certify(issuer, issuer, None, Role.SELF_ISSUED_GATEWAY, life=400 * DAY, since=-400 * DAY)
        return CertificationPath(certify(PGW, issuer, anchor, Role.GATEWAY, **dates), (anchor,))

    async def test_of_those_that_have_begun_the_one_that_lasts_longest_is_shown(self, held):
        short, long = self.path(life=10 * DAY), self.path(life=20 * DAY)
        ahead = self.path(since=DAY, life=30 * DAY)
        for each in (long, ahead, short):
            await held.add(each)

        assert held.in_use(NOW) == long
        assert held.in_use(NOW + 2 * DAY) == ahead
        assert held.in_use(NOW + 30 * DAY) is None
        assert held.unexpired(NOW) == [ahead, long, short]

    @pytest.mark.rule("2.1")
    async def test_one_that_begins_within_the_tolerance_of_clocks_is_better_than_none(self, held):
        soon, late = self.path(since=HOUR), self.path(since=3 * HOUR)
        for each in (soon, late):
            await held.add(each)
        assert held.in_use(NOW) == soon

    async def test_those_of_another_issuer_are_told_apart(self, held):
        own, other = self.path(), self.path(OTHER_IGW, life=200 * DAY)
        for each in (own, other):
            await held.add(each)
        assert held.in_use(NOW, IGW.node_id) == own
        assert held.unexpired(NOW, OTHER_IGW.node_id) == [other]

    async def test_no_issuer_can_make_us_keep_any_number(self, held, vault):
        other = self.path(OTHER_IGW, life=DAY)
        await held.add(other)
        made = [self.path(life=(number + 1) * DAY) for number in range(MAX_HELD + 3)]
        for each in made:
            await held.add(each)
            await held.add(each)

        assert held.unexpired(NOW, IGW.node_id) == made[: -MAX_HELD - 1 : -1]
        assert held.unexpired(NOW, OTHER_IGW.node_id) == [other]
        again = HeldPaths(vault, subject_id=PGW.node_id, purpose="test")
        await again.load(NOW)
        assert again.unexpired(NOW) == held.unexpired(NOW)
        assert len(again.unexpired(NOW - timedelta(days=1))) == MAX_HELD + 1
