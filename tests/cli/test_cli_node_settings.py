# SPDX-License-Identifier: MIT
"""What the settings say reaches the nodes: quotas of the spool, and the cipher for contents."""

from __future__ import annotations

import pytest

from awala.base.errors import ConfigurationError
from awala.cli.configuration import load
from awala.cli.courier_node import CourierSettings
from awala.cli.gateway_node import GatewaySettings
from awala.cli.internet_gateway_node import InternetGatewaySettings
from awala.cli.node_settings import encryption_config, storage_config
from awala.cli.pong import PongSettings
from awala.cms import EnvelopedData
from awala.crypto import ContentCipher
from awala.nodes.config import StorageConfig
from awala.nodes.courier.node import open_courier
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.internet_gateway.root import create_internet_gateway, open_internet_gateway
from awala.nodes.private_gateway.root import create_private_gateway, open_private_gateway
from awala.nodes.stores import open_spool
from awala.spool import MemorySpool, Outcome
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import PoHttp
from helpers.spool_items import NOW, arrival

GIB, MIB = 1 << 30, 1 << 20


def read(model, tmp_path, text=""):
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load(model, file=file, environ={})


@pytest.mark.parametrize(
    ("model", "mailbox", "pair"),
    [
        (InternetGatewaySettings, GIB, 256 * MIB),
        (GatewaySettings, None, None),
        (CourierSettings, None, None),
        (PongSettings, None, None),
    ],
)
def test_only_what_many_share_has_quotas_by_default(model, mailbox, pair, tmp_path):
    storage = storage_config(read(model, tmp_path).storage, tmp_path)

    assert (storage.quota, storage.mailbox_quota, storage.pair_quota) == (None, mailbox, pair)


@pytest.mark.rule("11.5")
@pytest.mark.parametrize("name", ["quota", "mailbox_quota", "pair_quota"])
async def test_every_quota_that_is_set_bounds_the_spool(name, tmp_path):
    settings = read(GatewaySettings, tmp_path, f'[storage]\n{name} = "64 KiB"\n')
    spool = await open_spool(storage_config(settings.storage, tmp_path))
    try:
        outcomes = [
            (await spool.accept([arrival(f"m{number}", bytes(30_000))], now=NOW))[0] for number in range(3)
        ]
    finally:
        await spool.close()

    assert outcomes[0] is Outcome.STORED
    assert outcomes[2] is Outcome.FULL


async def test_every_node_opens_its_spool_with_the_quotas(tmp_path):
    clock = FakeClock()
    storage = StorageConfig(directory=tmp_path, quota=3 * GIB, mailbox_quota=2 * GIB, pair_quota=GIB)
    await create_private_gateway(storage)
    await create_internet_gateway(storage, "gateway.example.com")
    opened = [
        lambda: open_courier(storage, clock=clock, connect=None),
        lambda: open_private_gateway(storage, clock=clock, connect=None, connect_courier=None),
        lambda: open_internet_gateway(storage, clock=clock, pohttp=PoHttp()),
    ]
    for each in opened:
        async with each() as node:
            limits = node._spool._limits
            assert (limits.quota, limits.mailbox_quota, limits.pair_quota) == (3 * GIB, 2 * GIB, GIB)


@pytest.mark.rule("1.5")
@pytest.mark.parametrize("cipher", list(ContentCipher))
@pytest.mark.parametrize("model", [InternetGatewaySettings, GatewaySettings, PongSettings])
def test_the_cipher_is_a_setting_of_all_who_encrypt(model, cipher, tmp_path):
    settings = read(model, tmp_path, f'[encryption]\ncontent_cipher = "{cipher.value.lower()}"\n')

    assert encryption_config(settings.encryption).content_cipher is cipher
    assert encryption_config(read(model, tmp_path).encryption).content_cipher is ContentCipher.AES_128_CBC


def test_another_cipher_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"\[encryption\] content_cipher: must be one of aes-128-cbc"
    ):
        read(GatewaySettings, tmp_path, '[encryption]\ncontent_cipher = "des"\n')


@pytest.mark.rule("1.5")
async def test_nodes_seal_with_the_cipher_that_they_are_told(tmp_path):
    clock, storage, cipher = FakeClock(), StorageConfig(directory=tmp_path), ContentCipher.AES_256_GCM
    await create_private_gateway(storage)
    await create_internet_gateway(storage, "gateway.example.com")
    async with open_private_gateway(
        storage, clock=clock, connect=None, connect_courier=None, content_cipher=cipher
    ) as node:
        assert await cipher_of(node._sessions, clock) is cipher
    async with open_internet_gateway(storage, clock=clock, pohttp=PoHttp(), content_cipher=cipher) as node:
        assert await cipher_of(node._sessions, clock) is cipher
    vault = MemoryVault()
    await InternetEndpoint.create(vault, "pong.example.com")
    node = await InternetEndpoint.open(
        vault=vault, spool=MemorySpool(), clock=clock, client=PoHttp(), content_cipher=cipher
    )
    assert await cipher_of(node.identity.sessions, clock) is cipher


async def cipher_of(sessions, clock):
    """Return the cipher of a message that is sealed with these sessions."""
    now = clock.now()
    key = await sessions.hand_out(own_id="peer", peer_id="own", now=now, until=now)
    await sessions.adopt(key, own_id="own", peer_id="peer", as_of=now)
    sealed = EnvelopedData.parse(await sessions.seal(b"", own_id="own", peer_id="peer", now=now))
    return sealed.content_cipher
