# SPDX-License-Identifier: MIT
"""Transactions of handlers: what they write and send takes effect once, or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import timedelta

import pytest

from awala.base.files import StorageError
from awala.messages import NodeConnectionParams, ServiceMessage
from awala.nodes.endpoint.internet import InternetEndpoint
from awala.nodes.endpoint.private import PrivateEndpoint
from awala.nodes.lanes import GATEWAY
from awala.sdk import IncomingMessage, NotAuthorisedError, UnknownPeerError
from awala.sdk.context import empty_outbox
from awala.sdk.database import open_database
from awala.sdk.handlers import Handlers
from awala.spool import Hop, MemorySpool
from awala.testing import FakeClock
from awala.vault import MemoryVault
from helpers.nodes import DAY, NOW, STRANGER, DirectPoWeb, PoHttp, running, until

CREATE = "CREATE TABLE IF NOT EXISTS effect (id TEXT)"
EFFECT = "INSERT INTO effect VALUES (?)"

CHILD = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from awala.sdk import IncomingMessage, PrivateApp
from awala.testing.crashes import Crash, CrashPoints

if len(sys.argv) > 2:
    CrashPoints(Crash.parse(sys.argv[2])).install()
now = datetime.now(UTC)
message = IncomingMessage("m", "0sender", "t", b"", now, now + timedelta(days=1), 1)

async def main():
    async with PrivateApp.open(Path(sys.argv[1]), gateway="http://127.0.0.1:9") as app:
        @app.on("t")
        async def handle(message, context):
            async with context.transaction() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS effect (id TEXT)")
                connection.execute("INSERT INTO effect VALUES (?)", (message.id,))
        await app._handlers.handle(message)
        async with app.transaction() as connection:
            print(connection.execute("SELECT id FROM effect").fetchall())

asyncio.run(main())
"""


def message(message_id="m", attempt=1):
    return IncomingMessage(message_id, "0sender", "t", b"", NOW, NOW + DAY, attempt)


class App:
    """Handlers over an endpoint that knows one Internet peer, and a database in a file."""

    async def open(self, database):
        self.clock, self.spool, self.database = FakeClock(), MemorySpool(), database
        endpoint = await PrivateEndpoint.open(
            vault=MemoryVault(), spool=self.spool, clock=self.clock, client=DirectPoWeb(None)
        )
        self.identity = endpoint.identity
        vault = MemoryVault()
        await InternetEndpoint.create(vault, "pong.demo.test")
        service = await InternetEndpoint.open(
            vault=vault, spool=MemorySpool(), clock=self.clock, client=PoHttp()
        )
        await self.identity.add_internet_peer(NodeConnectionParams.parse(service.connection_params()))
        self.peer = service.node_id
        self.restart()
        return self

    def restart(self):
        self.handlers = Handlers()
        self.handlers.bind(self.identity, self.database)
        self.attempts = []

    def on(self, handler):
        self.handlers.on("t")(handler)

    async def effects(self):
        async with self.database.transaction() as connection:
            connection.execute(CREATE)
            return [each for (each,) in connection.execute("SELECT id FROM effect ORDER BY id")]

    async def sent(self):
        """Return the ids in the outbox of the endpoint, after that of the database was emptied into it."""
        async with running(empty_outbox(self.database, self.identity, self.clock)):
            async with asyncio.timeout(10):
                while await self.database.next_out() is not None:  # noqa: ASYNC110 - there is no event for that
                    await asyncio.sleep(0.001)
        items = await self.spool.lease(
            Hop(GATEWAY, self.identity.node_id), now=NOW, duration=timedelta(), limit=100
        )
        return [item.identity.message_id for item in items]


@pytest.fixture
async def app(tmp_path):
    async with open_database(tmp_path, FakeClock()) as database:
        yield await App().open(database)


@pytest.mark.rule("5.3")
async def test_what_a_handler_writes_and_sends_takes_effect_once_however_often_it_is_called(app):
    @app.on
    async def handle(message, context):
        app.attempts.append(message.attempt)
        async with context.transaction() as connection:
            connection.execute(CREATE)
            connection.execute(EFFECT, (message.id,))
            await context.send(app.peer, "t", b"answer")

    for attempt in range(1, 4):
        await app.handlers.handle(message(attempt=attempt))
    await app.handlers.handle(message("other"))

    assert await app.effects() == ["m", "other"]
    assert app.attempts == [1, 1]
    assert len(set(await app.sent())) == len(await app.sent()) == 2


