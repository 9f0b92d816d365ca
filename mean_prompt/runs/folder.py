"""A run's folder: what a search leaves on disk, written so that no file is ever half there."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

from mean_prompt.runs.files import (
    BEST,
    EVENTS,
    RECIPE,
    RESULT,
    SNAPSHOTS,
    STUDY,
    WORKERS,
    read_events,
)
from mean_prompt.runs.recipe import Recipe
from mean_prompt.runs.snapshots import Snapshots
from mean_prompt.system import (
    FolderLock,
    InputError,
    check_local,
    path_exists,
    unwritable,
    write_atomically,
)


class RunFolder:
    """The folder of one run, held by one process at a time.

    Args:
        path: of a new run, made if need be with its parents; of the run to go on with where
            ``resume`` is set.
        resume: whether to go on with what is there.

    Raises:
        InputError: the folder holds a run already, or none where there should be one; another
            process works in it; it cannot be written, or is no place for SQLite.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self.resume = resume
        self._snapshots: Snapshots | None = None
        self._made = _missing(path)
        try:
            if resume:
                _check_begun(path)
            else:
                _check_empty(path)
                path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
            self._lock = FolderLock(path)
        except BlockingIOError as error:
            raise InputError(
                f"one process works on a run at a time: another one is at work in {path}; wait "
                "for it, or end it"
            ) from error
        except OSError as error:
            raise InputError(
                f"--out must be a folder that can be written: {path}: {error.strerror}; choose "
                "another"
            ) from error
        check_local(path / STUDY, "a run's study", "give another --out, on a local disk")
        events = self._whole_events()
        self._told = set(map(_sameness, events))
        #: Times that the run was gone on with before.
        self.resumes = sum(event["event"] == "resume" for event in events)
        bests = [event for event in events if event["event"] == "best"]
        #: The best string that an earlier process told of, and what it was worth.
        self.best_before: tuple[str, float] | None = None
        if bests:
            self.best_before = bests[-1]["text"], bests[-1].get("value", bests[-1]["score"])

    def close(self) -> None:
        """Let go of the folder, and remove what was made for a run that then left nothing."""
        if self._snapshots is not None:
            self._snapshots.close()
        self._lock.release()
        for folder in self._made:
            if not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files."""
        return self.path / name

    @property
    def snapshots(self) -> Snapshots:
        """The snapshots of the run, read when they are first asked for."""
        if self._snapshots is None:
            self._snapshots = Snapshots(self.file(SNAPSHOTS))
        return self._snapshots

    def recipe(self) -> Recipe:
        """Return the recipe of the run that is gone on with; see :func:`begun_recipe`."""
        return begun_recipe(self.path)

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the recipe as resolved."""
        self._replace(RECIPE, recipe.to_toml())

    def write_best(self, text: str, worth: float = math.inf) -> None:
        """Write the best string so far: exactly, in UTF-8, without a newline at the end.

        A better one of an earlier process stays, while the search comes to it again.

        Args:
            text: the string.
            worth: what the search goes by; the last string of a run counts in any case.
        """
        if self.best_before is None or worth >= self.best_before[1]:
            self._replace(BEST, text)

    def write_result(self, result: dict[str, Any]) -> None:
        """Write the result as JSON."""
        self._replace(RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")

    def log(self, event: dict[str, Any]) -> None:
        """Append one event as one line, unless it stands there from before an interruption."""
        same = _sameness(event)
        if same in self._told:
            return
        if "worker" in event:
            self._told.add(same)
        line = json.dumps(event, ensure_ascii=False) + "\n"
        try:
            with self.file(EVENTS).open("a", encoding="utf-8", newline="\n") as file:
                file.write(line)
                file.flush()
                # A snapshot that comes after it must not outlive it.
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(self.file(EVENTS), error) from error

    def _whole_events(self) -> list[dict[str, Any]]:
        """Return the events of earlier processes; a line that a crash tore is cut off."""
        path = self.file(EVENTS)
        if not path.exists():
            return []
        try:
            data = path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end < len(data):
                with path.open("rb+") as file:
                    file.truncate(end)
        except OSError as error:
            raise unwritable(path, error) from error
        return list(read_events(path))

    def _replace(self, name: str, text: str) -> None:
        target = self.file(name)
        try:
            write_atomically(target, text.encode())
        except OSError as error:
            raise unwritable(target, error) from error


def begun_recipe(path: Path) -> Recipe:
    """Return the recipe of a run that can be gone on with.

    Raises:
        InputError: there is no such run in the folder, or its recipe cannot be read.
    """
    _check_begun(path)
    return Recipe.load(path / RECIPE)


def _missing(path: Path) -> list[Path]:
    """Return a folder that is not there, and its ancestors that are not, the innermost first."""
    try:
        return [folder for folder in (path, *path.parents) if not folder.exists()]
    except OSError:  # no name of a folder; making it will say why
        return []


def _sameness(event: dict[str, Any]) -> tuple[object, ...]:
    """Return what tells an event from all others; the time differs where a step is repeated."""
    if "worker" in event:  # told by another process, at whatever moment it was heard of
        return event["event"], event["worker"], event["trial"]
    return tuple(event.get(name) for name in ("event", "number", "trial", "evaluations", "text"))


def _check_empty(path: Path) -> None:
    if any((path / name).exists() for name in (BEST, RESULT, EVENTS, STUDY)):
        raise InputError(
            f"--out must be a folder without a run: {path} holds one; choose another folder, "
            "delete it, or go on with it by --resume"
        )


def _check_begun(path: Path) -> None:
    if not path_exists(path / RECIPE):
        raise InputError(
            f"--resume must name the folder of a run: {path} holds no {RECIPE}; name another, or "
            "leave --resume out"
        )
    if (path / RESULT).exists() and not any(
        (path / name).is_dir() for name in (SNAPSHOTS, WORKERS)
    ):
        raise InputError(
            f"a run must have snapshots to go on from: {path} is of a version that made none; "
            "begin a new one"
        )
