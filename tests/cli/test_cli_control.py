# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import json
import stat

import pytest

from awala.base.errors import ConfigurationError
from awala.cli import control
from awala.cli.control import (
    ControlError,
    ControlServer,
    NodeNotRunningError,
    RequestFailedError,
    call,
    call_once,
    control_path,
)


async def count(args):
    for number in range(args["to"]):
        yield {"number": number}


async def refuse(_args):
    raise ConfigurationError("bad address")
    yield {}


async def fail(_args):
    yield {"number": 0}
    raise RuntimeError("a secret")


async def nothing(_args):
    return
    yield {}


HANDLERS = {"count": count, "refuse": refuse, "fail": fail, "nothing": nothing}


@pytest.fixture
async def path(tmp_path):
    path = control_path(tmp_path)
    async with ControlServer(path, HANDLERS):
        yield path


async def answers(path, command, **args):
    return [answer async for answer in call(path, command, args)]


async def test_answers_come_in_order(path):
    assert await answers(path, "count", to=3) == [{"number": 0}, {"number": 1}, {"number": 2}]


async def test_a_single_answer_is_returned(path):
    assert await call_once(path, "count", {"to": 5}) == {"number": 0}


async def test_a_command_that_answers_nothing_has_no_single_answer(path):
    assert await answers(path, "nothing") == []
    with pytest.raises(ControlError, match="nothing"):
        await call_once(path, "nothing")


async def test_several_callers_are_served_at_a_time(path):
    results = await asyncio.gather(*(answers(path, "count", to=number) for number in range(8)))

    assert [len(result) for result in results] == list(range(8))


async def test_an_error_comes_with_its_advice(path):
    with pytest.raises(RequestFailedError, match=r"bad address\. Correct the setting") as caught:
        await answers(path, "refuse")

    assert caught.value.error_class == "ConfigurationError"


async def test_an_unexpected_error_tells_no_details(path):
    with pytest.raises(RequestFailedError, match="unexpected failure") as caught:
        await answers(path, "fail")

    assert "secret" not in str(caught.value)


async def test_an_unknown_command_is_named(path):
    with pytest.raises(RequestFailedError, match="no command 'dance'"):
        await answers(path, "dance")


async def test_only_the_owner_may_connect(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_no_node_is_told(tmp_path):
    with pytest.raises(NodeNotRunningError, match="no node runs on"):
        await answers(control_path(tmp_path), "count", to=1)


async def test_a_stale_socket_is_no_node_and_is_replaced(path):
    stale = path.with_name("stale.sock")
    async with ControlServer(stale, HANDLERS):
        stale.rename(path.with_name("kept.sock"))
    path.with_name("kept.sock").rename(stale)

    with pytest.raises(NodeNotRunningError):
        await answers(stale, "count", to=1)
    async with ControlServer(stale, HANDLERS):
        assert await answers(stale, "count", to=1) == [{"number": 0}]
    assert not stale.exists()


async def test_a_directory_with_a_long_path_has_a_socket_too(tmp_path):
    directory = tmp_path / ("long" * 40)
    directory.mkdir()
    path = control_path(directory)

    async with ControlServer(path, HANDLERS):
        assert await answers(path, "count", to=1) == [{"number": 0}]
        assert path.is_socket()
    with pytest.raises(NodeNotRunningError):
        await answers(path, "count", to=1)


async def test_a_long_path_is_told_where_there_is_no_way_around(tmp_path, monkeypatch):
    monkeypatch.setattr(control, "DESCRIPTORS", tmp_path / "none")
    directory = tmp_path / ("long" * 40)
    directory.mkdir()

    with pytest.raises(ControlError, match="choose a shorter --data-dir"):
        await ControlServer(control_path(directory), {}).__aenter__()
    with pytest.raises(ControlError, match="choose a shorter --data-dir"):
        await answers(control_path(directory), "count", to=1)


async def test_a_caller_who_leaves_ends_the_request(tmp_path):
    started, ended = asyncio.Event(), asyncio.Event()

    async def wait(_args):
        try:
            started.set()
            yield {}
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with ControlServer(control_path(tmp_path), {"wait": wait}):
        assert await call_once(control_path(tmp_path), "wait") == {}
        await asyncio.wait_for(started.wait(), 10)
        await asyncio.wait_for(ended.wait(), 10)


async def test_a_node_that_stops_ends_the_requests(tmp_path):
    async def wait(_args):
        yield {}
        await asyncio.Event().wait()

    server = await ControlServer(control_path(tmp_path), {"wait": wait}).__aenter__()
    stream = call(control_path(tmp_path), "wait")
    assert await anext(stream) == {}

    await server.__aexit__(None, None, None)

    with pytest.raises(ControlError, match="closed the connection"):
        await anext(stream)


@pytest.mark.parametrize(
    ("request_line", "message"),
    [
        (b"garbage\n", "no JSON"),
        (b"[" * 100_000 + b"\n", "no JSON"),
        (b"[]\n", "no JSON object"),
        (b'{"command": 1}\n', "has a command"),
        (b'{"command": "count", "args": []}\n', "has a command"),
        (b"x" * (control.MAX_LINE + 2) + b"\n", "more than"),
    ],
)
async def test_a_request_that_makes_no_sense_is_answered_with_an_error(path, request_line, message):
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(request_line)
        answer = json.loads(await asyncio.wait_for(reader.readline(), 10))
    finally:
        writer.close()

    assert message in answer["error"]["message"]
    assert await answers(path, "count", to=1) == [{"number": 0}]


async def test_a_caller_that_sends_nothing_is_dropped(path, monkeypatch):
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.01)
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        assert await asyncio.wait_for(reader.read(), 10) == b""
    finally:
        writer.close()


async def test_callers_beyond_the_limit_are_told_to_try_again(path, monkeypatch):
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 0)

    with pytest.raises(RequestFailedError, match="too many"):
        await answers(path, "count", to=1)


@pytest.mark.parametrize(
    "line", [b"[]\n", b"nonsense\n", b'{"what": 1}\n', b'{"error": 1}\n', b"", b"x" * (control.MAX_LINE + 2)]
)
async def test_an_answer_that_makes_no_sense_is_an_error(tmp_path, line):
    async def answer(reader, writer):
        await reader.readline()
        writer.write(line)
        await writer.drain()
        writer.close()

    path = control_path(tmp_path)
    async with await asyncio.start_unix_server(answer, path):
        with pytest.raises(ControlError):
            await answers(path, "count")


async def test_a_path_that_cannot_be_a_socket_is_told(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ControlError, match="cannot listen"):
        await ControlServer(tmp_path / "nowhere" / "control.sock", {}).__aenter__()
    with pytest.raises(NodeNotRunningError):
        await answers(tmp_path / "file" / "control.sock", "count")
