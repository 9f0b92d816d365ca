"""Telling whoever listens what is done before a search begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from mean_prompt.optimize import Budget
from mean_prompt.runs.progress import Listener, Progress
from mean_prompt.system import (
    Listener as EventListener,
    OutOfTimeError,
    ProgressEvent,
    RunError,
)


@dataclass(frozen=True, slots=True)
class ProgressReporter:
    """Tells a listener of notes and phases.

    Attributes:
        listen: hears of progress.
        budget: of the run, whose time is told.
        size: prompts or rows of the run.
    """

    listen: Listener
    budget: Budget
    size: int

    def notes(self, *notes: str) -> None:
        """Tell what the user should know, a line each."""
        budget = self.budget
        self.listen(Progress("loaded", 0, self.size, budget.elapsed, budget.remaining, notes=notes))

    @contextmanager
    def embedding(self) -> Iterator[EventListener]:
        """Give a listener of embedding, and refuse a budget that ends before it.

        Raises:
            RunError: the budget ended; what was embedded is kept.
        """
        budget = self.budget
        last = ProgressEvent("embedding")

        def report(event: ProgressEvent) -> None:
            nonlocal last
            last = event
            phase: Literal["embedding", "vocabulary"] = (
                "vocabulary" if event.phase == "vocabulary" else "embedding"
            )
            self.listen(Progress(phase, event.done, event.total, budget.elapsed, budget.remaining))

        try:
            yield report
        except OutOfTimeError as error:
            raise RunError(
                f"the budget must outlast the {last.phase}: it ended at {last.done:,} of "
                f"{last.total:,} {last.unit}; run again (these are kept), or give a larger --budget"
            ) from error
