"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mean_prompt.system.errors import InputError

#: What a file system answers that cannot sync a folder (CIFS, some of FUSE's): there is nothing
#: more to be done there, and the file itself is on the disk.
_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})


def check_target(path: Path, option: str) -> None:
    """Refuse a path that no file can be written to; leave nothing behind.

    A file that is there will be replaced, and nothing else will.

    Args:
        path: of the file that is to be.
        option: that it was given by.

    Raises:
        InputError: something else is there, or the folder cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            found = "a folder" if path.is_dir() else "no regular file"
            raise InputError(f"{option} must be a file: {path} is {found}; name a file in a folder")
        # As write_atomically will do it: a file beside the place, whose name is a little longer.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise InputError(
            f"{option} must be a file that can be written: {path}: {error.strerror}; choose a "
            "folder that is there and can be written"
        ) from error


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that it is old or new, never part.

    The data are on the disk before the file takes its place, and its place is before this
    returns: a power cut at any moment leaves the old file or the new one.

    Raises:
        OSError: the folder cannot be written; the file is whole, as it was, or as it is to be
            where only its folder could not be synced.
    """
    write_together({target: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none takes its place before all are on the disk.

    A full disk leaves all of them as they were. Only a crash between two renames can leave some
    old and some new, in the order given.

    Raises:
        OSError: as :func:`write_atomically`.
    """
    staged: dict[Path, Path] = {}
    try:
        for target, data in files.items():
            handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            staged[target] = Path(temporary)
            _fill(handle, data)
            staged[target].chmod(0o644)
        for target, path in staged.items():
            path.replace(target)
    finally:
        for path in staged.values():
            path.unlink(missing_ok=True)
    for folder in dict.fromkeys(target.parent for target in files):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of files to the disk: a new name is lost in a power cut until then.

    Windows has no such call, and brings names to the disk by itself.

    Raises:
        OSError: the disk does not take it.
    """
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(handle)


def _fill(handle: int, data: bytes) -> None:
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
