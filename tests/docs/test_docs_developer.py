# SPDX-License-Identifier: MIT
"""Runs the code of docs/developer.md, as it stands, in a network of this process."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from awala.sdk import PairingRefusedError, TicketState
from helpers.nodes_network import village

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "developer.md"
PATIENCE = 60


@pytest.fixture(scope="module")
def code():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), names)  # noqa: S102 - this repository's own page
    return SimpleNamespace(**names)


@pytest.fixture
async def net(tmp_path):
    async with village(tmp_path) as net, asyncio.timeout(PATIENCE):
        yield net


async def gateway_of(net, name):
    side = await net.side(name)
    return f"http://{side.gateway.running.addresses['poweb']}"


async def test_the_app_of_the_page_gets_an_answer_from_its_service(code, net, tmp_path):
    gateway = await gateway_of(net, "a")
    service = await net.pong(code.weather)
    params = service.node.connection_params()

    first = await code.ask("Lima", params, tmp_path / "asker", gateway)
    second = await code.ask("Bonn", params, tmp_path / "asker", gateway)

    assert [first, second] == ["sunny in Lima", "sunny in Bonn"]


async def test_the_counter_of_the_page_counts_each_question_once(code, net):
    counts: asyncio.Queue[str] = asyncio.Queue()

    def setup(app):
        @app.on(code.COUNT)
        async def take(message):
            counts.put_nowait(message.content.decode())

    side = await net.side("a")
    service = await net.pong(code.counter)
    app = await net.app(side, setup)
    peer = await app.add_internet_peer(service.node.connection_params())
    for _ in range(3):
        await app.send(peer, code.QUESTION, b"")
        await counts.get()
    async with service.running.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM question").fetchone() == (3,)


async def test_the_service_of_the_page_starts_with_its_own_configuration(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = asyncio.Event()
    real = code.InternetService.run
    configs = []

    def run(config, setup):
        configs.append(config)
        started.set()
        return real(config, setup)

    monkeypatch.setattr(code.InternetService, "run", run)
    service = asyncio.create_task(code.run_service())
    try:
        async with asyncio.timeout(PATIENCE):
            await started.wait()
    finally:
        service.cancel()
        await asyncio.wait((service,))

    assert service.cancelled()
    assert configs[0].storage.directory == Path("weather-data")
    assert (tmp_path / "weather-data" / "vault").is_dir()


async def test_two_apps_pair_and_write_as_the_page_says(code, net, tmp_path):
    gateways = [await gateway_of(net, name) for name in "ab"]
    came: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    friends: asyncio.Queue[object] = asyncio.Queue()

    def setup(app):
        @app.on(code.TEXT)
        async def take(message):
            came.put_nowait((message.sender_id, message.content))

    async with (
        code.PrivateApp.open(tmp_path / "alice", gateway=gateways[0], setup=setup) as alice,
        code.PrivateApp.open(tmp_path / "bob", gateway=gateways[1], setup=setup) as bob,
    ):
        code.announce_friends(bob, friends)
        await alice.registered()
        await bob.registered()

        invitation = await code.accept_offer(bob, await code.make_offer(alice))
        peer = await code.complete(alice, invitation)
        ticket = await alice.send(peer, code.TEXT, b"hello Bob")
        assert await ticket.wait() is TicketState.SENT
        assert await came.get() == (alice.id, b"hello Bob")

        friend = await friends.get()
        assert (friend.id, friend.name, peer.name) == (alice.id, "Alice", "Bob")
        await bob.send(friend, code.TEXT, b"hello Alice")
        assert await came.get() == (bob.id, b"hello Alice")

        with pytest.raises(PairingRefusedError):
            await code.complete(alice, invitation)

        await code.be_brief(alice, peer)
        assert await code.block(alice, peer)
        assert not await code.block(alice, peer)
