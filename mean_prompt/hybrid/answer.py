"""What a row is answered with, why, and, where the truth is known, what that earns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mean_prompt.system import Table, View, shortened, view_html

#: Characters of an answer that are shown.
_MOST: Final = 2_000

Rule = Literal["blend", "blank", "unchanged", "no neighbours", "not fitted", "no time"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a row is answered with, and why.

    Attributes:
        id: of the row.
        text: the answer.
        kind: how the string came about, see :class:`~mean_prompt.hybrid.candidates.Candidate`.
        expected: its expected SCS; ``None`` where a rule decided.
        trust: how likely the row's prediction is of this row, in [0, 1]; ``None`` without one.
        rule: ``blend``, or the rule by which the row has the universal string: its rewritten text
            is ``blank``, equals the original (``unchanged``), or has ``no neighbours``; or there
            was ``no time`` for it. Its first prediction stands unweighed where there was none to
            weigh it (``not fitted``).
        candidates: strings that were compared.
        with_llm: whether a prediction was among what was known.
        universal: expected SCS of the universal string for the same row, as ``expected``.
        prediction: the row's first prediction, cleaned; ``None`` without one.
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

    def _repr_html_(self) -> str:
        return view_html(answer_view(self))


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer to a row whose truth is known.

    Attributes:
        answer: what was chosen, and what was expected of it.
        prompt: the true one.
        group: number of the rows with the same prompt, which are resampled together.
        actual: SCS of the answer with the truth, float32 vectors.
        universal: SCS of the universal string; ``None`` where it is not known any more.
        llm: SCS of what the LLM alone said first; ``None`` without an LLM.
    """

    answer: Answer
    prompt: str
    group: int
    actual: float
    universal: float | None
    llm: float | None


def answer_view(answer: Answer) -> View:
    """Show what a row is answered with, and why."""
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
        string=shortened(answer.text, _MOST),
        tables=(Table("how it came about", (), cells),),
    )
