"""Saving the state of a search, and resuming the search from it in another process.

A search is a function of its seed and of the state that it saves. What an interrupted process did
after its last save is repeated, so that under a limit of evaluations alone a run ends with the
same string, interrupted or not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from mean_prompt.optimize import Budget
from mean_prompt.runs.recipe import Recipe
from mean_prompt.system import (
    InputError,
    State,
    dump,
    format_duration,
    load,
    unwritable,
    write_atomically,
)

T = TypeVar("T")

#: Seconds between two saves at least, and the share of the run's time that saving takes at most.
_LEAST_PAUSE: Final = 3.0
_SHARE: Final = 0.05
#: Version of the state's layout: a run is resumed by a version of mean-prompt that reads it.
_LAYOUT: Final = 2
#: Entries of a run's identity that must be the same for it to be resumed.
_PINNED: Final = ("corpus", "model")
_RECIPE: Final = "recipe"


class Checkpoint:
    """The checkpoint file of a run, which holds the last saved state of its search.

    Attributes:
        saved: what an earlier process saved last, or ``None``: a dict of ``identity``,
            ``evaluations``, ``spent`` in seconds, and the search's state as ``search``.
        spent: seconds of the run's budget that earlier processes spent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.saved = self._read()
        self.spent: float = self.saved["spent"] if self.saved else 0.0
        self._due = time.monotonic() + _LEAST_PAUSE

    def check(self, found: Mapping[str, Any]) -> None:
        """Raise an error if ``found`` (corpus, model, recipe) differs from the run's own."""
        if self.saved is None:
            return
        kept, folder = self.saved["identity"], self.path.parent
        if _RECIPE in found:
            begun, asked = (
                Recipe.parse(identity[_RECIPE], where=str(folder)) for identity in (kept, found)
            )
            check_recipe(begun, asked, folder)
        for name in _PINNED:
            if name in found and kept[name] != found[name]:
                raise InputError(
                    f"a run is resumed with its own {name}: that of {folder} has the hash "
                    f"{kept[name][:16]}, found one of {found[name][:16]}; give that one, or begin "
                    "a new run"
                )

    def is_due(self) -> bool:
        """Return whether it is time to save the search's state again."""
        return time.monotonic() >= self._due

    def save(self, saved: State) -> None:
        """Write a newer state to the file; if the disk is full, the old state stays whole."""
        began = time.monotonic()
        try:
            write_atomically(self.path, dump({"layout": _LAYOUT} | saved))
        except OSError as error:
            raise unwritable(self.path, error) from error
        took = time.monotonic() - began
        self._due = time.monotonic() + max(_LEAST_PAUSE, took / _SHARE)

    def _read(self) -> State | None:
        try:
            saved = load(self.path.read_bytes()) if self.path.exists() else None
        except OSError as error:
            raise unwritable(self.path, error) from error
        except ValueError as error:
            raise InputError(
                f"a checkpoint must be whole to resume from: {self.path} is damaged; begin a new "
                "run"
            ) from error
        if saved is not None and saved.get("layout") != _LAYOUT:
            raise InputError(
                f"a run is resumed by a version that reads its checkpoint: {self.path} is of "
                "another one; install that version, or begin a new run"
            )
        return saved


class Resumer:
    """Resumes a search from its checkpoint, and saves it as it runs.

    Without a checkpoint, nothing is saved. The budget's elapsed time must already include the
    time that earlier processes spent.

    Attributes:
        state: the search's state as an earlier process saved it, or ``None`` for a new run.

    Raises:
        InputError: the run was begun with another corpus, model or recipe.
    """

    def __init__(
        self, checkpoint: Checkpoint | None, budget: Budget, identity: Mapping[str, Any]
    ) -> None:
        self._checkpoint = checkpoint
        self._budget = budget
        self._identity = dict(identity)
        self.state: State | None = None
        self._begun: Mapping[str, Any] = identity
        if checkpoint is not None and checkpoint.saved is not None:
            checkpoint.check(identity)
            saved, checkpoint.saved = checkpoint.saved, None
            self.state, self._begun = saved["search"], saved["identity"]
            budget.evaluations = saved["evaluations"]

    def notes(self) -> list[str]:
        """Return lines that tell the user what is resumed; none for a new run."""
        if self.state is None or self._checkpoint is None:
            return []
        spent = format_duration(self._checkpoint.spent)
        notes = [f"resumed at {self._budget.evaluations:,} evaluations and {spent} of the budget"]
        others = [
            f"{name.replace('_', ' ')} {self._begun[name]}, now {mine}"
            for name, mine in self._identity.items()
            if name not in {*_PINNED, _RECIPE} and self._begun.get(name) != mine
        ]
        if others:
            notes.append(
                f"begun with {'; '.join(others)}: the rest may differ from an undisturbed run"
            )
        return notes

    def steps(
        self,
        run: Callable[[], Iterator[T]],
        state: Callable[[], State],
        restore: Callable[[State], None],
    ) -> Iterator[T]:
        """Restore a resumed search, then yield its steps and save its state between them."""
        if self.state is None:
            self._save(state)
        else:
            restore(self.state)
            self.state = None  # it is large
        for step in run():
            yield step
            if self._checkpoint is not None and self._checkpoint.is_due():
                self._save(state)
        self._save(state)

    def _save(self, state: Callable[[], State]) -> None:
        if self._checkpoint is not None:
            self._checkpoint.save(
                {
                    "identity": self._identity,
                    "evaluations": self._budget.evaluations,
                    "spent": self._budget.elapsed,
                    "search": state(),
                }
            )


def check_recipe(kept: Recipe, asked: Recipe, folder: Path) -> None:
    """Raise an error if a run is resumed with another recipe; its limits may differ."""
    for name, before, now in kept.differences(asked):
        raise InputError(
            f"a run is resumed with its own recipe: that of {folder} has {name} = {before!r}, now "
            f"it is {now!r}; leave it out, or begin a new run"
        )
