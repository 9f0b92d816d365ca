"""What is wrong with a cache that failed, and what helps: one line for every kind of fault."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from mean_prompt.system import InputError

#: No room on the disk, none under the user's quota, and none under the process's limit.
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: SQLite's names of what its file is not to blame for; a longer name has one of these before it.
#: SHMSIZE is the index of its write-ahead log, which a full disk leaves no room for at opening.
_FULL: Final = ("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")
_BUSY: Final = ("SQLITE_BUSY", "SQLITE_LOCKED")
_CLOSED: Final = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR")


def cache_fault(what: str, path: Path, error: Exception) -> InputError:
    """Return the error to raise where a cache could not be read or written.

    Only a file that is broken is to be deleted: a good one has cost somebody hours.

    Args:
        what: the cache is of, as the message calls it.
        path: of its file.
        error: that the disk, SQLite or a reader gave.
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