@pytest.mark.rule("5.3")
async def test_what_fails_has_no_effect_and_the_next_attempt_sends_under_the_same_id(app):
    ids = []

    @app.on
    async def handle(message, context):
        async with context.transaction() as connection:
            connection.execute(CREATE)
            connection.execute(EFFECT, (message.id,))
            ids.append(await context.send(app.peer, "t", b"first"))
            ids.append(await context.send(app.peer, "t", b"second"))
            if message.attempt == 1:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await app.handlers.handle(message())
    assert await app.effects() == []
    assert await app.sent() == []

    await app.handlers.handle(message(attempt=2))
    assert await app.effects() == ["m"]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]
    assert sorted(await app.sent()) == sorted(ids[:2])


@pytest.mark.rule("5.2")
async def test_without_a_transaction_the_handler_runs_again_and_its_answer_has_the_same_id(app):
    @app.on
    async def handle(message, context):
        app.attempts.append((message.id, message.attempt))
        await context.send(app.peer, "t", b"answer %d" % message.attempt)

    await app.handlers.handle(message())
    await app.handlers.handle(message(attempt=2))

    assert app.attempts == [("m", 1), ("m", 2)]
    assert len(await app.sent()) == 1


async def test_a_message_that_cannot_be_sent_undoes_the_transaction(app):
    @app.on
    async def handle(message, context):
        async with context.transaction() as connection:
            connection.execute(CREATE)
            connection.execute(EFFECT, (message.id,))
            await context.send(STRANGER.node_id, "t", b"")

    with pytest.raises(UnknownPeerError):
        await app.handlers.handle(message())
    assert await app.effects() == []
    assert not await app.database.is_done(message())


async def test_the_record_of_what_was_dealt_with_outlives_the_message_but_not_for_ever(app):
    clock = app.database._clock
    async with app.database.transaction(message()):
        pass
    await clock.advance(2 * DAY.total_seconds())
    async with app.database.transaction():
        pass
    assert await app.database.is_done(message())
    await clock.advance(2 * DAY.total_seconds())
    async with app.database.transaction():
        pass
    assert not await app.database.is_done(message())


async def test_one_message_has_one_transaction_and_transactions_are_not_nested(app):
    @app.on
    async def handle(message, context):
        del message
        async with context.transaction():
            with pytest.raises(RuntimeError, match="nested"):
                async with context.transaction():
                    pass
            with pytest.raises(RuntimeError, match="nested"):
                async with app.database.transaction():
                    pass
        with pytest.raises(RuntimeError, match="one transaction"):
            async with context.transaction():
                pass
        app.attempts.append(1)

    await app.handlers.handle(message())
    assert app.attempts == [1]


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "END",
        "ROLLBACK",
        "ATTACH ':memory:' AS other",
        "DELETE FROM awala_done",
        "INSERT INTO awala_outbox (parcel) VALUES (x'00')",
        "DROP TABLE awala_done",
        "CREATE TABLE awala_more (x)",
    ],
)
async def test_an_app_cannot_end_the_transaction_or_touch_the_record(app, statement):
    async def transaction():
        async with app.database.transaction(message()) as connection:
            connection.execute(CREATE)
            connection.execute(EFFECT, ("x",))
            connection.execute(statement)

    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        await transaction()
    assert await app.effects() == []
    assert not await app.database.is_done(message())


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_nor_by_the_methods_of_the_connection(app, end):
    async def transaction():
        async with app.database.transaction(message()) as connection:
            connection.execute(CREATE)
            getattr(connection, end)()

    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        await transaction()
    assert not await app.database.is_done(message())


async def test_the_connection_is_of_no_use_after_the_block(app):
    async with app.database.transaction() as connection:
        connection.execute(CREATE)
        connection.execute(EFFECT, ("in time",))
    with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
        connection.execute(EFFECT, ("too late",))
    assert await app.effects() == ["in time"]


