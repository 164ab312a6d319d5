# SPDX-License-Identifier: MIT
"""The Internet gateway's door for couriers, and the authorisations (CCAs) that open it."""

from __future__ import annotations

import asyncio

import pytest

from awala.base.errors import StorageFullError
from awala.base.files import StorageError
from awala.bindings.cogrpc import Busy, Fulfilled, WrongRecipient
from awala.bindings.errors import MalformedRequest, Unauthenticated, Unprocessable
from awala.crypto import IdentityPublicKey
from awala.messages import (
    Cargo,
    CargoCollectionAuthorization,
    CargoCollectionRequest,
    CargoMessageSet,
    CertificateRotation,
    MessageType,
    Recipient,
    recognise,
)
from awala.nodes.internet_gateway.claims import CLAIM_LIFE, Claims
from awala.nodes.internet_gateway.courier_door import KOTLIN_MARKS
from awala.nodes.lanes import UNPACK_HOP
from awala.pki import Role, issue
from awala.spool import Identity, Kind, MemorySpool
from awala.testing import FakeClock
from helpers.faults import Faulty
from helpers.nodes import (
    ADDRESS,
    DAY,
    HOUR,
    IGW,
    NOW,
    OTHER_IGW,
    OTHER_PGW,
    PGW,
    cargo,
    cca,
    certify,
    internet_side,
    parcel,
    private_side,
)


@pytest.fixture
async def side():
    return await internet_side()


@pytest.fixture
async def gateway(side):
    return await private_side(side)


CDA_ISSUER = certify(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY)


def cda(
    subject: IdentityPublicKey = IGW.public_key,
    key=PGW,
    issuer=CDA_ISSUER,
    role=Role.DELIVERY_AUTHORIZATION,
    life=90 * DAY,
):
    return issue(
        subject_key=subject,
        issuer_key=key,
        issuer=issuer,
        role=role,
        not_before=NOW - 3 * HOUR,
        not_after=NOW + life,
    )


async def make_cca(gateway, authorization=None, **changes):
    """Make an authorisation as the private gateway would, with whatever inside."""
    inside = CargoCollectionRequest(authorization or cda()).serialize()
    payload = await gateway.sessions.seal(inside, own_id=PGW.node_id, peer_id=IGW.node_id, now=NOW)
    return cca(payload, **({"certificate": gateway.own_certificate()} | changes))


async def collect(side, octets, *, complete=True):
    call = await side.node.courier_door.collect(octets)
    found = []
    async for each in call.cargoes():
        found.append(each.cargo)
        await call.acknowledge(each.delivery_id)
    await call.finish(complete=complete)
    return found


async def items_of(gateway, octets):
    """Open a cargo as the private gateway would."""
    message = Cargo.parse(octets)
    message.authorise([CDA_ISSUER], NOW)
    plaintext = await gateway.sessions.open(
        message.payload,
        own_id=PGW.node_id,
        peer_id=message.sender_id,
        message_date=message.creation_date,
        now=NOW,
    )
    return CargoMessageSet.parse(plaintext).items


class TestDelivery:
    @pytest.mark.rule("4.13")
    async def test_stores_a_cargo_whole(self, side, gateway):
        octets = cargo(certificate=gateway.own_certificate())
        await side.node.courier_door.deliver(octets)
        await side.node.courier_door.deliver(octets)

        [item] = await side.spool.lease(UNPACK_HOP, now=NOW, duration=HOUR, limit=9)
        assert await side.spool.body(item) == octets
        assert side.events.actions == ["stored", "duplicate"]

    @pytest.mark.parametrize(
        "octets",
        [
            cargo(certificate=certify(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY)),
            cargo(
                key=OTHER_PGW,
                certificate=certify(
                    OTHER_PGW,
                    OTHER_IGW,
                    certify(OTHER_IGW, OTHER_IGW, None, Role.SELF_ISSUED_GATEWAY),
                    Role.GATEWAY,
                ),
            ),
            cargo(recipient=Recipient(OTHER_IGW.node_id, ADDRESS)),
            cargo(created=-10 * HOUR, ttl=60),
            cargo(created=3 * HOUR),
        ],
        ids=["self-issued", "another gateway's", "another recipient", "expired", "in the future"],
    )
    async def test_refuses_what_is_not_for_it_or_of_it(self, side, octets):
        with pytest.raises(Unprocessable):
            await side.node.courier_door.deliver(octets)
        assert not await side.spool.totals()

    @pytest.mark.parametrize("octets", [b"", b"rubbish", cargo()[:-3], cca()])
    async def test_says_that_what_it_cannot_read_is_malformed(self, side, octets):
        with pytest.raises(MalformedRequest):
            await side.node.courier_door.deliver(octets)

    async def test_says_when_it_is_full(self):
        side = await internet_side(spool=MemorySpool(quota=100))
        with pytest.raises(StorageFullError):
            await side.node.courier_door.deliver(cargo())


