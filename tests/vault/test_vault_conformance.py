# SPDX-License-Identifier: MIT
"""What every vault must do: one suite for all adapters."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from awala.base.errors import AwalaError, StorageFullError
from awala.base.sqlite import StorageError
from awala.crypto import IdentityPrivateKey
from awala.pki import CertificationPath, Role, issue
from awala.vault import Vault, VaultError
from awala.vault import withdrawals as module

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@cache
def key(name: str) -> IdentityPrivateKey:  # noqa: ARG001 - one key for each name
    return IdentityPrivateKey.generate()


def path(*, days: int, authority_days: int | None = None, name: str = "leaf") -> CertificationPath:
    """Return a path for ``name`` whose certificates last that many days from now."""
    not_before = NOW - 400 * DAY
    authorities = ()
    if authority_days is not None:
        authority = issue(
            subject_key=key("gateway").public_key,
            issuer_key=key("gateway"),
            issuer=None,
            role=Role.SELF_ISSUED_GATEWAY,
            not_before=not_before,
            not_after=NOW + authority_days * DAY,
        )
        authorities = (authority,)
    leaf = issue(
        subject_key=key(name).public_key,
        issuer_key=key(name),
        issuer=None,
        role=Role.SELF_ISSUED_GATEWAY,
        not_before=not_before,
        not_after=NOW + days * DAY,
    )
    return CertificationPath(leaf, authorities)


async def paths(vault: Vault, *, purpose="own", name="leaf", now=NOW):
    return await vault.paths(subject_id=key(name).node_id, purpose=purpose, now=now)


async def test_keeps_identity_keys_by_label(vault: Vault):
    await vault.save_identity("node", key("a"))
    await vault.save_identity("endpoint/1", key("b"))

    assert (await vault.identity()).node_id == key("a").node_id
    assert (await vault.identity("endpoint/1")).node_id == key("b").node_id
    assert await vault.identity("other") is None
    assert await vault.identities() == ["endpoint/1", "node"]


async def test_returns_an_identity_key_that_signs(vault: Vault):
    await vault.save_identity("node", key("a"))

    signature = (await vault.identity()).sign(b"message")

    key("a").public_key.verify(signature, b"message")


async def test_never_overwrites_an_identity(vault: Vault):
    await vault.save_identity("node", key("a"))
    await vault.save_identity("node", key("a"))

    with pytest.raises(VaultError, match="node"):
        await vault.save_identity("node", key("b"))

    assert (await vault.identity()).node_id == key("a").node_id


async def test_erases_an_identity_when_it_is_told_to(vault: Vault):
    await vault.save_identity("node", key("a"))

    await vault.delete_identity("node")
    await vault.delete_identity("node")

    assert await vault.identity() is None
    await vault.save_identity("node", key("b"))
    assert (await vault.identity()).node_id == key("b").node_id


async def test_returns_the_paths_that_last_longest_first(vault: Vault):
    saved = {days: path(days=days) for days in (10, 30, 20)}
    for each in saved.values():
        await vault.save_path(each, purpose="own")

    found = await paths(vault)

    assert [each.chain for each in found] == [saved[days].chain for days in (30, 20, 10)]
    leaves = await vault.certificates(subject_id=key("leaf").node_id, purpose="own", now=NOW)
    assert leaves == [saved[days].leaf for days in (30, 20, 10)]


async def test_keeps_every_certificate_of_a_path(vault: Vault):
    saved = path(days=10, authority_days=20)
    await vault.save_path(saved, purpose="own")

    (found,) = await paths(vault)

    assert [each.encoding for each in found.chain] == [each.encoding for each in saved.chain]


@pytest.mark.parametrize(("days", "authority_days", "end"), [(10, None, 10), (10, 20, 10), (20, 10, 10)])
async def test_hides_a_path_once_one_of_its_certificates_has_expired(vault, days, authority_days, end):
    await vault.save_path(path(days=days, authority_days=authority_days), purpose="own")

    assert len(await paths(vault, now=NOW + end * DAY)) == 1
    assert await paths(vault, now=NOW + end * DAY + timedelta(seconds=1)) == []
    assert len(await paths(vault)) == 1


async def test_ignores_a_path_that_it_has(vault: Vault):
    saved = path(days=10)
    for purpose in ("own", "own", "cda"):
        await vault.save_path(saved, purpose=purpose)

    assert len(await paths(vault)) == 1
    assert len(await paths(vault, purpose="cda")) == 1


async def test_keeps_the_paths_of_subjects_and_purposes_apart(vault: Vault):
    await vault.save_path(path(days=10), purpose="own")

    assert await paths(vault, purpose="cda") == []
    assert await paths(vault, name="other") == []


async def test_erases_the_paths_of_one_subject_and_purpose(vault: Vault):
    await vault.save_path(path(days=10), purpose="own")
    await vault.save_path(path(days=10), purpose="cda")
    await vault.save_path(path(days=10, name="other"), purpose="own")

    await vault.delete_paths(subject_id=key("leaf").node_id, purpose="own")

    assert await paths(vault) == []
    assert len(await paths(vault, purpose="cda")) == 1
    assert len(await paths(vault, name="other")) == 1


async def test_erases_one_path_and_no_other(vault: Vault):
    short, long = path(days=10), path(days=20)
    for each in (short, long):
        await vault.save_path(each, purpose="own")
    await vault.save_path(short, purpose="cda")

    for _ in range(2):
        await vault.delete_path(short, purpose="own")

    assert await paths(vault) == [long]
    assert await paths(vault, purpose="cda") == [short]


async def test_erases_the_paths_that_have_expired(vault: Vault):
    for days in (-2, -1, 1):
        await vault.save_path(path(days=days), purpose="own")

    assert await vault.delete_expired_paths(NOW) == 2
    assert await vault.delete_expired_paths(NOW) == 0
    assert len(await paths(vault, now=NOW - 300 * DAY)) == 1


@pytest.mark.parametrize("value", [b"", b"\0\xff", b"x" * 1_000_000])
async def test_returns_a_record_as_it_was_put(vault: Vault, value):
    await vault.put_record("gateway", "peer", value)

    assert await vault.get_record("gateway", "peer") == value
    assert await vault.get_record("gateway", "other") is None
    assert await vault.get_record("other", "peer") is None


async def test_replaces_a_record(vault: Vault):
    await vault.put_record("n", "k", b"1")
    await vault.put_record("n", "k", b"2")

    assert await vault.records("n") == {"k": b"2"}


async def test_lists_the_records_of_a_namespace_by_name(vault: Vault):
    await vault.put_records("n", {"b": b"2", "a": b"1", "ü": b"3"})
    await vault.put_record("other", "c", b"4")

    assert list((await vault.records("n")).items()) == [("a", b"1"), ("b", b"2"), ("ü", b"3")]
    assert await vault.records("none") == {}


async def test_puts_no_records_at_all(vault: Vault):
    await vault.put_records("n", {})

    assert await vault.records("n") == {}


async def test_puts_several_records_or_none(vault: Vault):
    await vault.put_record("n", "a", b"before")

    with pytest.raises((AwalaError, TypeError)):
        await vault.put_records("n", {"a": b"after", "b": object()})

    assert await vault.records("n") == {"a": b"before"}


async def test_puts_a_record_only_if_there_is_none(vault: Vault):
    assert await vault.put_record_if_absent("n", "k", b"first") is None
    assert await vault.put_record_if_absent("n", "k", b"second") == b"first"
    assert await vault.put_record_if_absent("other", "k", b"third") is None
    assert await vault.get_record("n", "k") == b"first"


async def test_lets_one_of_many_put_a_record(vault: Vault):
    values = [bytes([number]) for number in range(20)]

    standing = await asyncio.gather(*(vault.put_record_if_absent("n", "k", value) for value in values))

    winner = await vault.get_record("n", "k")
    assert standing.count(None) == 1
    assert values[standing.index(None)] == winner
    assert {value for value in standing if value is not None} == {winner}


async def test_erases_a_record(vault: Vault):
    await vault.put_records("n", {"a": b"1", "b": b"2"})

    await vault.delete_record("n", "a")
    await vault.delete_record("n", "a")

    assert await vault.records("n") == {"b": b"2"}


async def test_has_room_for_session_keys(vault: Vault):
    await vault.session_keys.save_own_key(
        own_id="me", peer_id=None, key_id=b"k", private_key=b"private", created=NOW, first_sent=NOW, until=NOW
    )

    assert (await vault.session_keys.own_key(own_id="me", key_id=b"k")).private_key == b"private"


async def test_closes_twice_and_serves_nobody_afterwards(vault: Vault):
    await vault.close()
    await vault.close()

    with pytest.raises(StorageError):
        await vault.get_record("n", "k")
    with pytest.raises(StorageError):
        await vault.put_record("n", "k", b"value")


async def withdraw(vault: Vault, *serials: bytes, gateway="0g", endpoint="0e", days=1):
    await vault.withdrawals.add(
        gateway_id=gateway, endpoint_id=endpoint, serials=serials, expiry=NOW + days * DAY
    )


async def covers(vault: Vault, serial: bytes, *, gateway="0g", endpoint="0e", now=NOW):
    return await vault.withdrawals.covers(gateway_id=gateway, endpoint_id=endpoint, serial=serial, now=now)


@pytest.mark.rule("3.13")
async def test_withdrawals_count_for_their_gateway_and_endpoint_until_their_end(vault: Vault):
    await withdraw(vault, b"\1", b"\2")
    assert await covers(vault, b"\1")
    assert await covers(vault, b"\2", now=NOW + DAY)
    assert not await covers(vault, b"\2", now=NOW + 2 * DAY)
    assert not await covers(vault, b"\3")
    assert not await covers(vault, b"\1", gateway="0h")
    assert not await covers(vault, b"\1", endpoint="0f")


async def test_a_withdrawal_without_serial_numbers_is_one_of_everything(vault: Vault):
    await withdraw(vault)
    assert await covers(vault, b"\1")
    assert not await covers(vault, b"\1", endpoint="0f")


async def test_a_withdrawal_that_is_repeated_lasts_as_long_as_the_longer_one(vault: Vault):
    for days in (1, 5, 3):
        await withdraw(vault, b"\1", days=days)
    assert await covers(vault, b"\1", now=NOW + 5 * DAY)
    assert await vault.withdrawals.delete_expired(NOW + 4 * DAY) == 0
    assert await vault.withdrawals.delete_expired(NOW + 6 * DAY) == 1


async def test_one_gateway_cannot_withdraw_without_end(vault: Vault, monkeypatch):
    monkeypatch.setattr(module, "MAX_WITHDRAWALS", 3)
    await withdraw(vault, b"\1", b"\2")
    with pytest.raises(StorageFullError):
        await withdraw(vault, b"\3", b"\4")
    assert not await covers(vault, b"\3")
    await withdraw(vault, b"\3", b"\4", gateway="0h")
    await withdraw(vault, b"\1", b"\2", b"\3", days=2)
    await vault.withdrawals.delete_expired(NOW + 3 * DAY)
    await withdraw(vault, b"\4", b"\5", b"\6")
