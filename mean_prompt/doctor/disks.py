"""Where a run writes: whether it may, on what kind of file system, and how much room there is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mean_prompt.doctor.finding import Finding, State
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.sizes import bytes_shown
from mean_prompt.system import InputError, check_local, user_path

#: Bytes that are written, brought to the disk and gone again.
_PROBE: Final = 64 * 1024
#: Room that a search may take: with all-MiniLM-L6-v2 over the packaged corpus the caches took
#: 154 MB and the run 10 MB; sentence-t5-base's vectors are twice as long.
_ROOM: Final = 500 * 10**6
_OUT_REMEDY: Final = "give another --out"
_CACHE_REMEDY: Final = "set MEAN_PROMPT_CACHE to another folder"


def check_disks(patient: RunSettings) -> Iterator[Finding]:
    """Write where a run writes: in its folder, the caches, and the system's temporary folder."""
    from mean_prompt.encoder import cache_folder

    yield _place("runs' folder", user_path(patient.out), _OUT_REMEDY, keeps="a run's study")
    yield _place("caches", cache_folder(), _CACHE_REMEDY, keeps="the cache of vectors")
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        folder, found = Path(), f"{error.strerror or error}"
        yield Finding("temporary folder", "warning", found, "set TMPDIR to one that is writable")
        return
    yield _place("temporary folder", folder, "set TMPDIR to another", state="warning", room=0)


def probe(folder: Path) -> None:
    """Write a file without a name, which nobody sees and no crash leaves behind.

    Raises:
        OSError: the folder takes none.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * _PROBE)
        file.flush()
        os.fsync(file.fileno())


def standing(path: Path) -> Path:
    """Return a path, or the nearest above it that is there: what is missing a run makes."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists() or not place.name)


def _place(
    check: str,
    folder: Path,
    remedy: str,
    *,
    keeps: str | None = None,
    state: State = "fault",
    room: int = _ROOM,
) -> Finding:
    """Return what is to be said of a folder.

    Args:
        check: what it is called.
        folder: which a run makes if need be.
        remedy: where it cannot be used.
        keeps: the SQLite file in it, as messages call it, or ``None`` without one.
        state: where it cannot be used.
        room: that a run may take there.
    """
    try:
        place = standing(folder)
        if keeps:
            check_local(folder, keeps, remedy)
        probe(place)
        free = shutil.disk_usage(place).free
    except InputError as error:
        return Finding.of_error(check, error)
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror or error}"
        return Finding(check, state, found, f"free some room or mend its rights, or {remedy}")
    made = "" if place == folder.absolute() else f" (it is made in {place})"
    found = f"{folder}{made} can be written, {bytes_shown(free)} free"
    if free < room:
        found += f": a search and its caches may take {bytes_shown(room)}"
        return Finding(check, "warning", found, f"free some room, or {remedy}")
    return Finding(check, "good", found)
