# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from awala.bindings.addressing import Dialler, ForbiddenAddressError, NotFound
from awala.bindings.addressing.dialler import MAX_ATTEMPTS, interleave
from awala.bindings.errors import UnreachableError
from helpers.network import StaticResolver, network


def dialler(*addresses, **settings):
    return Dialler(StaticResolver(hosts={"host.test": addresses}, error=NotFound("none")), **settings)


class Connection:
    def __init__(self, address):
        self.address = address
        self.closed = False

    def close(self):
        self.closed = True


class Dial:
    """Connections by script: an error, an event to wait for, or nothing for success at once."""

    def __init__(self, script):
        self.script = script
        self.dialled = []
        self.made = []
        self.both = asyncio.Event()

    async def __call__(self, address, _port):
        self.dialled.append(address)
        if len(self.dialled) == 2:
            self.both.set()
        step = self.script.get(address)
        if isinstance(step, Exception):
            raise step
        if step is not None:
            await step.wait()
        self.made.append(Connection(address))
        return self.made[-1]


@pytest.fixture
async def listener():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.rule("10.4")
async def test_connects_without_delay_to_a_checked_address(listener):
    with await dialler("127.0.0.1").connect("host.test", listener) as sock:
        assert sock.getpeername() == ("127.0.0.1", listener)
        assert sock.gettimeout() == 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_tries_the_next_address_when_one_refuses(listener):
    with await dialler("127.0.0.9", "127.0.0.1").connect("host.test", listener) as sock:
        assert sock.getpeername()[0] == "127.0.0.1"


async def test_says_why_nothing_answers_but_not_where():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(UnreachableError, match="refused") as caught:
        await dialler("127.0.0.1").connect("host.test", port)
    assert "127.0.0.1" not in str(caught.value)


async def test_a_host_that_may_not_be_dialled_is_not_dialled(listener):
    async with network({"inside.test": ["A 127.0.0.1"]}) as net, net.resolver(allow_networks=()) as resolver:
        for host in ("inside.test", "127.0.0.1", "::1", "[::1]"):
            with pytest.raises(ForbiddenAddressError):
                await Dialler(resolver).connect(host, listener)


async def test_the_first_connection_wins_and_a_late_one_is_discarded():
    slow = asyncio.Event()
    dial = Dial({"2001:db8::1": slow})

    async def winning(address, port):
        if address == "127.0.0.1":
            slow.set()
            await asyncio.sleep(0)
        return await dial(address, port)

    hosts = dialler("127.0.0.1", "2001:db8::1", stagger=0, dial=winning)
    won = await hosts.connect("host.test", 1)
    assert not won.closed
    assert all(made.closed for made in dial.made if made is not won)


async def test_a_hanging_address_does_not_hold_up_the_next():
    dial = Dial({"2001:db8::1": asyncio.Event()})
    hosts = dialler("127.0.0.1", "2001:db8::1", stagger=0.01, dial=dial)
    won = await hosts.connect("host.test", 1)
    assert won.address == "127.0.0.1"
    assert dial.dialled == ["2001:db8::1", "127.0.0.1"]


async def test_gives_each_address_its_time_and_no_more():
    dial = Dial({"127.0.0.1": asyncio.Event()})
    with pytest.raises(UnreachableError, match="in time"):
        await dialler("127.0.0.1", timeout=0.01, dial=dial).connect("host.test", 1)


async def test_a_failure_without_a_number_is_still_explained():
    dial = Dial({"127.0.0.1": OSError("odd")})
    with pytest.raises(UnreachableError, match="no connection"):
        await dialler("127.0.0.1", dial=dial).connect("host.test", 1)


async def test_a_mistake_in_the_program_is_not_taken_for_a_network_error():
    dial = Dial({"127.0.0.1": ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        await dialler("127.0.0.1", "127.0.0.2", dial=dial).connect("host.test", 1)


async def test_cancelling_ends_all_attempts():
    dial = Dial({"127.0.0.1": asyncio.Event(), "2001:db8::1": asyncio.Event()})
    hosts = dialler("127.0.0.1", "2001:db8::1", stagger=0, dial=dial)
    task = asyncio.create_task(hosts.connect("host.test", 1))
    await dial.both.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {t for t in asyncio.all_tasks() if t is not asyncio.current_task()} == set()


async def test_tries_a_bounded_number_of_addresses():
    addresses = [f"127.0.0.{n}" for n in range(1, 30)]
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    dial = Dial(dict.fromkeys(addresses, refused))
    with pytest.raises(UnreachableError):
        await dialler(*addresses, dial=dial).connect("host.test", 1)
    assert len(dial.dialled) == MAX_ATTEMPTS


def test_alternates_between_the_families():
    assert interleave(["1.1.1.1", "2.2.2.2", "3.3.3.3", "::1"]) == ["::1", "1.1.1.1", "2.2.2.2", "3.3.3.3"]
