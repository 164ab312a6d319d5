# SPDX-License-Identifier: MIT
"""Our PoWeb client, private gateway and endpoint at gateways made of the core library from npm."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from interop_poweb import ADDRESS, HOST, Recipients, private_gateway, sender_at

from awala.bindings.errors import BindingError, MalformedError, RefusedError, UnauthenticatedError
from awala.bindings.poweb import PoWebClient, StreamingMode
from awala.crypto import IdentityPublicKey, SessionKey, SessionPublicKey
from awala.messages import NodeConnectionParams, RegistrationRequest, ServiceMessage
from awala.messages.media_types import PDA_PATH
from awala.nodes.background import in_background
from awala.nodes.endpoint.root import open_private_endpoint
from awala.pki import Certificate
from helpers.cast import identity_key
from helpers.node_peer import NodePeer

pytestmark = [
    pytest.mark.requires("node"),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.cell(peer="js-core-production"),
]

STRANGER = identity_key("jvm", "peer")
PATIENCE = 60.0


@dataclass(frozen=True)
class Server:
    """The gateway of the peer."""

    peer: NodePeer
    number: int
    address: str
    certificate: Certificate

    def client(self):
        return PoWebClient.local(f"http://{self.address}")

    async def queue(self, *parcels):
        await self.peer.ask("queueParcels", server=self.number, parcels=parcels)

    async def served(self, **counts):
        question = self.peer.ask("servedByPoWeb", server=self.number, **counts)
        return await asyncio.wait_for(question, PATIENCE)


async def open_server(peer, **options):
    opened = await peer.ask("openPoWebServer", address=ADDRESS, **options)
    certificate = Certificate.parse(opened["certificate"])
    return Server(peer, opened["server"], f"{HOST}:{opened['port']}", certificate)


@pytest_asyncio.fixture(loop_scope="session")
async def server(production_peer):
    return await open_server(production_peer)


@pytest_asyncio.fixture(loop_scope="session")
async def member(server):
    async with sender_at(server.client()) as member:
        yield member


@pytest.fixture
def recipients(member):
    return Recipients.behind(member.key, member.certificate)


# ---- registration ----------------------------------------------------------------------------------------


@pytest.mark.cell("poweb-client-registration")
async def test_our_client_registers_and_registers_again(server, member):
    params = NodeConnectionParams.parse(await member.client.fetch_connection_params())
    async with sender_at(server.client(), member.key) as renewed:
        assert renewed.certificate.not_after >= member.certificate.not_after

    assert member.certificate.node_id == member.key.node_id
    assert member.gateway_certificate == server.certificate
    assert params.identity_key.node_id == server.certificate.node_id
    assert params.internet_address == ADDRESS
    assert (await server.served())["problems"] == []


@pytest.mark.cell("poweb-client-registration")
async def test_our_client_is_told_that_an_authorisation_is_for_another_key(server):
    async with server.client() as client:
        authorization = await client.preregister(bytes(32))
        request = RegistrationRequest(STRANGER.public_key, authorization).serialize(STRANGER)

        with pytest.raises(BindingError) as caught:
            await client.register(request)

    assert caught.value.status == 403


# ---- delivery --------------------------------------------------------------------------------------------


@pytest.mark.cell("poweb-client-delivery")
async def test_our_client_delivers(server, member, recipients):
    parcels = [recipients.parcel(STRANGER) for _ in range(3)]

    for parcel in parcels:
        await member.deliver(parcel)

    assert (await server.served(delivered=3))["delivered"] == parcels


@pytest.mark.cell("poweb-client-delivery")
@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda recipients: recipients.parcel(STRANGER)[:-1], MalformedError),
        (lambda recipients: recipients.parcel(STRANGER, recipient=STRANGER.node_id), RefusedError),
    ],
)
async def test_our_client_is_told_which_parcels_are_refused(server, member, recipients, make, error):
    with pytest.raises(error) as caught:
        await member.deliver(make(recipients))

    assert type(caught.value) is error
    assert (await server.served())["delivered"] == []


@pytest.mark.cell("poweb-client-delivery")
async def test_our_client_is_told_that_its_certificate_is_not_known(production_peer, member, recipients):
    other = await open_server(production_peer)
    async with other.client() as client:
        with pytest.raises(UnauthenticatedError):
            await replace(member, client=client).deliver(recipients.parcel(STRANGER))


# ---- collection ------------------------------------------------------------------------------------------


async def collect(member, mode, parcels):
    """Collect until these parcels are acknowledged, and anew where the server broke off; return the others.

    A server that was busy for longer than the pause between two acknowledgements sees them run into each
    other, and breaks off; from then on the client makes longer pauses.
    """
    missing, others = set(parcels), []
    async with asyncio.timeout(PATIENCE):
        while missing:
            with suppress(BindingError):
                async with member.client.collect(member.sign, mode) as collection:
                    async for delivery in collection:
                        await delivery.acknowledge()
                        if delivery.parcel not in parcels:
                            others.append(delivery.parcel)
                        missing.discard(delivery.parcel)
                        if not missing and mode is StreamingMode.KEEP_ALIVE:
                            break
    return others


@pytest.mark.cell("poweb-client-collection")
@pytest.mark.parametrize("mode", StreamingMode)
@pytest.mark.parametrize("count", [1, 5, pytest.param(200, marks=pytest.mark.thorough)])
async def test_our_client_collects_what_is_sent_at_once_and_acknowledges_one_by_one(
    server, member, recipients, mode, count
):
    parcels = [recipients.parcel(STRANGER) for _ in range(count)]
    await server.queue(*parcels)

    assert await collect(member, mode, parcels) == []

    served = await server.served(acknowledged=count)
    assert sorted(served["acknowledged"]) == sorted(parcels)
    assert served["waiting"] == 0


@pytest.mark.cell("poweb-client-collection")
async def test_our_client_is_done_when_there_is_nothing(server, member):
    async with member.client.collect(member.sign, StreamingMode.CLOSE_UPON_COMPLETION) as collection:
        assert [delivery async for delivery in collection] == []

    assert (await server.served())["problems"] == []


# ---- our private gateway ---------------------------------------------------------------------------------


@pytest.mark.cell("poweb-client-gateway")
async def test_our_private_gateway_takes_parcels_out_and_in(server, recipients, tmp_path):
    async with (
        private_gateway(tmp_path, server.address) as gateway,
        sender_at(gateway.client(), identity_key("jvm", "ep")) as endpoint,
    ):
        outgoing = await endpoint.send(recipients, 3)
        ours = Recipients(endpoint.key, (endpoint.certificate, endpoint.gateway_certificate))
        incoming = [ours.parcel(STRANGER) for _ in range(5)]
        await server.queue(*incoming)

        others = await collect(endpoint, StreamingMode.KEEP_ALIVE, incoming)
        served = await server.served(delivered=len(outgoing), acknowledged=len(incoming))

    assert endpoint.gateway_certificate.issuer_id == server.certificate.node_id
    assert set(served["delivered"]) == set(outgoing)
    assert sorted(served["acknowledged"]) == sorted(incoming)
    assert others == []


# ---- our endpoint ----------------------------------------------------------------------------------------


@pytest.mark.cell("poweb-client-endpoint")
async def test_our_endpoint_writes_to_one_of_theirs_and_is_answered(production_peer, tmp_path):
    server = await open_server(production_peer, forEndpoints=True)
    key, session_key = [await production_peer.ask(make) for make in ("makeIdentityKey", "makeSessionKey")]
    theirs = NodeConnectionParams(
        "service.example.com",
        IdentityPublicKey.load(key["publicKey"]),
        SessionKey(session_key["keyId"], SessionPublicKey.load(session_key["publicKey"])),
    )
    answers = asyncio.Queue()

    async def handle(attempt):
        answers.put_nowait((attempt.message.sender_id, attempt.message.content))

    gateway = f"http://{server.address}"
    async with (
        open_private_endpoint(tmp_path, gateway=gateway) as endpoint,
        in_background(endpoint.run(handle)),
    ):
        await asyncio.wait_for(endpoint.registered.wait(), PATIENCE)
        service = await endpoint.identity.add_internet_peer(theirs)
        await endpoint.send_authorization(service)
        await endpoint.identity.send(service.id, ServiceMessage("text/plain", b"a question"))

        sent = (await server.served(delivered=2))["delivered"]
        read = [
            await production_peer.ask(
                "read", kind="parcel", octets=parcel, sessionPrivateKey=session_key["privateKey"]
            )
            for parcel in sent
        ]
        messages = {each["payload"]["type"]: each["payload"]["content"] for each in read}
        papers = await production_peer.ask(
            "read", kind="privateEndpointConnectionParams", octets=messages[PDA_PATH]
        )
        answer = await production_peer.ask(
            "make",
            kind="parcel",
            privateKey=key["privateKey"],
            certificate=papers["leaf"],
            chain=papers["authorities"],
            recipient={"id": endpoint.node_id, "internetAddress": papers["internetAddress"]},
            sessionKey=papers["sessionKey"],
            payload={"type": "text/plain", "content": b"an answer"},
            creationDate=(datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
            ttl=3600,
        )
        await server.queue(answer["octets"])
        found = await asyncio.wait_for(answers.get(), PATIENCE)
        served = await server.served(acknowledged=1)

    assert messages["text/plain"] == b"a question"
    assert papers["internetAddress"] == ADDRESS
    assert found == (service.id, b"an answer")
    assert served["problems"] == []
