"""A lock on a folder, held by the process that works in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


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
        if sys.platform == "win32":
            return
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise
        self._handle = handle

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
        FolderLock(folder).release()
    except BlockingIOError:
        return True
    return False
