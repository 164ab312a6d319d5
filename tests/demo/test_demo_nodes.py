# SPDX-License-Identifier: MIT

from __future__ import annotations

import asyncio
import sys

import pytest

from awala.demo.chatting import ChatApp
from awala.demo.errors import DemoError
from awala.demo.feed import Feed
from awala.demo.nodes import Node
from awala.demo.processes import Processes

# Behaves as the command named first says: a stand-in for every command of the program.
PROGRAM = """
import json, sys, time

def tell(value, stream=sys.stdout):
    print(json.dumps(value), file=stream, flush=True)

kind, words = sys.argv[1], sys.argv[2:]
if words[:1] == ["init"]:
    sys.exit("awala: no room" if kind == "full" else 0)
if words[:1] == ["status"]:
    if kind == "silent":
        print("hm")
    elif kind == "broken":
        sys.exit("awala: something is wrong")
    else:
        tell({"words": words})
    sys.exit()
tell({"event": "started", "level": "info"}, sys.stderr)
if kind == "dying":
    sys.exit("awala: cannot listen")
if kind == "hanging":
    time.sleep(3600)
print("no JSON", flush=True)
tell({"ready": {"poweb": "127.0.0.1:1", "id": "0a"}})
tell({"event": "parcel stored", "message_id": "m1", "message_kind": "parcel", "action": "stored"}, sys.stderr)
number = 0
for line in sys.stdin:
    order = json.loads(line)
    number += 1
    match order["do"]:
        case "offer":
            tell({"offer": "awala-offer:x"})
        case "accept":
            tell({"invitation": order["text"] + order["name"]})
        case "complete":
            tell({"paired": {"id": order["text"], "name": order["name"]}})
        case "say" if order["to"] == "nobody":
            tell({"error": "no peer is called 'nobody'"})
        case "say":
            tell({"said": {"id": f"m{number}", "to": order["to"], "text": order["text"]}})
            tell({"received": {"id": f"m{number}", "from": "0b", "text": order["text"]}})
        case "peers":
            tell({"peers": [{"id": "0b", "name": "B"}]})
        case "die":
            sys.exit(5)
if kind != "talker":
    time.sleep(3600)
"""


@pytest.fixture
async def make(tmp_path):
    processes = Processes(tmp_path, program=[sys.executable, "-c", PROGRAM])
    made = []

    def node(command="node", **options):
        made.append(
            Node(
                "node-a", command, "run", data=tmp_path / "data", processes=processes, feed=Feed(), **options
            )
        )
        return made[-1]

    yield node
    await processes.end_all()
    await asyncio.gather(*(node.finish() for node in made))


async def test_starts_a_node_and_learns_where_it_listens(make):
    node = make()
    started = []
    node.on_start = lambda: started.append(dict(node.addresses))

    await node.start()

    assert started == [{"poweb": "127.0.0.1:1", "id": "0a"}]
    assert node.runs


async def test_publishes_the_hop_events_of_the_log(make):
    node = make()

    await node.start()

    assert (await asyncio.wait_for(node._feed.seen("node-a", "stored", "m1"), 10)).kind == "parcel"


async def test_a_node_that_was_killed_can_be_started_again(make):
    node = make()
    await node.start()

    await node.kill()
    assert not node.runs
    await node.kill()
    await node.start()

    assert node.runs


async def test_says_why_a_node_did_not_start(make):
    with pytest.raises(DemoError, match=r"node-a ended \(exit code 1\) before its start") as caught:
        await make("dying").start()

    assert "awala: cannot listen" in caught.value.details


async def test_does_not_wait_for_ever_for_a_start(make, monkeypatch):
    monkeypatch.setattr("awala.demo.nodes.READY_SECONDS", 0.5)

    with pytest.raises(DemoError, match="in vain for its start"):
        await make("hanging").start()


async def test_notices_at_once_that_a_node_has_ended(make):
    node = make(talks=True)
    await node.start()

    waiting = asyncio.create_task(node.wait_for("the end of time", asyncio.Event().wait(), seconds=60))
    await node.write({"do": "die"})

    with pytest.raises(DemoError, match=r"exit code 5\) before the end of time"):
        await asyncio.wait_for(waiting, 20)


async def test_says_that_a_node_does_not_run(make):
    node = make(talks=True)

    with pytest.raises(DemoError, match="node-a does not run"):
        await node.write({"do": "offer"})
    with pytest.raises(DemoError, match="it was stopped"):
        await node.wait_for("anything", asyncio.Event().wait(), seconds=60)


async def test_makes_keys_only_for_those_that_need_some(make):
    await make("full").initialise()
    await make("node", init=()).initialise()

    with pytest.raises(DemoError, match="'awala full init --address x' of node-a failed: awala: no room"):
        await make("full", init=("--address", "x")).initialise()


async def test_asks_a_node_by_a_command(make):
    node = make()

    assert (await node.ask("status"))["words"] == ["status", "--json", "--data-dir", str(node.data)]


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("silent", "'awala silent status' of node-a printed no JSON"),
        ("broken", "'awala broken status --json' of node-a failed: awala: something is wrong"),
    ],
)
async def test_says_why_a_node_could_not_be_asked(make, command, problem):
    with pytest.raises(DemoError, match=problem):
        await make(command).ask("status")


async def test_a_chat_does_what_it_is_told(make):
    chat = ChatApp(make("talker", talks=True))
    seen = []
    chat.on_event = seen.append
    await chat.node.start()

    assert chat.id == "0a"
    assert await chat.offer() == "awala-offer:x"
    assert await chat.accept("invitation-for-", "A") == "invitation-for-A"
    await chat.complete("0b", "B")
    assert await chat.peers() == [{"id": "0b", "name": "B"}]
    message_id = await chat.say("B", "hello")
    await chat.wait_received(message_id, seconds=10)
    await chat.wait_paired("0b", seconds=10)

    assert [text["text"] for text in chat.received(message_id)] == ["hello"]
    assert chat.received("other") == []
    assert seen == list(chat.events)


async def test_a_chat_says_what_it_could_not_do(make):
    chat = ChatApp(make("talker", talks=True))
    await chat.node.start()

    with pytest.raises(DemoError, match="node-a: no peer is called 'nobody'"):
        await chat.say("nobody", "hello")

    assert await chat.say("B", "hello")


async def test_a_chat_that_hears_nothing_says_what_it_waited_for(make):
    chat = ChatApp(make("talker", talks=True))
    await chat.node.start()

    with pytest.raises(DemoError, match="waited 0 s in vain for 2 texts"):
        await chat.wait_received("m8", "m9", seconds=0.2)
