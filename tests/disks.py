"""Disks that are full or closed, for the tests of everything that writes.

A small tmpfs is mounted where this user may mount. Where it may not, a full disk is stood in for by
the system's limit on the size of files, which also makes real writes fail, and a read-only one by
nothing: those tests are skipped, and say so.
"""

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Room on the small disk: for a few caches of SQLite's, and quickly filled.
SIZE = 1024 * 1024
#: What a full disk says in either way, by the system or by SQLite.
FULL = r"(No space left on device|File too large|database or disk is full|disk I/O error)"


class SmallDisk:
    """A mounted tmpfs.

    Attributes:
        folder: its root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def full(self, *, left: int = 0) -> Iterator[None]:
        """Leave no room but so many bytes, meanwhile."""
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                fill(file)
                file.truncate(max(0, file.tell() - left))
            yield
        finally:
            ballast.unlink(missing_ok=True)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Let nothing be written, meanwhile; no file may be open for writing before."""
        assert mount("-o", "remount,ro", self.folder), "a file is open for writing"
        try:
            yield
        finally:
            assert mount("-o", "remount,rw", self.folder)


class LimitedDisk:
    """A folder whose files may not grow, meanwhile: no file of this process may."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def full(self, *, left: int = 0) -> Iterator[None]:
        """Let no file grow beyond so many bytes, meanwhile."""
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python ignores the signal that comes with it, so that writes fail as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(file) -> None:
    """Write until there is no room."""
    for size in (65536, 4096, 1):
        try:
            while file.write(b"x" * size):
                pass
        except OSError:
            continue


def mount(*arguments: object) -> bool:
    """Run mount; tell whether it did what was asked."""
    try:
        found = subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False)
    except OSError:  # no such program
        return False
    return found.returncode == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    """Mount a small tmpfs, or yield ``None`` where that is not allowed."""
    if not mount("-t", "tmpfs", "-o", f"size={SIZE}", "none", folder):
        yield None
        return
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


@pytest.fixture(params=["a small disk", "a limit"])
def full_disk(request, tmp_path) -> Iterator[SmallDisk | LimitedDisk]:
    """A folder whose ``full()`` leaves no room, in two real ways."""
    if request.param == "a limit":
        yield LimitedDisk(tmp_path)
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder) as disk:
        if disk is None:
            pytest.skip("this user may not mount a small disk to fill")
        yield disk


@pytest.fixture
def closed_disk(tmp_path) -> Iterator[SmallDisk]:
    """A folder whose ``read_only()`` lets nothing be written, not even by root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder) as disk:
        if disk is None:
            pytest.skip("this user may not mount a disk to be closed")
        yield disk
