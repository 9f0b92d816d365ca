"""A worker's own folder: who it is, for the process that begins and for one that goes on."""

from __future__ import annotations

import itertools
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from mean_prompt.system import FolderLock, InputError, is_held, unwritable, write_atomically
from mean_prompt.workers.registry import Registry, Report

#: Under which workers that are given no folder make theirs.
FOLDERS: Final = Path("results") / "workers"
_IDENTITY: Final = "worker.json"


@dataclass(frozen=True, slots=True)
class Place:
    """A worker's place in a study.

    Attributes:
        folder: its own.
        number: of the worker.
        report: what it last said, in an earlier process.
    """

    folder: Path
    number: int
    report: Report


@contextmanager
def taken_place(registry: Registry, folder: Path | None, run: str) -> Iterator[Place]:
    """Hold a worker's folder, and join the study as the worker that the folder is of.

    Args:
        registry: of the study.
        folder: made if need be; one under :data:`FOLDERS` when left out, that of a worker that
            died if there is one.
        run: id of the run.

    Raises:
        InputError: another process holds the folder, it is of another run, or cannot be written.
        RunError: it could no longer be written.
    """
    folder = folder or _free_folder(registry.study, run)
    lock = _locked(folder)
    try:
        number, report = _join(registry, folder, run)
        yield Place(folder, number, report)
    finally:
        lock.release()


def _locked(folder: Path) -> FolderLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FolderLock(folder)
    except BlockingIOError as error:
        raise InputError(
            f"one process works in a worker's folder at a time: another one is at work in "
            f"{folder}; give another --out"
        ) from error
    except OSError as error:
        raise InputError(
            f"--out must be a folder that can be written: {folder}: {error.strerror}; choose "
            "another"
        ) from error


def _join(registry: Registry, folder: Path, run: str) -> tuple[int, Report]:
    """Return the worker's number and what it last said: the folder's own, or a new one's."""
    name = f"{platform.node()}:{os.getpid()}"
    kept = _kept(folder)
    if kept is not None:
        if kept["run"] != run:
            raise InputError(
                f"a worker's folder is of one study: {folder} is of another; give another --out"
            )
        return kept["number"], replace(registry.rejoin(kept["number"], name), phase="starting")
    number = registry.join(name)
    path = folder / _IDENTITY
    try:
        write_atomically(path, json.dumps({"run": run, "number": number}).encode())
    except OSError as error:
        raise unwritable(path, error) from error
    return number, Report()


def _free_folder(study: str, run: str) -> Path:
    # A name from a storage is no path: whatever is not plain in it is spelt otherwise.
    safe = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in study)[:80]
    for number in itertools.count():
        folder = FOLDERS / (safe or "_") / str(number)
        if not folder.is_dir():
            return folder
        if not is_held(folder) and (_kept(folder) or {}).get("run") == run:
            return folder
    raise AssertionError("unreachable")


def _kept(folder: Path) -> dict[str, Any] | None:
    """Return what a folder says of its worker, or ``None`` where it is of none."""
    path = folder / _IDENTITY
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text("utf-8"))
        return {"run": str(kept["run"]), "number": int(kept["number"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"a worker's folder must be whole: {path} cannot be read; give another --out"
        ) from error
