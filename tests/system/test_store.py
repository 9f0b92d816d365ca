"""The keyed store: what was put is found, and every fault of its disk is one line with a remedy."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given, settings, strategies as st

from mean_prompt.system.errors import InputError
from mean_prompt.system.store import KeyedStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "entries.sqlite"


def opened(path):
    return KeyedStore(path, "the cache of things")


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.binary(max_size=9), st.binary(max_size=9)))
def test_what_was_put_is_found(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("store") / "entries.sqlite"
    with opened(path) as store:
        store.put(entries)
    with opened(path) as store:
        assert dict(store.get([*entries, b"a key of no entry"])) == entries


def test_more_keys_than_one_statement_takes(path):
    keys = [b"%d" % number for number in range(2_500)]
    with opened(path) as store:
        store.put(dict.fromkeys(keys, b"value"))
        assert {key for key, _ in store.get(keys)} == set(keys)


def test_a_later_value_replaces_an_earlier_one_for_every_reader(path):
    with opened(path) as one, opened(path) as other:
        one.put({b"key": b"first", b"else": b"kept"})
        other.put({b"key": b"second"})
        assert dict(one.get([b"key", b"else"])) == {b"key": b"second", b"else": b"kept"}


def test_a_kill_loses_nothing(path):
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from mean_prompt.system.store import KeyedStore\n"
        "KeyedStore(Path(sys.argv[1]), 'the cache').put({b'key': b'value'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    with opened(path) as store:
        assert dict(store.get([b"key"])) == {b"key": b"value"}


def test_a_broken_file_is_to_be_deleted(path):
    path.parent.mkdir()
    path.write_bytes(b"not a database, by any means" * 100)
    with pytest.raises(InputError, match=r"things must be a whole file: .*not a database; delete"):
        opened(path)


def test_a_file_that_breaks_later_is_to_be_deleted(path):
    with opened(path) as store:
        store.put({b"key": b"value"})
    for part in path.parent.iterdir():
        part.write_bytes(b"overwritten" * 1_000)
    with pytest.raises(InputError, match=r"delete it, or set MEAN_PROMPT_CACHE to another folder$"):
        opened(path)


def test_a_database_of_something_else_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE entries (other TEXT)")
    connection.close()
    with opened(path) as store, pytest.raises(InputError, match="no such column"):
        list(store.get([b"key"]))


def test_a_full_disk_needs_room(path):
    with opened(path) as store:
        store._connection.execute("PRAGMA max_page_count = 10")
        with pytest.raises(InputError, match=r"room on its disk: .* is full; free some, or set"):
            store.put({b"key": bytes(100_000)})
        store.put({b"key": b"small"})


def test_a_file_that_another_process_writes_is_waited_for(path):
    with opened(path) as store, opened(path) as other:
        store._connection.execute("PRAGMA busy_timeout = 1")
        other._connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(InputError, match=r"one process at a time: .*locked; wait until"):
            store.put({b"key": b"value"})
        other._connection.rollback()
        store.put({b"key": b"value"})


def test_a_folder_that_cannot_be_made_is_closed(path):
    path.parent.write_text("in the way")
    with pytest.raises(InputError, match=r"must be readable and writable: .*exists; set MEAN_PROM"):
        opened(path)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.EACCES, "readable and writable: .*denied; set MEAN_PROMPT_CACHE to a folder"),
        (errno.ENOSPC, "needs room on its disk: .*No space left on device; free some"),
    ],
)
def test_what_the_disk_refuses_is_one_line(path, monkeypatch, code, message):
    def refuses(*_args, **_options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("pathlib.Path.mkdir", refuses)
    with pytest.raises(InputError, match=message):
        opened(path)


def test_a_network_file_system_is_refused(path, tmp_path, monkeypatch):
    (tmp_path / "mounts").write_text(f"1 1 0:1 / {tmp_path} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr("mean_prompt.system.filesystems._MOUNTS", tmp_path / "mounts")
    with pytest.raises(InputError, match=r"things must be on a local .* on nfs4; set MEAN_PROMPT_"):
        opened(path)
