"""One process at a time in a folder."""

import math
import subprocess
import sys
import threading

import filelock
import pytest

from mean_prompt.system.locks import FolderLock, is_held

KILLED = """
import os, sys, pathlib
from mean_prompt.system.locks import FolderLock
lock = FolderLock(pathlib.Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def test_a_folder_is_held_once_and_left_as_it_was(tmp_path):
    with FolderLock(tmp_path) as lock:
        assert is_held(tmp_path)
        with pytest.raises(BlockingIOError, match="another process holds it"):
            FolderLock(tmp_path)
    lock.release()
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert done.returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert not is_held(tmp_path)
    FolderLock(tmp_path).release()


def test_a_process_that_waits_gets_it_when_it_is_released(tmp_path):
    order = []
    first = FolderLock(tmp_path)

    def wait():
        with FolderLock(tmp_path, wait=math.inf):
            order.append("second")

    other = threading.Thread(target=wait)
    other.start()
    order.append("first")
    first.release()
    other.join()
    assert order == ["first", "second"]


def test_looking_turns_no_process_away(tmp_path, monkeypatch):
    """A look holds the folder for an instant; who locks it just then tries again."""
    look = FolderLock(tmp_path)
    acquire = filelock.UnixFileLock._acquire

    def acquire_after_the_look(lock):
        acquire(lock)
        look.release()

    monkeypatch.setattr(filelock.UnixFileLock, "_acquire", acquire_after_the_look)
    FolderLock(tmp_path).release()


def test_a_folder_that_is_not_there_is_not_held_and_can_be(tmp_path):
    inside = tmp_path / "new" / "folder"
    assert not is_held(inside)
    with FolderLock(inside):
        assert is_held(inside)


def test_looking_writes_nothing(tmp_path):
    assert not is_held(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".lock").touch()
    tmp_path.chmod(0o555)
    assert not is_held(tmp_path)
    tmp_path.chmod(0o755)


def test_a_lock_on_a_disk_that_was_closed_is_held_by_no_process(closed_disk):
    (closed_disk.folder / ".lock").touch()  # as a killed notebook leaves it in its output
    with closed_disk.read_only():
        assert not is_held(closed_disk.folder)
