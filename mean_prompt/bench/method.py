"""A search method: the protocol that the engine and its peers share.

A method gets one :class:`SearchTask` and yields the best string it has so far after every step,
until the task's budget is spent. What it yields is scored in float32 and never gets worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mean_prompt.optimize import Candidate, Evaluator, Vocabulary

#: The name of the project's own method; the others are its peers.
OWN: Final = "mean-prompt"


@dataclass(frozen=True, slots=True, eq=False)
class SearchTask:
    """What every method searches with.

    Attributes:
        evaluator: scores strings under the rules, within the budget; gives encoder, objective,
            rules and budget.
        starts: prompts of the corpus under the rules, scored in float32, best first; never empty.
        ceiling: the highest value of the objective, which scores are given as a share of.
    """

    evaluator: Evaluator
    starts: Sequence[Candidate]
    vocabulary: Vocabulary
    ceiling: float
    seed: int


class Method(Protocol):
    """A way to search."""

    @property
    def name(self) -> str:
        """The method's name on the command line and in tables."""

    def search(self, task: SearchTask, start: Candidate | None = None) -> Iterator[Candidate]:
        """Search until the task's budget has expired, yielding the best string after every step.

        The budget is asked before every step. A start is the best string of an earlier search of
        this task, to continue from; what is yielded is never worse. The best string so far is
        yielded at least once, even if the budget has expired before the first step.
        """
