# SPDX-License-Identifier: MIT
"""The private endpoint of an app, and the Internet endpoint of a service."""

from __future__ import annotations

import pytest

from awala.base.errors import ConfigurationError
from awala.base.sqlite import StorageError
from awala.bindings.errors import Forbidden, MalformedRequest, RefusedError, Unauthenticated
from awala.messages import NodeConnectionParams, Registration, ServiceMessage
from awala.nodes.endpoint import internet as internet_module
from awala.nodes.endpoint import private as private_module
from awala.nodes.endpoint.errors import (
    GatewayMismatchError,
    InvalidAuthorizationError,
    NotAuthorisedError,
    NotRegisteredError,
)
from awala.nodes.endpoint.internet import IDENTITY_LABEL as INTERNET_LABEL
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.peers import Peer, PeerKind
from awala.nodes.endpoint.private import IDENTITY_LABEL, PrivateEndpoint
from awala.nodes.errors import NotInitialisedError
from awala.pki import PathError, Role
from awala.spool import MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import (
    ADDRESS,
    DAY,
    ENDPOINT,
    HOUR,
    IGW,
    NOW,
    OTHER_ENDPOINT,
    OTHER_PGW,
    PEER,
    PGW,
    STRANGER,
    DirectPoWeb,
    PoHttp,
    Recorder,
    authorised_parcel,
    certify,
    drive,
    internet_side,
    parcel,
    private_side,
    running,
    to_internet,
    until,
)


class Heard:
    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []

    async def __call__(self, attempt) -> None:
        self.messages.append((attempt.message.type, attempt.message.content))


