"""A folder held by one process at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

#: Seconds between two tries to get a lock.
_PAUSE: Final = 0.1


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder, until the block or the process ends in whatever way.

    The system's advisory lock on the folder itself: it leaves no file, and a killed process holds
    nothing. Windows has no such locks, and folders are not held there.

    Args:
        folder: one that is there.
        wait: whether to wait for another process that holds it.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the folder cannot be opened.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not wait:
                    raise
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(handle)
