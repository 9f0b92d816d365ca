"""A file lock on a folder, so that only one process works in the folder at a time."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

#: The lock's file inside the folder.
LOCK: Final = ".lock"
#: Seconds that a lock is tried for: :func:`is_held` takes it for an instant, and must not turn
#: away the process that comes just then.
_PATIENCE: Final = 0.05


class FolderLock:
    """A lock on a folder, held by this process until it is released or the process ends.

    The lock is on a file in the folder, which is removed at the release. A killed process leaves
    the file behind, but not the lock.

    Args:
        folder: created with its parents if it does not exist.
        wait: seconds to wait for another process to release the lock; ``math.inf`` for no limit.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: the folder cannot be created or written.
    """

    def __init__(self, folder: Path, *, wait: float = _PATIENCE) -> None:
        import filelock

        self._path = folder / LOCK
        self._lock = filelock.FileLock(self._path, thread_local=False)
        try:
            self._lock.acquire(timeout=wait, poll_interval=0.01)
        except filelock.Timeout as error:
            raise BlockingIOError(errno.EAGAIN, "another process holds it", str(folder)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock on the folder; later calls do nothing."""
        if self._lock.is_locked:
            # The file is removed while it is locked: a process that opened it meanwhile sees that
            # it has no name any more, and tries again. Windows keeps an open file.
            with suppress(OSError):
                self._path.unlink()
            self._lock.release()


def is_held(folder: Path) -> bool:
    """Return whether any process holds the :class:`FolderLock` of a folder, which may not exist."""
    if not (folder / LOCK).exists():
        return False
    try:
        FolderLock(folder, wait=0).release()
    except (BlockingIOError, PermissionError):  # held, by this user or by another one
        return True
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    return False
