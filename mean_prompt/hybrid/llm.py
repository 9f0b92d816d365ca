"""What predicts prompts row by row: the protocol that all LLM predictors share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mean_prompt.hybrid.rows import Rows


@dataclass(frozen=True, slots=True)
class Example:
    """A known row, shown to an LLM before the one that it is asked about."""

    original: str
    rewritten: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an LLM said of one row.

    Attributes:
        row: number of the row among those that were asked about.
        texts: cleaned predictions, distinct, not blank, the likeliest first; empty where there is
            none.
        fault: why there is none, in one line; ``None`` where the predictor did not fail.
    """

    row: int
    texts: tuple[str, ...]
    fault: str | None = None


class Predictor(Protocol):
    """A source of predictions."""

    @property
    def identity(self) -> str:
        """What the predictions depend on beside the row: names them in caches and results."""

    def predict(
        self,
        rows: Rows,
        examples: Sequence[Sequence[Example]] | None = None,
        *,
        deadline: float | None = None,
    ) -> Iterator[Prediction]:
        """Predict the prompts of rows.

        Args:
            rows: what to ask about.
            examples: known rows to show, for each row; none when left out.
            deadline: by ``time.monotonic``: no row is begun after it, and none that would end
                after it is waited for.

        Yields:
            One prediction for each row that was asked about before the deadline, in any order, as
            soon as it is there. A row that fails has a fault; it never ends the others.

        Raises:
            InputError: nothing can be asked at all: no such file, model or server.
        """
