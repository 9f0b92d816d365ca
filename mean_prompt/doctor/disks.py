"""Check of the folders that a run writes to: permissions, file systems and free space."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mean_prompt.doctor.diagnosis import Diagnosis, format_bytes
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.system import InputError, check_local, user_path

#: Bytes that are written to test a folder, synced to the disk and removed.
_PROBE: Final = 64 * 1024
#: Bytes that a search may take: with all-MiniLM-L6-v2 over the packaged corpus the caches took
#: 154 MB and the run 10 MB; sentence-t5-base's vectors are twice as long.
_ROOM: Final = 500 * 10**6


def check_disks(settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the runs', caches' and temporary folders can be written and have space."""
    from mean_prompt.encoder import cache_folder

    yield _check("runs' folder", user_path(settings.out), "give another --out")
    yield _check("caches", cache_folder(), "set MEAN_PROMPT_CACHE to another folder")
    try:
        temporary = Path(tempfile.gettempdir())
        probe(temporary)
    except OSError as error:
        found = f"it cannot be written: {error.strerror or error}"
        yield Diagnosis("temporary folder", "warning", found, "set TMPDIR to another")
    else:
        yield Diagnosis("temporary folder", "good", f"{temporary} can be written")


def probe(folder: Path) -> None:
    """Raise an ``OSError`` unless a folder takes a temporary file, which no crash leaves behind."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\0" * _PROBE)
        file.flush()
        os.fsync(file.fileno())


def _check(check: str, folder: Path, remedy: str) -> Diagnosis:
    """Check that an SQLite file can be written in a folder, or in its first existing parent."""
    above = folder.absolute()
    try:
        existing = next(path for path in (above, *above.parents) if path.exists() or not path.name)
        check_local(folder, "the SQLite files of a run", remedy)
        probe(existing)
        free = shutil.disk_usage(existing).free
    except InputError as error:
        return Diagnosis.of_error(check, error)
    except OSError as error:
        found = f"{folder} cannot be written: {error.strerror or error}"
        return Diagnosis(check, "fault", found, f"free some room or change its rights, or {remedy}")
    made = "" if existing == above else f" (it is made in {existing})"
    found = f"{folder}{made} can be written, {format_bytes(free)} free"
    if free < _ROOM:
        found += f": a search and its caches may take {format_bytes(_ROOM)}"
        return Diagnosis(check, "warning", found, f"free some room, or {remedy}")
    return Diagnosis(check, "good", found)
