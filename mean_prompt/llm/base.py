"""The protocol of predictors, which ask an LLM for each row's prompt, and their results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mean_prompt.corpus import Rows
from mean_prompt.llm.cleaning import clean
from mean_prompt.system import Deadline


@dataclass(frozen=True, slots=True)
class Example:
    """A row with its true prompt, shown to an LLM as a few-shot example."""

    original: str
    rewritten: str
    prompt: str


#: For each row whose prompt is to be predicted, the examples shown before it.
Examples = Sequence[Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Prediction:
    """An LLM's predictions of one row's prompt, or the fault that prevented them.

    Attributes:
        row: index of the row in the ``Rows`` given to :meth:`Predictor.predict`.
        texts: cleaned predictions, distinct, not blank, most likely first; may be empty.
        fault: why there is no prediction: one line with the kind of fault, and details after a
            colon if there are any; ``None`` if the predictor did not fail.
        raw: the answers before cleaning, distinct, not blank, so that ``texts[0]`` is the cleaned
            ``raw[0]``. Answers without a prompt come last, and may accompany a fault.
    """

    row: int
    texts: tuple[str, ...]
    fault: str | None = None
    raw: tuple[str, ...] = ()


class Predictor(Protocol):
    """Protocol: predicts the prompts with which an LLM rewrote texts."""

    @property
    def identity(self) -> str:
        """All that predictions depend on besides the row, as a key in caches and results."""

    def predict(
        self, rows: Rows, examples: Examples | None = None, *, deadline: Deadline | None = None
    ) -> Iterator[Prediction]:
        """Predict the prompt of each row from its original and rewritten text.

        Once the deadline has expired, no row is begun, and unfinished ones are dropped.

        Yields:
            One prediction for each row that was finished in time, in any order, as soon as it
            is there. A row that fails has a fault; the other rows continue.

        Raises:
            InputError: no row can be predicted: there is no such file, model or server.
        """

    def notes(self) -> list[str]:
        """Return lines for the user on the predictions so far, such as the number of faults."""


@dataclass(slots=True)
class Counts:
    """Counts of a predictor's rows, answers and faults since it was created.

    Attributes:
        rows: number of rows that were finished; ``answered`` of them have a prediction.
        truncated: number of rows whose texts were too long to be shown to the model whole.
        cut: number of answers that were ended at the length limit.
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
        """Turn an LLM's raw answers for one row into a prediction, and count the row.

        More frequent answers are ranked as more likely, among equals the earlier one. If none
        holds a prompt, the fault is ``blank_fault``.
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
        """Return a prediction that holds only the fault of a failed row, and count the row."""
        self.rows += 1
        self.faults[fault.partition(":")[0]] += 1
        return Prediction(row, (), fault)

    def notes(self) -> list[str]:
        """Return one line for each count that is not zero."""
        lines = [
            (self.rows, f"predictions: {self.answered:,} of {self.rows:,} rows"),
            (self.faults, f"faults: {_listed(self.faults)}"),
            (self.rules, f"answers cleaned: {_listed(self.rules)}"),
            (self.truncated, f"texts shortened for the model: {self.truncated:,} rows"),
            (self.cut, f"answers cut at the length limit: {self.cut:,}"),
        ]
        return [line for count, line in lines if count]


def short_reason(error: object) -> str:
    """Return an error's message on one line of at most 200 characters."""
    line = " ".join(str(error).split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
