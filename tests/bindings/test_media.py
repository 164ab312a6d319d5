# SPDX-License-Identifier: MIT
"""Removable media: whole files or none, and whatever else is on the medium does no harm."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

import pytest

from awala.bindings.media import DamagedFileError, Medium, MediumError, MediumFullError, file_name, medium
from awala.messages import MessageType
from awala.messages.limits import MAX_RAMF_SIZE

CARGO = MessageType.CARGO.prefix + b"one"
OTHER = MessageType.CARGO.prefix + b"two"
CCA = MessageType.CCA.prefix + b"one"


def failing(number):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return fail


async def test_what_was_written_is_read_and_removed_by_its_name(tmp_path):
    stick = Medium(tmp_path)
    assert [await stick.write(each) for each in (CARGO, OTHER, CCA)] == [True] * 3

    names = await stick.names()

    assert {await stick.read(name) for name in names} == {CARGO, OTHER, CCA}
    await stick.remove(names[0])
    await stick.remove(names[0])
    assert await stick.names() == names[1:]


async def test_names_suit_fat_and_files_can_be_read_by_the_next_user(tmp_path):
    await Medium(tmp_path).write(CCA)

    [path] = tmp_path.iterdir()

    assert re.fullmatch(r"cca-[0-9a-f]{32}\.awala", path.name)
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


async def test_the_same_content_is_written_once_and_a_damaged_file_is_replaced(tmp_path):
    stick = Medium(tmp_path)
    await stick.write(CARGO)
    assert not await stick.write(CARGO)
    (tmp_path / file_name(CARGO)).write_bytes(CARGO[:-1])

    assert await stick.write(CARGO)
    assert await stick.read(file_name(CARGO)) == CARGO


@pytest.mark.parametrize("content", [b"", CARGO[:-1], CARGO + b"x", OTHER, CCA, b"rubbish"])
async def test_a_file_with_other_content_than_its_name_says_is_damaged(tmp_path, content):
    (tmp_path / file_name(CARGO)).write_bytes(content)

    with pytest.raises(DamagedFileError):
        await Medium(tmp_path).read(file_name(CARGO))


async def test_only_files_of_bounded_size_are_read(tmp_path):
    stick, largest = Medium(tmp_path), CARGO.ljust(MAX_RAMF_SIZE)
    await stick.write(largest)
    assert await stick.read(file_name(largest)) == largest

    (tmp_path / file_name(CARGO)).write_bytes(largest + b"x")
    with pytest.raises(DamagedFileError, match="larger than"):
        await stick.read(file_name(CARGO))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
async def test_what_only_looks_like_a_file_is_not_read_and_does_not_block(tmp_path, make):
    make(tmp_path / file_name(CARGO))

    with pytest.raises(DamagedFileError):
        await Medium(tmp_path).read(file_name(CARGO))


async def test_files_of_others_are_left_alone(tmp_path):
    names = ["photo.jpg", f"{file_name(CARGO)} (1)", f"._{file_name(CARGO)}", "cargo-1.awala", ".x.tmp"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    stick = Medium(tmp_path)

    await stick.tidy()

    assert await stick.names() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


async def test_what_an_export_that_was_cut_off_left_is_no_file_and_goes(tmp_path):
    (tmp_path / f".{file_name(CARGO)}.0123456789ab.tmp").write_bytes(CARGO[:-1])
    stick = Medium(tmp_path)

    assert await stick.names() == []
    await stick.tidy()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, MediumFullError), (errno.EDQUOT, MediumFullError), (errno.EIO, MediumError)],
)
async def test_a_medium_that_is_full_or_fails_keeps_what_is_whole_and_no_half(
    tmp_path, monkeypatch, number, kind
):
    stick = Medium(tmp_path)
    await stick.write(CARGO)
    monkeypatch.setattr(os, "write", failing(number))

    with pytest.raises(kind) as raised:
        await stick.write(OTHER)

    assert type(raised.value) is kind
    assert str(tmp_path) in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == [file_name(CARGO)]


async def test_a_medium_that_cannot_be_written_to_says_so(tmp_path, monkeypatch):
    stick = Medium(tmp_path)
    await stick.write(CARGO)
    monkeypatch.setattr(os, "replace", failing(errno.EROFS))
    monkeypatch.setattr(Path, "replace", failing(errno.EROFS))
    monkeypatch.setattr(Path, "unlink", failing(errno.EROFS))

    with pytest.raises(MediumError, match="Read-only"):
        await stick.write(OTHER)
    with pytest.raises(MediumError, match="Read-only"):
        await stick.remove(file_name(CARGO))


@pytest.mark.parametrize("name", ["none", "file", "nul\0"])
async def test_what_is_no_directory_is_no_medium(tmp_path, name):
    (tmp_path / "file").touch()
    stick = Medium(tmp_path / name)

    with pytest.raises(MediumError):
        await stick.names()
    with pytest.raises(MediumError):
        await stick.tidy()


async def test_a_directory_with_too_many_entries_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(medium, "MAX_ENTRIES", 2)
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert await Medium(tmp_path).names() == []

    (tmp_path / "c").touch()
    with pytest.raises(MediumError, match="more than 2 entries"):
        await Medium(tmp_path).names()


async def test_a_directory_that_cannot_be_synced_is_an_error_of_the_medium(tmp_path, monkeypatch):
    stick = Medium(tmp_path)
    await stick.write(CARGO)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))

    with pytest.raises(MediumError):
        await stick.remove(file_name(CARGO))


@pytest.mark.parametrize("octets", [b"", b"rubbish", MessageType.PARCEL.prefix])
async def test_nothing_but_cargo_and_authorisations_is_written(tmp_path, octets):
    with pytest.raises(DamagedFileError):
        await Medium(tmp_path).write(octets)
    assert list(tmp_path.iterdir()) == []