class TestCollection:
    @pytest.mark.rule("6.4")
    async def test_gives_the_parcels_with_the_certificate_that_the_gateway_showed(self, side, gateway):
        _, octets = parcel()
        await side.node.internet_door.deliver(octets)

        [made] = await collect(side, await make_cca(gateway))

        message = Cargo.parse(made)
        assert message.recipient == Recipient(PGW.node_id)
        assert [each.node_id for each in message.sender_chain] == [PGW.node_id]
        assert await items_of(gateway, made) == (octets,)

    async def test_gives_nothing_when_there_is_nothing(self, side, gateway):
        assert await collect(side, await make_cca(gateway)) == []

    async def test_pays_only_what_a_courier_has(self, side, gateway):
        await side.node._unpacker._on_parcel(parcel()[1], PGW.node_id)
        call = await side.node.courier_door.collect(await make_cca(gateway))
        [each] = [each async for each in call.cargoes()]
        await call.acknowledge("unknown")
        assert await side.spool.debts(PGW.node_id, now=NOW, limit=9)

        await call.acknowledge(each.delivery_id)
        await call.acknowledge(each.delivery_id)
        assert not await side.spool.debts(PGW.node_id, now=NOW, limit=9)

    @pytest.mark.rule("6.1")
    async def test_an_authorisation_is_used_once(self, side, gateway):
        octets = await make_cca(gateway)
        await collect(side, octets)

        with pytest.raises(Fulfilled):
            await side.node.courier_door.collect(octets)

    @pytest.mark.rule("6.1")
    async def test_a_cut_call_leaves_it_good(self, side, gateway):
        octets = await make_cca(gateway)
        await collect(side, octets, complete=False)

        await collect(side, octets)

    @pytest.mark.rule("6.1")
    async def test_two_calls_at_once_do_not_share_it(self, side, gateway):
        octets = await make_cca(gateway)
        first = await side.node.courier_door.collect(octets)
        with pytest.raises(Busy):
            await side.node.courier_door.collect(octets)
        await first.finish(complete=False)
        await side.node.courier_door.collect(octets)

    @pytest.mark.rule("3.7")
    async def test_an_old_flag_on_the_authorisation_inside_is_accepted(self, side, gateway):
        assert await collect(side, await make_cca(gateway, cda(role=Role.GATEWAY))) == []

    async def test_without_an_authorisation_it_gives_nothing(self, side):
        with pytest.raises(Unauthenticated):
            await side.node.courier_door.collect(None)

    async def test_an_authorisation_for_another_gateway_is_said_to_be_that(self, side, gateway):
        with pytest.raises(WrongRecipient):
            await side.node.courier_door.collect(
                await make_cca(gateway, recipient=Recipient(OTHER_IGW.node_id, ADDRESS))
            )

    @pytest.mark.rule("3.6")
    @pytest.mark.parametrize(
        "changes",
        [
            {"certificate": certify(PGW, PGW, None, Role.SELF_ISSUED_GATEWAY)},
            {"created": -10 * HOUR, "ttl": 60},
            {"created": 3 * HOUR},
        ],
        ids=["self-issued", "expired", "in the future"],
    )
    async def test_refuses_an_authorisation_that_does_not_hold(self, side, gateway, changes):
        with pytest.raises(Unauthenticated):
            await side.node.courier_door.collect(await make_cca(gateway, **changes))

    @pytest.mark.parametrize("octets", [b"rubbish", cargo(), cca(b"not sealed")])
    async def test_refuses_what_it_cannot_read(self, side, octets):
        with pytest.raises(Unauthenticated):
            await side.node.courier_door.collect(octets)

    @pytest.mark.rule("3.7")
    @pytest.mark.parametrize(
        "authorization",
        [
            cda(OTHER_IGW.public_key),
            cda(key=OTHER_PGW, issuer=certify(OTHER_PGW, OTHER_PGW, None, Role.SELF_ISSUED_GATEWAY)),
            cda(life=-2.5 * HOUR),
            cda(role=Role.ENDPOINT),
            cda(role=Role.SELF_ISSUED_GATEWAY),
        ],
        ids=["another gateway", "another issuer", "expired", "flags of an endpoint", "flags of a gateway"],
    )
    async def test_refuses_a_cargo_delivery_authorisation_that_does_not_hold(
        self, side, gateway, authorization
    ):
        with pytest.raises(Unauthenticated):
            await side.node.courier_door.collect(await make_cca(gateway, authorization))
        # the collection authorisation itself was not used up by that
        assert await collect(side, await make_cca(gateway)) == []

    async def test_no_certificate_is_sent_while_the_present_one_is_good_for_long(self, side, gateway):
        assert await collect(side, await make_cca(gateway)) == []

    async def test_none_is_sent_that_would_not_end_later(self, side, gateway):
        own = side.node.credentials.current(NOW)
        side.clock.jump(NOW + 100 * DAY)
        ending = certify(PGW, IGW, own, Role.GATEWAY, life=170 * DAY)
        authorization = CargoCollectionAuthorization.parse(await make_cca(gateway, certificate=ending))
        assert len(await side.node.courier_door._rotation(authorization, side.clock.now())) == 1
        lasting = certify(PGW, IGW, own, Role.GATEWAY, life=300 * DAY)
        authorization = CargoCollectionAuthorization.parse(await make_cca(gateway, certificate=lasting))
        assert await side.node.courier_door._rotation(authorization, side.clock.now()) == []

    @pytest.mark.rule("2.6")
    async def test_a_certificate_that_is_about_to_end_is_renewed_with_the_cargo(self, side, gateway):
        old = certify(PGW, IGW, side.node.credentials.current(NOW), Role.GATEWAY, life=80 * DAY)

        [made] = await collect(side, await make_cca(gateway, certificate=old))

        assert Cargo.parse(made).expiry_date > NOW + 30 * DAY
        [item] = await items_of(gateway, made)
        assert recognise(item) is MessageType.CERTIFICATE_ROTATION
        rotation = CertificateRotation.parse(item)
        assert rotation.path.leaf.node_id == PGW.node_id
        assert rotation.path.leaf.not_after > old.not_after
        await gateway.node._unpacker._take(item, IGW.node_id)
        assert "dropped" not in gateway.events.actions

    @pytest.mark.rule("6.7")
    @pytest.mark.parametrize("mark", sorted(KOTLIN_MARKS))
    async def test_the_form_of_the_rotation_is_that_of_the_gateways_software(self, side, gateway, mark):
        old = certify(PGW, IGW, side.node.credentials.current(NOW), Role.GATEWAY, life=80 * DAY)
        authorization = CargoCollectionAuthorization.parse(await make_cca(gateway, certificate=old))
        plain = await side.node.courier_door._rotation(authorization, NOW)
        object.__setattr__(authorization, "signed_attribute_types", frozenset({mark}))
        kotlin = await side.node.courier_door._rotation(authorization, NOW)

        assert CertificateRotation.parse(plain[0]).form is not CertificateRotation.parse(kotlin[0]).form


