"""A run's folder: the files of a search on disk, each written atomically."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mean_prompt.runs.checkpoint import Checkpoint
from mean_prompt.runs.files import (
    BEST,
    CHECKPOINT,
    EVENTS,
    RECIPE,
    RESULT,
    STUDY,
    read_events,
)
from mean_prompt.runs.recipe import Recipe
from mean_prompt.system import (
    FolderLock,
    InputError,
    check_local,
    path_exists,
    unwritable,
    write_atomically,
)


class RunFolder:
    """The folder of one run, locked so that one process at a time works in it.

    Attributes:
        best_before: the best string that an earlier process wrote and its value, or ``None``.

    Raises:
        InputError: the folder holds a run already, or none to resume; another process works in it;
            it cannot be written; its checkpoint or its events are damaged.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self.resume = resume
        self._made = _missing(path)
        try:
            if resume:
                _check_begun(path)
            elif any((path / name).exists() for name in (BEST, RESULT, EVENTS, STUDY, CHECKPOINT)):
                raise InputError(
                    f"--out must be a folder without a run: {path} holds one; choose another "
                    "folder, delete it, or continue it by --resume"
                )
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
        try:
            check_local(path / STUDY, "a run's study", "give another --out, on a local disk")
            self.checkpoint = Checkpoint(self.file(CHECKPOINT))
            events = self._whole_events()
        except BaseException:
            self.close()
            raise
        self.resumes = sum(event["event"] == "resume" for event in events)
        bests = [event for event in events if event["event"] == "best"]
        self.best_before: tuple[str, float] | None = None
        if bests:
            self.best_before = bests[-1]["text"], bests[-1].get("value", bests[-1]["score"])

    def close(self) -> None:
        """Release the lock, and remove folders that were created but stayed empty."""
        self._lock.release()
        for folder in self._made:
            if not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()

    def file(self, name: str) -> Path:
        """Return the path of the run's file of a given name."""
        return self.path / name

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the run's recipe, all options filled in, as TOML."""
        self._replace(RECIPE, recipe.to_toml())

    def write_best(self, text: str, worth: float = math.inf) -> None:
        """Write the best string so far to its file, in UTF-8 without a newline at the end.

        A string of an earlier process stays if its worth (what the search maximises) is higher.
        """
        if self.best_before is None or worth >= self.best_before[1]:
            self._replace(BEST, text)

    def write_result(self, result: dict[str, Any]) -> None:
        """Write the result of the search as JSON."""
        self._replace(RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")

    def log(self, event: dict[str, Any]) -> None:
        """Append one event to the run's log of events as one line of JSON."""
        with (
            _writing(self.file(EVENTS)) as path,
            path.open("a", encoding="utf-8", newline="\n") as file,
        ):
            file.write(json.dumps(event, ensure_ascii=False) + "\n")
            file.flush()
            # A checkpoint that is written later must not survive a crash that loses this event.
            os.fsync(file.fileno())

    def log_resume(self, seconds: float, evaluations: int) -> None:
        """Append the event that the run is resumed, with the time and evaluations spent before."""
        number = self.resumes + 1
        event = {"event": "resume", "number": number, "time": round(seconds, 3)}
        self.log(event | {"evaluations": evaluations})

    def events_size(self) -> int:
        """Return the size of the run's log of events in bytes, 0 if there is none."""
        path = self.file(EVENTS)
        return path.stat().st_size if path.exists() else 0

    def cut_events(self, size: int) -> None:
        """Truncate the run's log of events to a size in bytes, if it is longer."""
        if self.events_size() > size:
            with _writing(self.file(EVENTS)) as path:
                os.truncate(path, size)

    def _whole_events(self) -> list[dict[str, Any]]:
        """Return the logged events of earlier processes; remove a line that a crash cut short."""
        if not self.file(EVENTS).exists():
            return []
        with _writing(self.file(EVENTS)) as path:
            self.cut_events(path.read_bytes().rfind(b"\n") + 1)
            return list(read_events(path))

    def _replace(self, name: str, text: str) -> None:
        with _writing(self.file(name)) as path:
            write_atomically(path, text.encode())


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        raise unwritable(path, error) from error


def begun_recipe(path: Path) -> Recipe:
    """Return the recipe in a run's folder; raise an InputError if it cannot be resumed."""
    _check_begun(path)
    return Recipe.load(path / RECIPE)


def _missing(path: Path) -> list[Path]:
    """Return a path and those of its parents that do not exist yet, innermost first."""
    try:
        return [folder for folder in (path, *path.parents) if not folder.exists()]
    except OSError:  # no name of a folder; making it will say why
        return []


def _check_begun(path: Path) -> None:
    if not path_exists(path / RECIPE):
        raise InputError(
            f"--resume must name the folder of a run: {path} holds no {RECIPE}; name another, or "
            "leave --resume out"
        )
    if (path / RESULT).exists() and not (path / CHECKPOINT).exists():
        raise InputError(
            f"a run must have a checkpoint to resume from: {path} is of a version that wrote none; "
            "begin a new one"
        )
