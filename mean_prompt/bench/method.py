"""The protocol of a search method, followed by the project's own search and published ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from mean_prompt.optimize import Candidate, Evaluator, Vocabulary

#: The name of the project's own method; the others are called its peers.
OWN: Final = "mean-prompt"


@dataclass(frozen=True, slots=True, eq=False)
class SearchTask:
    """The inputs of a search method: scoring, starting prompts, vocabulary, ceiling and seed.

    Attributes:
        evaluator: scores strings that obey the rules, within the budget.
        starts: prompts of the corpus that obey the rules, scored in float32, best first, >= 1.
        ceiling: the objective's maximum over unit vectors; scores are shown as a share of it.
    """

    evaluator: Evaluator
    starts: Sequence[Candidate]
    vocabulary: Vocabulary
    ceiling: float
    seed: int


class Method(Protocol):
    """A search method: looks for the string of highest score within a task's budget."""

    @property
    def name(self) -> str:
        """The method's name on the command line and in tables."""

    def search(self, task: SearchTask, start: Candidate | None = None) -> Iterator[Candidate]:
        """Search until the task's budget has expired, yielding the best string after every step.

        The budget is checked before every step. ``start`` is the best string of an earlier search
        of this task, to continue from; no string yielded scores less. The best string so far is
        yielded at least once, even if the budget has expired before the first step.
        """
