"""Writing files: what is on the disk when, and what a fault leaves."""

import errno
import os
import stat
from pathlib import Path

import pytest

from mean_prompt.system.files import write_atomically, write_together

posix = pytest.mark.skipif(os.name != "posix", reason="Windows cannot open folders")


@pytest.fixture
def steps(monkeypatch):
    """A list of what is synced and replaced, by name, in order."""
    steps = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle):
        steps.append("sync folder" if is_folder(handle) else "sync data")
        fsync(handle)

    def noted_replace(path, target):
        steps.append(f"replace {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    return steps


def is_folder(handle):
    return stat.S_ISDIR(os.fstat(handle).st_mode)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@posix
def test_files_take_their_places_once_all_are_on_the_disk_and_then_the_folder(tmp_path, steps):
    write_together({tmp_path / "data": b"new", tmp_path / "manifest": b"of it"})
    assert steps == [
        "sync data",
        "sync data",
        "replace data",
        "replace manifest",
        "sync folder",
    ]


def test_a_fault_in_the_second_of_two_leaves_both_as_they_were(tmp_path, monkeypatch):
    old = {tmp_path / "data": b"old data", tmp_path / "manifest": b"old manifest"}
    write_together(old)
    fsync, calls = os.fsync, []

    def full_at_the_second(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full_at_the_second)
    with pytest.raises(OSError, match="No space left"):
        write_together(dict.fromkeys(old, b"new"))
    assert {path: path.read_bytes() for path in old} == old
    assert names(tmp_path) == ["data", "manifest"]


@posix
@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_syncs_no_folders_is_no_fault(tmp_path, monkeypatch, code):
    monkeypatch.setattr(os, "fsync", refuse_folders(code))
    write_atomically(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"


@posix
def test_a_folder_that_cannot_be_synced_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", refuse_folders(errno.EIO))
    with pytest.raises(OSError, match="refused"):
        write_atomically(tmp_path / "file", b"data")
    assert names(tmp_path) == ["file"]


def refuse_folders(code):
    fsync = os.fsync

    def refuse(handle):
        if is_folder(handle):
            raise OSError(code, "refused")
        fsync(handle)

    return refuse