class TestPrivateEndpoint:
    @pytest.fixture
    async def internet(self):
        return await internet_side()

    @pytest.fixture
    async def gateway(self, internet):
        return await private_side(internet)

    @pytest.fixture
    def client(self, gateway):
        return DirectPoWeb(gateway.node.local)

    @pytest.fixture
    async def vault(self):
        vault = MemoryVault()
        await vault.save_identity(IDENTITY_LABEL, ENDPOINT)
        return vault

    @pytest.fixture
    def open_endpoint(self, client, gateway, vault):
        async def open_endpoint(**changes):
            spool = MemorySpool(monotonic=gateway.clock.monotonic)
            arguments = {"vault": vault, "spool": spool, "clock": gateway.clock, "client": client}
            endpoint = await PrivateEndpoint.open(**(arguments | changes))
            endpoint.recorder = Recorder(endpoint.events)
            return endpoint

        return open_endpoint

    @pytest.fixture
    async def endpoint(self, open_endpoint):
        return await open_endpoint()

    async def test_is_made_the_first_time(self, open_endpoint):
        vault = MemoryVault()
        first = await open_endpoint(vault=vault)
        second = await open_endpoint(vault=vault)

        assert first.node_id == second.node_id
        assert not first.registered.is_set()
        with pytest.raises(NotRegisteredError):
            first.own_path()

    async def test_registers_and_remembers_it(self, endpoint, open_endpoint, gateway):
        await endpoint.register()

        path = endpoint.own_path()
        assert path.leaf.node_id == ENDPOINT.node_id
        assert path.authorities == (gateway.own_certificate(),)
        again = await open_endpoint()
        assert again.registered.is_set()
        assert (again.own_path(), again.gateway_address) == (path, ADDRESS)

    async def test_waits_for_a_gateway_without_hammering_it(self, endpoint, client, gateway):
        client.cut = True
        async with running(endpoint.run(Heard())):
            await gateway.clock.advance(3600)
            assert client.registrations == 0
            client.cut = False
            await drive(gateway.clock, endpoint.registered.is_set, step=600)

    @pytest.mark.rule("11.2")
    async def test_another_gateway_is_an_error_and_no_registration(self, endpoint, internet):
        await endpoint.register()
        path = endpoint.own_path()
        other = await private_side(internet, key=OTHER_PGW)
        endpoint._client = DirectPoWeb(other.node.local)

        with pytest.raises(GatewayMismatchError):
            await endpoint.register()
        assert endpoint.own_path() == path
        endpoint.registered.clear()
        with pytest.raises(GatewayMismatchError):
            await endpoint.run(Heard())

    @pytest.mark.parametrize("case", ["another key", "another issuer"])
    async def test_a_registration_that_does_not_hold_changes_nothing(
        self, endpoint, gateway, client, monkeypatch, case
    ):
        own = gateway.own_certificate()
        other = certify(OTHER_PGW, OTHER_PGW, None, Role.GATEWAY)
        answer = {
            "another key": Registration(certify(PEER, PGW, own, Role.ENDPOINT), own, ADDRESS),
            "another issuer": Registration(certify(ENDPOINT, PGW, own, Role.ENDPOINT), other, ADDRESS),
        }[case].serialize()
        monkeypatch.setattr(client, "register", lambda _: _value(answer))

        with pytest.raises((InvalidAuthorizationError, PathError)):
            await endpoint.register()
        assert not endpoint.registered.is_set()

    async def test_renews_its_certificate_when_half_its_life_is_over(self, endpoint, gateway, internet):
        await endpoint.register()
        before = endpoint.own_path()
        gateway.clock.jump(NOW + 100 * DAY)
        await internet.node.credentials.renew_if_due()
        await gateway.node.pairing.renew(gateway.uplink)
        async with running(endpoint.run(Heard())):
            await until(lambda: endpoint.own_path().leaf.not_after > before.leaf.not_after)

    async def test_does_without_renewal_while_the_gateway_is_away(self, endpoint, gateway, client):
        await endpoint.register()
        gateway.clock.jump(NOW + 100 * DAY)
        client.cut = True
        async with running(endpoint.run(Heard())) as [task]:
            await gateway.clock.advance(60)
            assert not task.done()
        assert endpoint.own_path().leaf.not_after > NOW + 100 * DAY

    async def test_registers_again_by_itself_after_its_certificate_has_ended(
        self, endpoint, gateway, internet, client
    ):
        await endpoint.register()
        async with running(endpoint.run(Heard())):
            await client.opened.wait()
            gateway.clock.jump(NOW + 400 * DAY)
            await internet.node.credentials.renew_if_due()
            await gateway.node.pairing.renew(gateway.uplink)
            with pytest.raises(NotRegisteredError):
                endpoint.own_path()
            client.disconnect()
            client.cut = False
            await drive(gateway.clock, client.opened.is_set)

        assert endpoint.own_path().leaf.not_after > NOW + 400 * DAY

    @pytest.mark.rule("9.2")
    async def test_registers_again_when_the_gateway_has_forgotten_it(
        self, endpoint, gateway, client, monkeypatch
    ):
        await endpoint.register()
        refuse = [1]
        collect, recognise = gateway.node.local.collect, gateway.node.local.recognise

        def forgetful(*arguments):
            if refuse:
                refuse.pop()
                raise Unauthenticated("who?")
            return collect(*arguments)

        async def forgetful_too(signature):
            if client.registrations < 3:
                raise Unauthenticated("who?")
            return await recognise(signature)

        monkeypatch.setattr(gateway.node.local, "collect", forgetful)
        monkeypatch.setattr(gateway.node.local, "recognise", forgetful_too)
        await self.know_pong(endpoint)
        await endpoint.identity.send(PEER.node_id, ServiceMessage("t", b""))
        async with running(endpoint.run(Heard())):
            await drive(gateway.clock, lambda: client.delivered)

    async def know_pong(self, endpoint):
        """Learn an Internet peer; return its session keeper."""
        service = MemoryVault()
        await service.save_identity(INTERNET_LABEL, PEER)
        await InternetEndpoint.create(service, "pong.demo.test")
        pong = await InternetEndpoint.open(
            vault=service, spool=MemorySpool(), clock=endpoint._clock, client=PoHttp()
        )
        await endpoint.identity.add_internet_peer(NodeConnectionParams.parse(pong.connection_params()))
        return pong

    async def test_messages_go_out_and_their_answers_come_in(self, endpoint, gateway, internet):
        await endpoint.register()
        pong = await self.know_pong(endpoint)
        peer = await endpoint.identity.peers.get(PEER.node_id)
        await endpoint.send_authorization(peer)
        await endpoint.identity.send(PEER.node_id, ServiceMessage("question", b"?"))
        internet.pohttp.routes["pong.demo.test"] = pong.deliver
        pong._client.routes[ADDRESS] = internet.node.internet_door.deliver

        async def answer(attempt):
            await pong.identity.send(attempt.message.sender_id, ServiceMessage("answer", b"!"))

        heard = Heard()
        loops = (endpoint.run(heard), gateway.node.run(), internet.node.run(), pong.run(answer))
        async with running(*loops):
            await drive(gateway.clock, lambda: heard.messages, step=1)

        assert heard.messages == [("answer", b"!")]
        assert (await endpoint.identity.peers.get(PEER.node_id)).granted_until is not None

    @pytest.mark.parametrize("case", ["rubbish", "for another", "not authorised"])
    async def test_drops_what_it_can_never_accept(self, endpoint, gateway, case):
        await endpoint.register()
        octets = {
            "rubbish": b"rubbish",
            "for another": authorised_parcel(gateway, endpoint=OTHER_ENDPOINT)[1],
            "not authorised": parcel(
                key=STRANGER, certificate=certify(STRANGER, STRANGER, None, Role.ENDPOINT), chain=()
            )[1],
        }[case]
        await endpoint._take(octets)

        assert endpoint.recorder.actions == ["dropped"]
        assert not await endpoint._spool.totals()

    async def test_sweeps_what_has_expired(self, endpoint, gateway):
        await endpoint.register()
        await self.know_pong(endpoint)
        gateway.node.local.deliver = _refuse
        endpoint._client.cut = True
        await endpoint.identity.send(PEER.node_id, ServiceMessage("t", b""), life=HOUR)
        async with running(endpoint.run(Heard())):
            await gateway.clock.advance(private_module.UPKEEP_INTERVAL.total_seconds() * 51)
        assert not await endpoint._spool.totals()

    async def test_keeps_small_records_for_its_app(self, endpoint):
        await endpoint.remember("n", "k", b"v")
        assert await endpoint.recall("n", "k") == b"v"
        await endpoint.forget("n", "k")
        assert await endpoint.recall("n", "k") is None