class TestClaims:
    IDENTITY = Identity(Kind.CCA, PGW.node_id, IGW.node_id, "cca")

    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    def spool(self):
        return MemorySpool()

    @pytest.fixture
    def claims(self, spool, clock):
        return Claims(spool, clock)

    async def test_a_claim_whose_call_never_ended_is_free_again_some_time(self, claims, clock):
        await claims.claim(self.IDENTITY)
        clock.jump(NOW + CLAIM_LIFE)

        await claims.claim(self.IDENTITY)

    async def test_freeing_what_was_never_claimed_is_nothing(self, claims):
        claims.free(self.IDENTITY)

    @pytest.mark.rule("6.1")
    async def test_fulfilled_is_remembered_by_the_next_process_until_the_end(self, claims, spool, clock):
        await claims.claim(self.IDENTITY)
        await claims.fulfil(self.IDENTITY, NOW + DAY)
        again = Claims(spool, clock)
        clock.jump(NOW + DAY + HOUR)
        with pytest.raises(Fulfilled):
            await again.claim(self.IDENTITY)

        clock.jump(NOW + DAY + 3 * HOUR)
        await again.claim(self.IDENTITY)
        assert not await spool.totals()

    async def test_several_of_one_gateway_leave_nothing_behind(self, claims, spool):
        other = Identity(Kind.CCA, PGW.node_id, IGW.node_id, "cca-2")
        await claims.fulfil(self.IDENTITY, NOW + DAY)
        await claims.fulfil(other, NOW + DAY)

        assert not await spool.totals()

    async def test_a_call_that_looked_while_another_fulfilled_it_does_not_get_it(self, monkeypatch):
        spool, clock = MemorySpool(), FakeClock()
        claims = Claims(spool, clock)
        await claims.claim(self.IDENTITY)
        look, looked, go_on = spool.seen, asyncio.Event(), asyncio.Event()

        async def slow(identity, *, now):
            seen = await look(identity, now=now)
            looked.set()
            await go_on.wait()
            return seen

        monkeypatch.setattr(spool, "seen", slow)
        second = asyncio.ensure_future(claims.claim(self.IDENTITY))
        await asyncio.wait([second, asyncio.ensure_future(looked.wait())], return_when="FIRST_COMPLETED")
        await claims.fulfil(self.IDENTITY, clock.now() + DAY)
        go_on.set()

        with pytest.raises((Busy, Fulfilled)):
            await second
        with pytest.raises(Fulfilled):
            await claims.claim(self.IDENTITY)

    @pytest.mark.parametrize("method", ["accept", "seen"])
    async def test_a_store_that_fails_leaves_the_authorisation_good(self, method):
        spool, clock = Faulty(MemorySpool()), FakeClock()
        claims = Claims(spool, clock)
        spool.arm((method, range(1, 2)))

        async def use() -> None:
            await claims.claim(self.IDENTITY)
            await claims.fulfil(self.IDENTITY, clock.now() + DAY)

        with pytest.raises(StorageError):
            await use()
        await use()
        with pytest.raises(Fulfilled):
            await claims.claim(self.IDENTITY)
