"""A lock on a folder, held by the process that works in it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

#: Times that a lock is tried for, and seconds between two: who only looks whether a folder is held
#: holds it for an instant, and must not keep anybody out.
_TRIES: Final = 5
_PAUSE: Final = 0.01


class FolderLock:
    """Holds a folder for this process, until it lets go of it or ends in whatever way.

    The system's advisory lock on the folder itself: it leaves no file behind, and a killed process
    holds nothing. Windows has no such locks, and folders are not held there.

    Args:
        folder: one that is there.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the folder cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._handle: int | None = None
        for _ in range(_TRIES - 1):
            try:
                self._handle = _held(folder)
            except BlockingIOError:
                time.sleep(_PAUSE)
            else:
                return
        self._handle = _held(folder)

    def release(self) -> None:
        """Let go of the folder."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_held(folder: Path) -> bool:
    """Tell whether a process holds a folder.

    Raises:
        OSError: the folder cannot be opened.
    """
    try:
        handle = _held(folder)
    except BlockingIOError:
        return True
    if handle is not None:
        os.close(handle)
    return False


def _held(folder: Path) -> int | None:
    """Hold a folder, for as long as what is returned is open; ``None`` where there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise
    return handle
