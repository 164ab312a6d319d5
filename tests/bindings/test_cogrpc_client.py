# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from awala.base.errors import ConfigurationError
from awala.bindings.cogrpc import CogRpcClient, Patience, make_courier_certificate
from awala.bindings.cogrpc.client import _target
from awala.bindings.errors import ProtocolError, UnreachableError
from helpers.cogrpc import Service, ack, gateway_server, outgoing, port_of, raw_server, stream

HOST = "cogrpc.gateway.example"


@pytest.fixture(scope="module")
def public_tls() -> tuple[bytes, bytes, bytes]:
    """A root, and the certificate with its key that the root issued for the host; all PEM."""
    now = datetime.now(UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test root")])

    def certificate(name: str, public_key, extension, *, critical: bool) -> bytes:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(root_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=critical)
            .sign(root_key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    root = certificate(
        "Test root", root_key.public_key(), x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    names = x509.SubjectAlternativeName([x509.DNSName(HOST)])
    leaf = certificate(HOST, key.public_key(), names, critical=False)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return root, leaf, key_pem


async def deliver_one(client: CogRpcClient) -> list[str]:
    return [delivery_id async for delivery_id in client.deliver(stream(outgoing(1)))]


@pytest.mark.rule("10.3", "10.4")
@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
async def test_dials_the_given_addresses_and_verifies_the_name(public_tls, addresses):
    root, leaf, key = public_tls
    async with gateway_server(Service(), tls=(leaf, key)) as server:
        client = CogRpcClient.for_internet_gateway(
            HOST, port_of(server), root_certificates=root, addresses=addresses
        )
        async with client:
            assert await deliver_one(client) == ["id-0"]


async def test_refuses_a_server_with_another_name(public_tls):
    root, leaf, key = public_tls
    async with gateway_server(Service(), tls=(leaf, key)) as server:
        client = CogRpcClient.for_internet_gateway(
            "other.example", port_of(server), root_certificates=root, addresses=["127.0.0.1"]
        )
        async with client:
            with pytest.raises(UnreachableError):
                await deliver_one(client)


@pytest.mark.parametrize("own_roots", [False, True])
async def test_refuses_a_server_whose_issuer_it_does_not_trust(public_tls, own_roots):
    _, leaf, key = public_tls
    other = make_courier_certificate([ip_address("127.0.0.1")], now=datetime.now(UTC)).certificate
    root_certificates = other if own_roots else None
    async with gateway_server(Service(), tls=(leaf, key)) as server:
        client = CogRpcClient.for_internet_gateway(
            HOST, port_of(server), root_certificates=root_certificates, addresses=["127.0.0.1"]
        )
        async with client:
            with pytest.raises(UnreachableError):
                await deliver_one(client)


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch):
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with (
        gateway_server(Service()) as server,
        CogRpcClient.plain("127.0.0.1", port_of(server)) as client,
    ):
        assert await deliver_one(client) == ["id-0"]


@pytest.mark.parametrize(
    ("addresses", "target"),
    [
        (["192.0.2.1"], "ipv4:192.0.2.1:443"),
        (["192.0.2.1", "192.0.2.2"], "ipv4:192.0.2.1:443,192.0.2.2:443"),
        (["2001:db8::1"], "ipv6:[2001:db8::1]:443"),
        (["2001:db8::1", "192.0.2.1"], "ipv6:[2001:db8::1]:443,[::ffff:192.0.2.1]:443"),
        (["fe80::1%eth0"], "ipv6:[fe80::1%25eth0]:443"),
    ],
)
def test_the_target_holds_addresses_only(addresses, target):
    assert _target(addresses, 443) == target


@pytest.mark.parametrize("addresses", [[], ["gateway.example"], ["192.0.2.1", "gateway.example"]])
def test_never_dials_a_name(addresses):
    with pytest.raises(ConfigurationError):
        _target(addresses, 443)


async def test_addresses_of_both_families_are_dialled():
    async with gateway_server(Service()) as server:
        channel = grpc.aio.insecure_channel(_target(["::1", "127.0.0.1"], port_of(server)))
        async with CogRpcClient(channel, patience=Patience()) as client:
            assert await deliver_one(client) == ["id-0"]


@pytest.mark.parametrize("host", ["courier.local", "8.8.8.8", "192.0.2.1", "2001:db8::1", "::", ""])
async def test_a_courier_must_be_near(host):
    with pytest.raises(ConfigurationError):
        await CogRpcClient.for_courier(host)


async def test_a_courier_without_tls_is_unreachable():
    async with gateway_server(Service()) as server:
        with pytest.raises(UnreachableError):
            await CogRpcClient.for_courier("127.0.0.1", port_of(server))


async def test_no_courier_is_unreachable(unused_tcp_port):
    with pytest.raises(UnreachableError) as raised:
        await CogRpcClient.for_courier("127.0.0.1", unused_tcp_port)

    assert "127.0.0.1" not in str(raised.value)


async def test_a_courier_that_says_nothing_is_unreachable():
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(UnreachableError):
            await CogRpcClient.for_courier("127.0.0.1", port, patience=Patience(connection=0.2))


async def test_a_courier_with_a_certificate_for_a_name_is_refused(public_tls):
    _, leaf, key = public_tls
    async with gateway_server(Service(), tls=(leaf, key)) as server:
        with pytest.raises(ProtocolError):
            await CogRpcClient.for_courier("127.0.0.1", port_of(server))


async def test_a_peer_that_ends_a_call_before_it_is_half_closed_is_no_fault():
    async def handler(context) -> None:
        await context.read()
        await context.write(ack("id-0"))

    async with raw_server(handler) as port, CogRpcClient.plain("127.0.0.1", port) as client:
        for _ in range(20):
            assert await deliver_one(client) == ["id-0"]
