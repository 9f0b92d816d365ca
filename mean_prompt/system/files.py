"""Writing files atomically: after a crash each file is complete, or as it was before."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mean_prompt.system.errors import InputError, os_errors

#: Errors of file systems that cannot sync a folder (CIFS, some of FUSE's); the file itself is on
#: the disk all the same.
_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP})


def check_target(path: Path, option: str) -> None:
    """Raise an error if no file can be written at a path, without writing one.

    Raises:
        InputError: something else than a file is there, or the folder cannot be written.
    """
    rule = f"{option} must be a file that can be written"
    with os_errors(rule, path, "choose a folder that is there and can be written"):
        if path.exists() and not path.is_file():
            found = "a folder" if path.is_dir() else "no regular file"
            raise InputError(f"{option} must be a file: {path} is {found}; name a file in a folder")
        # As write_atomically does: a file beside it, whose name is a little longer.
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass


def write_atomically(target: Path, data: bytes) -> None:
    """Write a file so that a crash or power cut leaves the complete old file or the new one.

    Raises:
        OSError: the folder cannot be written, which leaves the old file; or it cannot be synced,
            which leaves the new one.
    """
    write_together({target: data})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write several files atomically: none is replaced before all are on the disk.

    A full disk leaves all of them as they were. Only a crash between two renames can leave some
    old and some new, in the order given.
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
    """Sync a folder's list of files to the disk, or a power cut may lose a new file's name."""
    if os.name == "nt":  # Windows has no such call, and syncs by itself
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
