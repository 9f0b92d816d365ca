"""Telling whoever listens what is done before a search begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mean_prompt.optimize import Budget
from mean_prompt.runs.progress import Listener, Progress
from mean_prompt.system import RunError


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

    def progress(
        self, phase: Literal["embedding", "vocabulary"], what: str
    ) -> Callable[[int, int], None]:
        """Return a callback that tells of a phase, and ends the run where the budget is spent.

        Args:
            phase: for displays; ``what`` is embedded in it, for the message.
            what: a plural.
        """
        budget = self.budget

        def report(done: int, total: int) -> None:
            self.listen(Progress(phase, done, total, budget.elapsed, budget.remaining))
            if done < total and budget.expired():
                raise RunError(
                    f"the budget must outlast the {phase}: it ended at {done:,} of {total:,} "
                    f"{what}; run again (these are kept), or give a larger --budget"
                )

        return report
