"""What predicts prompts row by row: the protocol that all LLM predictors share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mean_prompt.corpus import Rows
from mean_prompt.llm.cleaning import clean


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
        fault: why there is none, in one line that begins with its kind and a colon, or is its
            kind; ``None`` where the predictor did not fail.
        raw: the answers as they were written, before cleaning: distinct, not blank, the likeliest
            first, so that the first text comes of the first of them. Those that held no prompt
            stand last, and may stand beside a fault.
    """

    row: int
    texts: tuple[str, ...]
    fault: str | None = None
    raw: tuple[str, ...] = ()


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

    def notes(self) -> list[str]:
        """Return what a user should know of the predictions made so far, a line each."""


@dataclass(slots=True)
class Counts:
    """What a predictor did since it was made.

    Attributes:
        rows: that were asked about and came to an end.
        answered: rows with a prediction.
        truncated: rows whose texts were too long to be shown to the model whole.
        cut: answers that were ended because they did not end by themselves.
        faults: rows without a prediction because the predictor failed, by kind of fault.
        rules: answers changed by cleaning, by rule.
    """

    rows: int = 0
    answered: int = 0
    truncated: int = 0
    cut: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)

    def prediction(
        self, row: int, answers: Sequence[str], *, blank_fault: str | None
    ) -> Prediction:
        """Clean the answers to one row, and count it.

        Args:
            row: its number.
            answers: as they were written; those given more than once are taken for likelier, and
                else the earlier one.
            blank_fault: the fault where no answer holds a prompt.
        """
        written = Counter(answer for answer in answers if answer.strip())
        cleaned = {answer: clean(answer) for answer in answers}
        for answer in answers:
            self.rules.update(cleaned[answer].rules)
        given = Counter(text for answer in answers if (text := cleaned[answer].text))
        texts = tuple(text for text, _ in given.most_common())
        rank = {text: number for number, text in enumerate(texts)}
        likeliest = (answer for answer, _ in written.most_common())
        raw = tuple(sorted(likeliest, key=lambda one: rank.get(cleaned[one].text, len(texts))))
        if not texts and blank_fault:
            return replace(self.failure(row, blank_fault), raw=raw)
        self.rows += 1
        self.answered += bool(texts)
        return Prediction(row, texts, raw=raw)

    def failure(self, row: int, fault: str) -> Prediction:
        """Return a row's fault, and count it."""
        self.rows += 1
        self.faults[fault.partition(":")[0]] += 1
        return Prediction(row, (), fault)

    def notes(self) -> list[str]:
        """Return the counts that are not zero, a line each."""
        lines = []
        if self.rows:
            lines.append(f"predictions: {self.answered:,} of {self.rows:,} rows")
        if self.faults:
            lines.append(f"faults: {_listed(self.faults)}")
        if self.rules:
            lines.append(f"answers cleaned: {_listed(self.rules)}")
        if self.truncated:
            lines.append(f"texts shortened for the model: {self.truncated:,} rows")
        if self.cut:
            lines.append(f"answers without an end, cut: {self.cut:,}")
        return lines


def one_line(error: object) -> str:
    """Return what an error says, as one line of at most 200 characters."""
    line = " ".join(str(error).split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
