# SPDX-License-Identifier: MIT
"""The vault in a file: what remains, who may read it, and what a passphrase does (rules §11)."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from awala.base.sqlite import StorageError
from awala.crypto import IdentityPrivateKey
from awala.vault import SqliteVault, VaultError, VaultLockedError
from awala.vault.protection import Lock, Protection, new_lock, unlock
from awala.vault.schema import MIGRATIONS, to_datetime, to_microseconds
from awala.vault.sqlite import FILE_NAME

NOW = datetime(2026, 11, 21, 12, 0, 0, 999_999, tzinfo=UTC)
PASSPHRASE = b"correct horse"
SECRET = b"a secret that must not be seen in the file"

pytestmark = pytest.mark.usefixtures("cheap_scrypt")


@pytest.fixture(scope="module")
def key() -> IdentityPrivateKey:
    return IdentityPrivateKey.generate()


async def fill(directory: Path, key: IdentityPrivateKey, passphrase: bytes | None) -> None:
    vault = await SqliteVault.open(directory, passphrase=passphrase)
    await vault.save_identity("node", key)
    await vault.put_record("n", "k", SECRET)
    await vault.session_keys.save_own_key(
        own_id="me", peer_id=None, key_id=b"k", private_key=SECRET, created=NOW, first_sent=NOW, until=None
    )
    await vault.close()


def octets(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()))


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
async def test_keeps_everything_over_a_restart(tmp_path, key, passphrase):
    await fill(tmp_path, key, passphrase)

    vault = await SqliteVault.open(tmp_path, passphrase=passphrase)

    assert (await vault.identity()).node_id == key.node_id
    assert await vault.records("n") == {"k": SECRET}
    assert (await vault.session_keys.own_key(own_id="me", key_id=b"k")).private_key == SECRET
    await vault.close()


async def test_is_for_its_owner_alone(tmp_path, key):
    directory = tmp_path / "deep" / "vault"
    await fill(directory, key, None)

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


async def test_shows_secrets_in_its_file_only_without_a_passphrase(tmp_path, key):
    await fill(tmp_path / "open", key, None)
    await fill(tmp_path / "locked", key, PASSPHRASE)

    assert SECRET in octets(tmp_path / "open")
    assert key.serialize() in octets(tmp_path / "open")
    assert SECRET not in octets(tmp_path / "locked")
    assert key.serialize() not in octets(tmp_path / "locked")
    assert PASSPHRASE not in octets(tmp_path / "locked")


@pytest.mark.parametrize("wrong", [None, b"wrong", PASSPHRASE + b" "])
async def test_stays_locked_without_its_passphrase(tmp_path, key, wrong):
    await fill(tmp_path, key, PASSPHRASE)

    with pytest.raises(VaultLockedError) as caught:
        await SqliteVault.open(tmp_path, passphrase=wrong)

    assert "horse" not in str(caught.value)
    assert caught.value.advice


async def test_refuses_an_empty_passphrase(tmp_path):
    with pytest.raises(VaultError, match="empty"):
        await SqliteVault.open(tmp_path, passphrase=b"")


async def test_refuses_a_passphrase_for_a_vault_in_clear(tmp_path, key):
    await fill(tmp_path, key, None)

    with pytest.raises(VaultError, match="in clear"):
        await SqliteVault.open(tmp_path, passphrase=PASSPHRASE)


async def test_takes_a_passphrase_for_a_vault_that_holds_nothing_yet(tmp_path, key):
    await (await SqliteVault.open(tmp_path)).close()

    await fill(tmp_path, key, PASSPHRASE)

    with pytest.raises(VaultLockedError):
        await SqliteVault.open(tmp_path)


async def test_is_locked_once_when_two_create_it_at_the_same_time(tmp_path, monkeypatch):
    async def put_by_another():
        vault = await SqliteVault.open(tmp_path, passphrase=PASSPHRASE)
        await vault.put_record("n", "k", SECRET)
        await vault.close()

    def overtaken(passphrase):
        monkeypatch.setattr("awala.vault.sqlite.new_lock", new_lock)
        asyncio.run(put_by_another())
        return new_lock(passphrase)

    monkeypatch.setattr("awala.vault.sqlite.new_lock", overtaken)
    vault = await SqliteVault.open(tmp_path, passphrase=PASSPHRASE)

    assert await vault.get_record("n", "k") == SECRET
    await vault.close()


async def test_notices_values_that_were_swapped_or_damaged(tmp_path):
    vault = await SqliteVault.open(tmp_path, passphrase=PASSPHRASE)
    await vault.put_records("n", {"a": b"1", "b": b"2", "c": b"3"})
    await vault.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(
            "UPDATE records SET value = (SELECT value FROM records WHERE key = 'b') WHERE key = 'a'"
        )
        connection.execute("UPDATE records SET value = x'00' WHERE key = 'c'")
    connection.close()

    vault = await SqliteVault.open(tmp_path, passphrase=PASSPHRASE)

    for name in ("a", "c"):
        with pytest.raises(VaultError, match="record"):
            await vault.get_record("n", name)
    assert await vault.get_record("n", "b") == b"2"
    await vault.close()


async def test_leaves_no_trace_of_a_pruned_key_in_its_file(tmp_path, key):
    await fill(tmp_path, key, None)
    vault = await SqliteVault.open(tmp_path)
    await vault.delete_record("n", "k")
    await vault.session_keys.save_own_key(
        own_id="me", peer_id=None, key_id=b"due", private_key=SECRET, created=NOW, first_sent=NOW, until=NOW
    )
    await vault.session_keys.forget(own_id="me", peer_id="peer")
    later = NOW.replace(year=2027)

    assert (
        await vault.session_keys.prune(now=later, superseded_before=later, until_before=later, keep=()) == 1
    )
    await vault.close()

    assert octets(tmp_path).count(SECRET) == 1  # that of the key which was not due


async def test_takes_over_the_session_keys_of_the_first_version(tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1")
        row = ("me", b"k", "peer", SECRET, to_microseconds(NOW))
        connection.execute(
            "INSERT INTO own_session_keys (own_id, key_id, peer_id, private_key, created)"
            " VALUES (?, ?, ?, ?, ?)",
            row,
        )
        row = ("me", "peer", b"theirs", b"public", to_microseconds(NOW))
        connection.execute("INSERT INTO peer_session_keys VALUES (?, ?, ?, ?, ?)", row)
    connection.close()

    vault = await SqliteVault.open(tmp_path)

    key = await vault.session_keys.own_key(own_id="me", key_id=b"k")
    assert (key.private_key, key.first_sent, key.last_sent) == (SECRET, NOW, NOW)
    assert (await vault.session_keys.peer_key(own_id="me", peer_id="peer")).key_id == b"theirs"
    await vault.close()


async def test_refuses_a_file_that_is_no_database(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"this is no database, whatever its name says" * 100)

    with pytest.raises(StorageError):
        await SqliteVault.open(tmp_path)


def test_makes_a_lock_with_the_strength_it_promises(monkeypatch):
    monkeypatch.undo()

    lock, _ = new_lock(PASSPHRASE)

    assert (lock.cost, lock.block_size, lock.parallelism) == (2**15, 8, 3)
    assert len(lock.salt) == 16


def test_opens_what_it_closed_and_only_in_its_place():
    lock, guard = new_lock(PASSPHRASE)
    closed = guard.close(SECRET, "record", "n", "k")

    again = unlock(lock, PASSPHRASE)

    assert again.open(closed, "record", "n", "k") == SECRET
    for place in (("record", "n"), ("record", "n", "x"), ("record", "nk", "")):
        with pytest.raises(VaultError):
            again.open(closed, *place)
    assert guard.close(SECRET, "record", "n", "k") != closed


def test_refuses_senseless_parameters_of_a_lock():
    with pytest.raises(VaultError, match="damaged"):
        unlock(Lock(b"salt", 3, 8, 1, b""), PASSPHRASE)


def test_leaves_values_as_they_are_without_a_key():
    assert Protection().open(Protection().close(SECRET, "x"), "y") == SECRET


@pytest.mark.parametrize(
    "moment", [NOW, datetime(1969, 12, 31, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)]
)
def test_stores_times_exactly(moment):
    assert to_datetime(to_microseconds(moment)) == moment


async def test_closes_the_file_when_it_cannot_be_opened(tmp_path, monkeypatch):
    async def fail(*_):
        raise VaultError("no")

    monkeypatch.setattr("awala.vault.sqlite._protection", fail)
    with pytest.raises(VaultError):
        await SqliteVault.open(tmp_path)
    assert not (tmp_path / f"{FILE_NAME}-wal").exists()