async def test_the_app_may_use_savepoints_and_its_own_version(app):
    async with app.database.transaction() as connection:
        connection.execute(CREATE)
        connection.execute("PRAGMA user_version = 7")
        connection.execute("SAVEPOINT s")
        connection.execute(EFFECT, ("undone",))
        connection.execute("ROLLBACK TO s")
        connection.execute("RELEASE s")
        connection.execute(EFFECT, ("done",))
    async with app.database.transaction() as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
    assert await app.effects() == ["done"]


async def test_cancelled_in_the_block_nothing_is_kept_and_the_next_one_begins(app):
    began = asyncio.Event()

    async def work():
        async with app.database.transaction(message()) as connection:
            connection.execute(CREATE)
            connection.execute(EFFECT, ("x",))
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    waiting = asyncio.create_task(app.effects())
    await asyncio.sleep(0.01)
    assert not waiting.done()  # one at a time
    task.cancel()
    assert await waiting == []
    assert not await app.database.is_done(message())


async def test_cancelled_while_it_commits_the_transaction_is_over_before_the_next_one(app, monkeypatch):
    real = asyncio.to_thread

    async def slow(work, *args):
        await asyncio.sleep(0.05)
        return await real(work, *args)

    async def work():
        async with app.database.transaction(message()) as connection:
            connection.execute(CREATE)
            connection.execute(EFFECT, ("x",))
            monkeypatch.setattr(asyncio, "to_thread", slow)

    task = asyncio.create_task(work())
    await until(lambda: asyncio.to_thread is slow)
    task.cancel()
    await asyncio.wait((task,))
    assert await app.effects() == ["x"]
    assert await app.database.is_done(message())


async def test_a_file_of_a_newer_version_and_one_that_is_no_database_are_told(tmp_path):
    with sqlite3.connect(tmp_path / "app.sqlite") as connection:
        connection.executescript("CREATE TABLE awala_schema (version); INSERT INTO awala_schema VALUES (2);")
    async with open_database(tmp_path, FakeClock()) as database:
        with pytest.raises(StorageError, match="newer version"):
            await database.is_done(message())
    (tmp_path / "app.sqlite").write_bytes(b"no database" * 100)
    async with open_database(tmp_path, FakeClock()) as database:
        with pytest.raises(StorageError, match="not a database"):
            async with database.transaction():
                pass


async def test_no_file_is_made_for_handlers_without_transactions(app, tmp_path):
    heard = []

    @app.on
    async def handle(message):
        heard.append(message.id)

    await app.handlers.handle(message())
    assert heard == ["m"]
    assert await app.sent() == []
    assert not (tmp_path / "app.sqlite").exists()


async def test_what_can_never_be_sent_holds_up_nothing(app):
    async with app.database.transaction():
        app.database.put_out(b"no parcel")
        app.database.put_out(
            (await app.identity.seal(app.peer, ServiceMessage("t", b""), life=DAY, message_id="good")).octets
        )
    assert await app.sent() == ["good"]


@pytest.mark.rule("5.3")
@pytest.mark.parametrize(
    ("crash", "left"),
    [("commit app.sqlite:1", 0), ("commit app.sqlite:2", 1)],  # the tables are made; the effect is committed
)
def test_a_kill_right_after_a_commit_repeats_nothing_and_loses_nothing(tmp_path, crash, left):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def run(*arguments):
        command = [sys.executable, "-c", CHILD, str(tmp_path / "app"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert run(crash).returncode == -signal.SIGKILL
    with sqlite3.connect(tmp_path / "app" / "app.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM awala_done").fetchone() == (left,)
    for _ in range(2):
        assert run().stdout == "[('m',)]\n"


async def test_an_error_of_a_peer_that_may_not_be_written_to_is_raised_in_the_handler(app, monkeypatch):
    def nowhere(_peer):
        raise NotAuthorisedError("not yet")

    monkeypatch.setattr(app.identity, "_outgoing", nowhere)

    @app.on
    async def handle(_message, context):
        async with context.transaction():
            await context.send(app.peer, "t", b"")

    with pytest.raises(NotAuthorisedError):
        await app.handlers.handle(message())
    assert not await app.database.is_done(message())
