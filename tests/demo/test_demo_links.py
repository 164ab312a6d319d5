# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio

import pytest

from awala.demo.internet import lead, open_internet, write_settings
from awala.demo.links import Link
from awala.testing import TcpProxy


@pytest.fixture
async def echo():
    async def answer(reader, writer):
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_link_is_cut_as_a_whole_and_counts_both_ways(echo):
    async with TcpProxy("127.0.0.1", 0) as first, TcpProxy("127.0.0.1", 0) as second:
        link = Link("internet-a", ("gateway-a", "igw-a"), first, second)
        lead(first, f"127.0.0.1:{echo}")
        reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
        writer.write(b"12345")
        assert await reader.readexactly(5) == b"12345"
        assert link.octets == 10

        await link.cut()
        assert link.is_cut
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        for proxy in link.proxies:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)

        await link.mend()
        assert not link.is_cut
        _, again = await asyncio.open_connection("127.0.0.1", first.port)
        for each in (writer, again):
            each.close()


def test_settings_are_written_as_toml(tmp_path):
    import tomllib  # noqa: PLC0415 - this test's alone

    settings = {"a": {"listen": "127.0.0.1:0", "list": ["x", 'ä"\\']}, "b": {"number": 3}}
    write_settings(tmp_path / "config.toml", settings)

    assert tomllib.loads((tmp_path / "config.toml").read_text()) == settings


async def test_the_internet_of_the_demonstration_can_be_resolved(tmp_path):
    from awala.bindings.addressing import DohResolver, Service, TrustAnchors, Validation  # noqa: PLC0415

    async with open_internet(tmp_path) as internet:
        proxies = await internet.publish("host.demo.test", Service.PARCEL_DELIVERY)
        settings = internet.settings(await internet.proxy_to_resolver())["resolver"]
        tls = internet._authority.client_context()
        async with DohResolver(
            settings["url"],
            validation=Validation(settings["validation"]),
            anchors=TrustAnchors.load(tmp_path / "root.ds"),
            tls=tls,
            allow_networks=settings["allow_networks"],
        ) as resolver:
            [target] = await resolver.locate("host.demo.test", Service.PARCEL_DELIVERY)
            assert (target.host, target.port) == (
                "host.demo.test",
                proxies[Service.PARCEL_DELIVERY].port,
            )
            assert await resolver.addresses(target.host) == ["127.0.0.1"]