async def _value(value):
    return value


async def _refuse(*_):
    raise AssertionError


class TestInternetEndpoint:
    @pytest.fixture
    def clock(self):
        return FakeClock()

    @pytest.fixture
    async def vault(self):
        vault = MemoryVault()
        await vault.save_identity(INTERNET_LABEL, PEER)
        await InternetEndpoint.create(vault, "Pong.Demo.Test.")
        return vault

    @pytest.fixture
    async def pong(self, vault, clock):
        node = await InternetEndpoint.open(vault=vault, spool=MemorySpool(), clock=clock, client=PoHttp())
        node.recorder = Recorder(node.events)
        return node

    async def test_there_is_none_before_it_was_created(self, clock):
        with pytest.raises(NotInitialisedError):
            await InternetEndpoint.open(
                vault=MemoryVault(), spool=MemorySpool(), clock=clock, client=PoHttp()
            )

    async def test_creating_makes_a_key_once(self, clock):
        vault = MemoryVault()
        await InternetEndpoint.create(vault, "a.demo.test")
        await InternetEndpoint.create(vault, "b.demo.test")
        node = await InternetEndpoint.open(vault=vault, spool=MemorySpool(), clock=clock, client=PoHttp())
        assert node.address == "a.demo.test"

    @pytest.mark.parametrize("address", ["", "localhost", "münchen.test"])
    async def test_refuses_what_is_no_domain_name(self, address):
        with pytest.raises(ConfigurationError):
            await InternetEndpoint.create(MemoryVault(), address)

    @pytest.mark.rule("7.4")
    async def test_publishes_parameters_that_change_every_thirty_days(self, pong, clock, monkeypatch):
        params = NodeConnectionParams.parse(pong.connection_params())
        assert (params.internet_address, params.identity_key.node_id) == ("pong.demo.test", PEER.node_id)
        publish, failures = pong.publish, [StorageError("disk")]

        async def sometimes():
            if failures:
                raise failures.pop()
            await publish()

        monkeypatch.setattr(pong, "publish", sometimes)
        async with running(pong.run(Heard())):
            await clock.advance(1)
            clock.jump(NOW + 29 * DAY)
            await clock.advance(3600)
            assert NodeConnectionParams.parse(pong.connection_params()) == params
            clock.jump(NOW + 31 * DAY)
            await clock.advance(3600)
            await drive(clock, lambda: NodeConnectionParams.parse(pong.connection_params()) != params)

    async def test_takes_a_parcel_once(self, pong):
        _, octets = to_internet()
        await pong.deliver(octets)
        await pong.deliver(octets)

        assert pong.recorder.actions == ["stored", "duplicate"]

    @pytest.mark.parametrize(
        "changes",
        [
            {"recipient": STRANGER.node_id},
            {"address": "other.demo.test"},
            {"address": None},
            {"created": -9 * HOUR, "ttl": 60},
            {"created": 3 * HOUR},
        ],
        ids=["another recipient", "another address", "no address", "expired", "in the future"],
    )
    async def test_refuses_what_is_not_for_it(self, pong, changes):
        with pytest.raises(Forbidden):
            await pong.deliver(to_internet(**changes)[1])
        assert not await pong._spool.totals()

    @pytest.mark.parametrize("octets", [b"", b"rubbish"])
    async def test_refuses_what_it_cannot_read(self, pong, octets):
        with pytest.raises(MalformedRequest):
            await pong.deliver(octets)

    async def test_what_does_not_decrypt_is_put_aside(self, pong, clock):
        await pong.deliver(to_internet()[1])
        async with running(pong.run(Heard())):
            await clock.advance(1)
        assert pong.recorder.actions == ["stored", "dropped"]

    def test_cannot_write_to_a_peer_whose_place_it_does_not_know(self):
        with pytest.raises(NotAuthorisedError):
            internet_module._hop(Peer(ENDPOINT.node_id, PeerKind.PRIVATE, ENDPOINT.public_key, None))

    async def test_a_final_refusal_lets_go(self, pong, clock):
        pong._client.error = RefusedError("no", status=403)
        other_vault = MemoryVault()
        await other_vault.save_identity(INTERNET_LABEL, STRANGER)
        await InternetEndpoint.create(other_vault, "other.demo.test")
        other = await InternetEndpoint.open(
            vault=other_vault, spool=MemorySpool(), clock=clock, client=PoHttp()
        )
        await pong.identity.add_internet_peer(NodeConnectionParams.parse(other.connection_params()))
        await pong.identity.send(STRANGER.node_id, ServiceMessage("t", b""))
        async with running(pong.run(Heard())):
            await until(lambda: "refused" in pong.recorder.actions)
        assert IGW.node_id != pong.node_id
