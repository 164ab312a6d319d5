# SPDX-License-Identifier: MIT

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from awala.base.errors import StorageFullError
from awala.base.files import (
    DirectoryLock,
    StorageBusyError,
    StorageError,
    private_directory,
    sync_directory,
    write_private,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.rule("11.4")
def test_rules_11_makes_directories_for_the_owner_alone_with_their_parents(tmp_path):
    made = private_directory(tmp_path / "a" / "b")

    assert made == tmp_path / "a" / "b"
    assert (mode(made), mode(made.parent)) == (0o700, 0o700)


def test_narrows_a_directory_that_others_could_read(tmp_path):
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(0o755)

    private_directory(path)

    assert mode(path) == 0o700


def test_leaves_a_shared_directory_as_it_is(tmp_path):
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o1777)

    private_directory(path)

    assert mode(path) == 0o777 or stat.S_IMODE(path.stat().st_mode) == 0o1777


def test_refuses_a_file_where_a_directory_should_be(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="not a directory"):
        private_directory(tmp_path / "file")
    with pytest.raises(StorageError, match="cannot make the directory"):
        private_directory(tmp_path / "file" / "below")


@pytest.mark.rule("11.4")
def test_writes_a_file_for_the_owner_alone_and_replaces_it_whole(tmp_path):
    path = tmp_path / "key"

    write_private(path, b"one")
    write_private(path, b"two")

    assert path.read_bytes() == b"two"
    assert mode(path) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_says_full_when_the_disk_is_and_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "key"
    write_private(path, b"old")

    def no_room(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", no_room)

    with pytest.raises(StorageFullError):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_a_disk_that_turned_read_only_is_an_error_of_ours(tmp_path, monkeypatch):
    def read_only(*_args, **_options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "write", read_only)
    monkeypatch.setattr(Path, "unlink", read_only)

    with pytest.raises(StorageError, match="Read-only"):
        write_private(tmp_path / "key", b"new")


def test_writes_on_when_the_system_takes_only_a_part(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data[:3])))

    write_private(tmp_path / "key", b"0123456789")

    assert (tmp_path / "key").read_bytes() == b"0123456789"


def test_says_that_it_cannot_write_where_there_is_no_directory(tmp_path):
    with pytest.raises(StorageError, match="cannot write"):
        write_private(tmp_path / "none" / "key", b"")
    with pytest.raises(StorageError, match="cannot sync"):
        sync_directory(tmp_path / "none")


def test_lets_one_store_into_a_directory_at_a_time(tmp_path):
    lock = DirectoryLock(tmp_path)

    with pytest.raises(StorageBusyError, match="in use"):
        DirectoryLock(tmp_path)
    lock.release()
    lock.release()
    DirectoryLock(tmp_path).release()


def test_cannot_lock_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(StorageError, match="cannot open"):
        DirectoryLock(tmp_path / "none")


def test_a_file_is_on_the_disk_before_its_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace

    def traced_fsync(descriptor):
        steps.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def traced_replace(self, target):
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(Path, "replace", traced_replace)

    write_private(tmp_path / "key", b"data")

    assert steps == ["file", "rename", "directory"]
