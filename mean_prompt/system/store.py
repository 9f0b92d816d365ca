"""A key-value store in one SQLite file, which several processes may read and write."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from mean_prompt.system.errors import InputError
from mean_prompt.system.filesystems import check_local

#: SQLite's limit on the variables of one statement is 999 in old builds.
_LOOKUP: Final = 900
_REMEDY: Final = "set MEAN_PROMPT_CACHE to a folder on a local disk"


class KeyedStore:
    """A key-value store in an SQLite file, which keeps values in the order of insertion.

    An index beside the table finds the values, which are not stored in the order of their keys:
    keys are hashes, and every write would touch a page of its own for each of them (3.5 times
    slower over 50,000 vectors).

    Args:
        path: path of the file, which is created with its folder if it does not exist.
        what: what the file holds, for messages: ``the cache of vectors``.

    Raises:
        InputError: the file cannot be written, is broken, or is on a network file system.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._what = what
        check_local(path, what, _REMEDY)
        with self._guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            # A generator that reads may be resumed, and closed, by another thread.
            self._connection = sqlite3.connect(path, timeout=60, check_same_thread=False)
        try:
            with self._guarded():
                self._connection.execute("PRAGMA journal_mode=WAL")
                # A kill loses nothing; what a power cut takes is computed again.
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
                )
        except InputError:
            self._connection.close()
            raise

    def get(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) for each of the given keys that is stored, in no particular order."""
        for start in range(0, len(keys), _LOOKUP):
            part = keys[start : start + _LOOKUP]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value FROM entries WHERE key IN ({marks})"  # noqa: S608
            with self._guarded():
                found = self._connection.execute(query, part).fetchall()
            yield from found

    def put(self, entries: Mapping[bytes, bytes]) -> None:
        """Store values by key in one transaction; the new value of a key replaces an old one."""
        with self._guarded(), self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO entries VALUES (?, ?)", entries.items()
            )

    def close(self) -> None:
        """Close the connection to the SQLite file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise cache_fault(self._what, self.path, error) from error


#: No room on the disk, none under the user's quota, and none under the process's limit.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: SQLite's names of what its file is not to blame for; a longer name has one of these before it.
#: SHMSIZE is the index of its write-ahead log, which a full disk leaves no room for at opening.
_FULL: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
_CLOSED: Final = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR")


def cache_fault(what: str, path: Path, error: Exception) -> InputError:
    """Return the error to raise if a cache file could not be read or written.

    Its message advises to delete only a broken file: a good one took hours to compute.
    """
    reason = getattr(error, "strerror", None) or error
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith(_FULL) or getattr(error, "errno", None) in _NO_ROOM:
        return InputError(
            f"{what} needs room on its disk: {path}: {reason}; free some, or set "
            "MEAN_PROMPT_CACHE to a folder on another disk"
        )
    if name.startswith(_BUSY):
        return InputError(
            f"{what} is written by one process at a time: {path}: {reason}; wait until the other "
            "one has ended, or set MEAN_PROMPT_CACHE to another folder"
        )
    if isinstance(error, OSError) or name.startswith(_CLOSED):
        return InputError(
            f"{what} must be readable and writable: {path}: {reason}; set MEAN_PROMPT_CACHE to a "
            "folder that is"
        )
    return InputError(
        f"{what} must be a whole file: {path}: {reason}; delete it, or set MEAN_PROMPT_CACHE to "
        "another folder"
    )
