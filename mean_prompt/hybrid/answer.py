"""The answer to a row (its predicted prompt), why it was chosen and, if known, its score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mean_prompt.system import Table, View, shortened, view_html

Rule = Literal["blend", "blank", "unchanged", "no neighbours", "not fitted", "no time"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one row, that is, the prompt predicted for it, and why it was chosen.

    Attributes:
        expected: expected SCS (sharpened cosine) with the true prompt; ``None`` if a rule decided.
        trust: probability that the LLM's prediction is useful; ``None`` without a prediction.
        rule: ``blend`` if candidates were weighed, else why the row has the universal string: its
            rewritten text is ``blank``, equals the original (``unchanged``), or has ``no
            neighbours``; or there was ``no time`` for the row. ``not fitted``: the answer is the
            row's first prediction, as there was no time to weigh it.
        universal: expected SCS of the universal string for the same row, as ``expected``.
        predictions: all predictions of an LLM; ``prediction`` is the first.
        choice, choice_expected: what was chosen from the candidates, once row search has settled
            whether it stays the answer, and its expected SCS.
        searched: the string that was found; it is the answer if more is expected of it.
    """

    id: str
    text: str
    kind: str
    expected: float | None
    trust: float | None
    rule: Rule
    candidates: int
    with_llm: bool
    universal: float | None = None
    prediction: str | None = None
    predictions: tuple[str, ...] = ()
    choice: str | None = None
    choice_expected: float | None = None
    searched: str | None = None

    def _repr_html_(self) -> str:
        return view_html(answer_view(self))


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer and its score, for a row whose true prompt is known.

    Attributes:
        group: group number, which rows with the same true prompt share.
        actual: SCS of the answer with the true prompt, by float32 vectors.
        universal: SCS of the universal string; ``None`` if it is no longer known.
    """

    answer: Answer
    prompt: str
    group: int
    actual: float
    universal: float | None
    llm: float | None


def answer_view(answer: Answer) -> View:
    """Return a view, which notebooks show as HTML, of an answer and why it was chosen."""
    decided = "by weighing candidates" if answer.rule == "blend" else f"by rule: {answer.rule}"
    rows = {
        "kind": answer.kind,
        "decided": decided,
        "expected SCS": None if answer.expected is None else f"{answer.expected:.4f}",
        "trust in the prediction": None if answer.trust is None else f"{answer.trust:.3f}",
        "strings compared": f"{answer.candidates:,}",
    }
    cells = tuple((name, shortened(value)) for name, value in rows.items() if value is not None)
    return View(
        f"answer to row {shortened(answer.id, 80).head}",
        string=shortened(answer.text, 2_000),
        tables=(Table("how it was chosen", (), cells),),
    )
