"""A run's folder: what a search leaves on disk, written so that no file is ever half there."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from mean_prompt.atomic import write_atomically
from mean_prompt.errors import InputError, RunError
from mean_prompt.recipe import Recipe

BEST: Final = "best.txt"
RESULT: Final = "result.json"
EVENTS: Final = "events.jsonl"
STUDY: Final = "study.db"
RECIPE: Final = "recipe.toml"


class RunFolder:
    """The folder of one run.

    Args:
        path: made if need be, with its parents.

    Raises:
        InputError: the folder holds a run already, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if any((path / name).exists() for name in (BEST, RESULT, EVENTS, STUDY)):
                raise InputError(
                    f"--out must be a folder without a run: {path} holds one; choose another "
                    "folder, or delete it"
                )
            self._is_new = not path.exists()
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise InputError(
                f"--out must be a folder that can be written: {path}: {error.strerror}; choose "
                "another"
            ) from error

    def discard_if_empty(self) -> None:
        """Remove the folder where it was made for a run that then left nothing in it."""
        if self._is_new and not any(self.path.iterdir()):
            self.path.rmdir()

    def file(self, name: str) -> Path:
        """Return the path of one of the run's files."""
        return self.path / name

    def write_recipe(self, recipe: Recipe) -> None:
        """Write the recipe as resolved."""
        self._replace(RECIPE, recipe.to_toml())

    def write_best(self, text: str) -> None:
        """Write the best string so far: exactly, in UTF-8, without a newline at the end."""
        self._replace(BEST, text)

    def write_result(self, result: dict[str, Any]) -> None:
        """Write the result as JSON."""
        self._replace(RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")

    def log(self, event: dict[str, Any]) -> None:
        """Append one event as one line."""
        line = json.dumps(event, ensure_ascii=False) + "\n"
        try:
            with self.file(EVENTS).open("a", encoding="utf-8", newline="\n") as file:
                file.write(line)
        except OSError as error:
            raise _lost(self.file(EVENTS), error) from error

    def _replace(self, name: str, text: str) -> None:
        target = self.file(name)
        try:
            write_atomically(target, text.encode())
        except OSError as error:
            raise _lost(target, error) from error


def _lost(path: Path, error: OSError) -> RunError:
    return RunError(
        f"the run's files must stay writable: {path}: {error.strerror or error}; what was written "
        "before is whole"
    )
