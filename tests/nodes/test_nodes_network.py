# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

import pytest

from awala.base.clock import SystemClock
from awala.base.errors import ConfigurationError
from awala.bindings.addressing import Service
from awala.bindings.errors import UnreachableError
from awala.nodes import network as module
from awala.nodes.config import DoorConfig, NetworkConfig, ResolverConfig
from awala.nodes.network import Network, client_tls, open_network, served_hosts, server_tls, tls_octets
from awala.testing import Authority, TcpProxy
from helpers.network import StaticResolver


@pytest.fixture(scope="session")
def authority():
    return Authority.create()


@pytest.fixture
def files(authority, tmp_path):
    certificate, key = authority.issue("a.test").write(tmp_path)
    return DoorConfig(listen="127.0.0.1:0", tls_cert=certificate, tls_key=key)


def test_a_door_without_a_certificate_is_plain():
    door = DoorConfig(listen="127.0.0.1:0")
    assert server_tls(door, "1.2") is None
    assert tls_octets(door) is None


@pytest.mark.rule("10.3")
def test_servers_allow_old_phones_unless_told_otherwise(files):
    default = NetworkConfig().minimum_tls_version
    assert server_tls(files, default).minimum_version is ssl.TLSVersion.TLSv1_2
    assert server_tls(files, "1.3").minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.rule("10.3")
async def test_our_client_and_our_server_speak_tls_1_3(files, authority):
    connections = []

    async def note(_reader, writer):
        connections.append(writer.get_extra_info("ssl_object").version())
        writer.close()

    server = await asyncio.start_server(note, "127.0.0.1", 0, ssl=server_tls(files, "1.2"))
    async with server:
        _, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=authority.client_context(), server_hostname="a.test"
        )
        await writer.wait_closed()
    assert connections == ["TLSv1.3"]


def test_a_door_shows_its_certificate(files):
    assert server_tls(files, "1.3").minimum_version is ssl.TLSVersion.TLSv1_3
    certificate, key = tls_octets(files)
    assert b"CERTIFICATE" in certificate
    assert b"PRIVATE KEY" in key


def test_certificate_and_key_may_stand_in_one_file(files, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes(files.tls_cert.read_bytes() + files.tls_key.read_bytes())
    door = DoorConfig(listen="127.0.0.1:0", tls_cert=both)

    assert server_tls(door, "1.2") is not None
    assert tls_octets(door)[0] == tls_octets(door)[1]


@pytest.mark.parametrize("name", ["missing.pem", "rubbish.pem"])
def test_files_that_cannot_be_used_are_named(tmp_path, name):
    (tmp_path / "rubbish.pem").write_text("rubbish")
    path = tmp_path / name
    with pytest.raises(ConfigurationError, match=name):
        server_tls(DoorConfig(listen="x:0", tls_cert=path), "1.2")
    with pytest.raises(ConfigurationError, match=name):
        client_tls(NetworkConfig(ca_file=path))
    if name == "missing.pem":
        with pytest.raises(ConfigurationError, match=name):
            tls_octets(DoorConfig(listen="x:0", tls_cert=path))


def test_an_unknown_version_of_tls_is_a_configuration_error(files):
    with pytest.raises(ConfigurationError):
        client_tls(NetworkConfig(minimum_tls_version="1.1"))
    with pytest.raises(ConfigurationError):
        server_tls(files, "9")


def test_trusts_a_file_besides_the_system(authority, tmp_path):
    ca_file = authority.write_ca(tmp_path / "ca.pem")
    context = client_tls(NetworkConfig(ca_file=ca_file, minimum_tls_version="1.3"))

    assert any("Awala test authority" in str(each) for each in context.get_ca_certs())
    assert authority.ca_pem in module._grpc_roots(ca_file)
    assert module._grpc_roots(None) is None


def test_grpc_does_without_the_systems_list_if_there_is_none(authority, tmp_path, monkeypatch):
    ca_file = authority.write_ca(tmp_path / "ca.pem")
    paths = ssl.DefaultVerifyPaths(None, None, "", str(tmp_path / "none"), "", "")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert module._grpc_roots(ca_file) == authority.ca_pem


async def test_opens_and_closes(tmp_path):
    async with open_network(NetworkConfig(), SystemClock()) as network:
        assert network.pohttp is not None
    bad = NetworkConfig(resolver=ResolverConfig(anchors=tmp_path / "missing"))
    with pytest.raises(ConfigurationError):
        async with open_network(bad, SystemClock()):
            pass


class Resolver(StaticResolver):
    async def aclose(self):
        pass


@pytest.mark.rule("10.1")
async def test_takes_the_first_target_that_accepts():
    async with TcpProxy("127.0.0.1", 9) as away, TcpProxy("127.0.0.1", 9) as there:
        await away.cut()
        targets = [("away.test", away.port), ("there.test", there.port), ("last.test", 1)]
        hosts = {"away.test": ["127.0.0.1"], "there.test": ["127.0.0.1"], "last.test": ["127.0.0.1"]}
        resolver = Resolver({"igw.test": targets}, hosts, UnreachableError("no such host"))
        network = Network(resolver, client_tls(NetworkConfig()), None, SystemClock())
        try:
            found = await network._reachable("igw.test", Service.GATEWAY_SYNC)
            assert found.host == "there.test"
            poweb = await network.connect_poweb("igw.test")
            await poweb.aclose()
            cogrpc = await network.connect_cogrpc("igw.test")
            await cogrpc.close()
            resolver.services["igw.test"] = [("unknown.test", 1), ("last.test", 1)]
            assert (await network._reachable("igw.test", Service.GATEWAY_SYNC)).host == "last.test"
            with suppress(UnreachableError):
                await network.connect_courier("127.0.0.1", away.port)
        finally:
            await network.close()


@pytest.mark.rule("8.6")
@pytest.mark.parametrize(
    ("name", "ours", "others"),
    [
        ("a.test", "a.test", "b.test"),
        ("*.b.test", "gw.b.test", "b.test"),
        ("127.0.0.1", "10.0.0.1", "a.test"),
    ],
)
def test_a_door_serves_the_names_in_its_certificate_and_addresses(authority, tmp_path, name, ours, others):
    certificate, key = authority.issue(name).write(tmp_path, "door")
    hosts = served_hosts(DoorConfig(listen="x:0", tls_cert=certificate, tls_key=key))

    assert hosts.serve(ours)
    assert hosts.serve("127.0.0.1:443")
    assert not hosts.serve(others)


@pytest.mark.rule("8.6")
def test_a_plain_door_serves_what_its_proxy_sends():
    assert served_hosts(DoorConfig(listen="127.0.0.1:0")) is None


@pytest.mark.parametrize("content", [b"rubbish", None])
def test_a_certificate_that_cannot_be_read_is_a_configuration_error(tmp_path, content):
    file = tmp_path / "cert.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        served_hosts(DoorConfig(listen="x:0", tls_cert=file))
