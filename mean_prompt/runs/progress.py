"""Progress reports of a search: the event, and a reporter for the time before the first step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mean_prompt.optimize import Budget
from mean_prompt.system import OutOfTimeError, ProgressEvent, RunError


@dataclass(frozen=True, slots=True)
class SearchProgress(ProgressEvent):
    """A progress event of a search, for displays and logs.

    ``phase`` is ``loaded``, ``embedding``, ``vocabulary`` or ``searching``; while searching,
    ``done`` and ``total`` count evaluations. Notes come with ``loaded``.

    Attributes:
        remaining: seconds left, or ``None`` if time is not limited.
        rate: evaluations per second while searching.
        trial: number of the climb (a local search from one start).
        score: expected SCS of the best string ``text``, over every training prompt.
        fraction: ``score`` as a share of the ceiling.
        move: kind of edit, or of start, that led to the best string.
        gained: whether this step found ``text``, a new best string.
    """

    seconds: float = 0.0
    remaining: float | None = None
    rate: float = 0.0
    trial: int = 0
    score: float = 0.0
    fraction: float = 0.0
    holdout: float | None = None
    text: str = ""
    move: str | None = None
    gained: bool = False


SearchListener = Callable[[SearchProgress], None]


@dataclass(frozen=True, slots=True)
class ProgressReporter:
    """Reports notes to the user, and the progress of embedding before a search begins."""

    listener: SearchListener
    budget: Budget
    size: int

    def notes(self, *notes: str) -> None:
        """Send notes for the user, one line each, to the listener (the progress callback)."""
        self._report(ProgressEvent("loaded", 0, self.size, notes=notes))

    @contextmanager
    def embedding(self) -> Iterator[Callable[[ProgressEvent], None]]:
        """Yield a progress callback for embedding; if the budget ends first, raise a RunError."""
        last = ProgressEvent("embedding")

        def report(event: ProgressEvent) -> None:
            nonlocal last
            last = event
            self._report(event)

        try:
            yield report
        except OutOfTimeError as error:
            raise RunError(
                f"the budget must outlast the {last.phase}: it ended at {last.done:,} of "
                f"{last.total:,} {last.unit}; run again (these are kept), or give a larger --budget"
            ) from error

    def _report(self, event: ProgressEvent) -> None:
        self.listener(
            SearchProgress(
                event.phase,
                event.done,
                event.total,
                event.unit,
                event.notes,
                seconds=self.budget.elapsed,
                remaining=self.budget.remaining,
            )
        )
