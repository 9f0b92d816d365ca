"""What a run remembers of itself, so that another process can go on with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from mean_prompt.optimize import Budget, FileTape, ReplayError, Tape
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.recipe import Recipe
from mean_prompt.runs.snapshots import Snapshots
from mean_prompt.runs.telling import ProgressReporter
from mean_prompt.system import InputError, State, format_duration

T = TypeVar("T")

#: What must be the same for a run to go on.
_PINNED: Final = ("corpus", "model")
_RECIPE: Final = "recipe"


class Resumer:
    """The memory of one run, which is empty where it begins and none where it has no folder.

    Args:
        snapshots: of the run, or ``None`` to remember nothing.
        budget: of the run; what was spent before must be counted in its elapsed time already.
        identity: what the run is of: plain values by name.

    Attributes:
        tape: what the search must ask the encoder and the clock through.

    Raises:
        InputError: the run was begun with another corpus or model.
    """

    def __init__(
        self, snapshots: Snapshots | None, budget: Budget, identity: Mapping[str, Any]
    ) -> None:
        self._snapshots = snapshots
        self._budget = budget
        self._identity = dict(identity)
        self.tape: Tape = snapshots.tape(lambda: budget.elapsed) if snapshots else Tape()
        self._kept: State | None = None
        if snapshots is not None and snapshots.state is not None:
            self._kept, snapshots.state = snapshots.state, None
            check_identity(self._kept["identity"], identity, snapshots.folder.parent)
            budget.evaluations = self._kept["evaluations"]

    @property
    def state(self) -> State | None:
        """The search's state at the last snapshot of an earlier process, until the next one."""
        return None if self._kept is None else self._kept["search"]

    @property
    def since(self) -> float:
        """Seconds that the search had gone on after the last snapshot."""
        if self._kept is None or self._snapshots is None:
            return 0.0
        return self._snapshots.spent - float(self._kept["spent"])

    @property
    def read_back(self) -> int:
        """Evaluations after the last snapshot, which are not paid for again."""
        return 0 if self._snapshots is None else self._snapshots.evaluations

    def notes(self) -> list[str]:
        """Return what is restored, for the user; nothing where nothing is."""
        kept = self._kept
        if kept is None:
            return []
        done = kept["evaluations"] + self.read_back
        spent = format_duration(float(kept["spent"]) + self.since)
        begun = kept["identity"]
        others = [
            f"{name.replace('_', ' ')} {begun[name]}, now {mine}"
            for name, mine in self._identity.items()
            if name not in {*_PINNED, _RECIPE} and begun.get(name) != mine
        ]
        note = (
            f"going on at {done:,} evaluations and {spent} of the budget: {self.read_back:,} of "
            "them came after the last snapshot and are read back, not repeated"
        )
        if not others:
            return [note]
        return [
            note,
            f"begun with {'; '.join(others)}: the rest may differ from an undisturbed run",
        ]

    def log(self, out: RunFolder | None) -> None:
        """Write down that the run is gone on with, and what its tape tells again."""
        if out is not None:
            event = {
                "event": "resume",
                "number": out.resumes + 1,
                "time": round(self._budget.elapsed, 3),
                "evaluations": self._budget.evaluations + self.read_back,
                "read_back": self.read_back,
            }
            out.log(event)

    def going_on(
        self,
        run: Callable[[], Iterator[T]],
        state: Callable[[], State],
        restore: Callable[[State], None],
        tell: ProgressReporter,
        recall: Callable[[], None] = lambda: None,
    ) -> Iterator[T]:
        """Restore a search and yield its steps, taking snapshots between them.

        Where the search asks something else than what its tape tells, as it may on another
        processor, it goes back to the snapshot and on from there without the tape.

        Args:
            run: yields the search's steps from its present state.
            state: takes the state down.
            restore: goes over to one.
            tell: hears where the tape does not fit.
            recall: is called then, before the search goes on from the snapshot.
        """
        if self.state is None:
            self._keep(state)
        else:
            restore(self.state)
        try:
            try:
                yield from self._steps(run, state)
            except ReplayError:
                tell.notes(self._forget())
                restore(self.state)
                recall()
                self._keep(state)  # what was recalled is on no tape
                yield from self._steps(run, state)
            self._keep(state)
        finally:
            if self._snapshots is not None:
                self._snapshots.close()

    def _steps(self, run: Callable[[], Iterator[T]], state: Callable[[], State]) -> Iterator[T]:
        for step in run():
            yield step
            if self._is_due():
                self._keep(state)

    def _forget(self) -> str:
        """Go back to the snapshot without its tape, and return what that costs."""
        assert self._kept is not None
        assert isinstance(self.tape, FileTape)
        lost = self.read_back
        self.tape.forget()
        self._budget.evaluations = self._kept["evaluations"]
        return (
            f"what was read back does not fit what is computed here: {lost:,} evaluations are "
            "made again from the last snapshot on"
        )

    def _is_due(self) -> bool:
        return self._snapshots is not None and self._snapshots.is_due() and not self.tape.replaying

    def _keep(self, state: Callable[[], State]) -> None:
        if self._snapshots is None:
            return
        assert isinstance(self.tape, FileTape)
        kept = {
            "identity": self._identity,
            "evaluations": self._budget.evaluations,
            "spent": self._budget.elapsed,
            "search": state(),
        }
        self._snapshots.keep(kept, self.tape)
        self._kept = None


def check_identity(kept: Mapping[str, Any], found: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with a run that was begun with something else.

    Args:
        kept: identity of the run, by name.
        found: what there is now, or a part of it.
        folder: of the run, for the message.

    Raises:
        InputError: corpus or model differ, or a field of the recipe that is not its budget.
    """
    if _RECIPE in found:
        begun, asked = (
            Recipe.parse(identity[_RECIPE], where=str(folder)) for identity in (kept, found)
        )
        check_recipe(begun, asked, folder)
    for name in _PINNED:
        if name in found and kept[name] != found[name]:
            raise InputError(
                f"a run goes on with its own {name}: that of {folder} has the hash "
                f"{kept[name][:16]}, found one of {found[name][:16]}; give that one, or begin a "
                "new run"
            )


def check_recipe(kept: Recipe, asked: Recipe, folder: Path) -> None:
    """Refuse to go on with a run by another recipe; its budget may be another.

    Raises:
        InputError: a field differs, which is named.
    """
    for name, before, now in kept.differences(asked):
        raise InputError(
            f"a run goes on with its own recipe: that of {folder} has {name} = {before!r}, now it "
            f"is {now!r}; leave it out, or begin a new run"
        )
