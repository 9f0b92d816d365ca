"""Statistics of answers (predicted prompts): by kind, by expected score, and by gain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mean_prompt.hybrid import Answer, Outcome

if TYPE_CHECKING:
    from mean_prompt.objective import Interval

#: Bins that rows are divided into by the expected SCS of their answers.
_BINS: Final = 10
#: Intervals of trust (probability that a row's LLM prediction is useful) for grouping rows.
_BANDS: Final = 5
_FEW_BANDS: Final = tuple((band / _BANDS, (band + 1) / _BANDS) for band in range(_BANDS))


@dataclass(frozen=True, slots=True)
class KindRow:
    """Mean scores of the answers of one kind, such as ``prediction`` or ``retrieved``.

    Attributes:
        expected: mean expected SCS of the answers that have one; ``None`` if none has.
        universal: mean expected SCS of the universal string for the same rows, or ``None``.
        trust: mean probability that the row's LLM prediction is useful, or ``None``.
        actual: mean SCS with the true prompt, over rows whose true prompt is known.
    """

    kind: str
    rows: int
    expected: float | None
    universal: float | None
    trust: float | None
    actual: float | None


@dataclass(frozen=True, slots=True)
class KnowledgeRow:
    """Rows with the same level of trust in an LLM prediction, and their answers counted by kind."""

    name: str
    rows: int
    kinds: dict[str, int]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows whose answers have about the same expected score, with their mean actual score.

    Attributes:
        interval: 95 % interval of the actual mean, from a bootstrap over prompts.
    """

    rows: int
    low: float
    high: float
    expected: float
    actual: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Gain:
    """An answer (predicted prompt) and its gain in score over another answer to the same row.

    Attributes:
        gain: difference in SCS, actual or expected.
        actual: SCS with the true ``prompt``; both are ``None`` if the prompt is not known.
    """

    answer: Answer
    gain: float
    actual: float | None = None
    prompt: str | None = None


def by_kind(answers: Sequence[Answer], outcomes: Sequence[Outcome] = ()) -> list[KindRow]:
    """Return the number and mean scores of the answers of each kind, the most frequent first."""
    found = []
    for kind, count in Counter(answer.kind for answer in answers).most_common():
        some = [answer for answer in answers if answer.kind == kind]
        found.append(
            KindRow(
                kind,
                count,
                _mean(answer.expected for answer in some),
                _mean(answer.universal for answer in some),
                _mean(answer.trust for answer in some),
                _mean(row.actual for row in outcomes if row.answer.kind == kind),
            )
        )
    return found


def by_knowledge(answers: Sequence[Answer]) -> list[KnowledgeRow]:
    """Count answers by trust in the row's LLM prediction, or by the rule that decided.

    Groups by trust come first, the highest first; empty groups are left out.
    """
    rows: dict[str, list[str]] = {}
    for answer in answers:
        rows.setdefault(_knowledge(answer), []).append(answer.kind)
    names = [_band(*bounds) for bounds in reversed(_FEW_BANDS)]
    order = [*names, *sorted(set(rows) - set(names))]
    return [
        KnowledgeRow(name, len(rows[name]), dict(Counter(rows[name])))
        for name in order
        if name in rows
    ]


def calibration(outcomes: Sequence[Outcome], *, seed: int = 0) -> list[CalibrationBin]:
    """Divide rows by expected score into ten bins of equal size, the lowest first.

    Rows without an expected SCS are left out.
    """
    known = [(row.answer.expected, row.actual, row.group) for row in outcomes]
    judged = sorted((row for row in known if row[0] is not None), key=lambda row: row[0] or 0.0)
    numbers = np.array_split(np.arange(len(judged)), min(_BINS, len(judged)) or 1)
    return [_bin([judged[row] for row in part], seed) for part in numbers if len(part)]


def actual_gains(outcomes: Sequence[Outcome], over: str) -> list[Gain]:
    """Return the answers' gains in actual score over another way of answering, largest first.

    Args:
        outcomes: answers with their actual scores.
        over: ``universal``, the universal string, or ``llm``, the LLM's prediction alone.
    """
    scores = ((row, getattr(row, over)) for row in outcomes)
    return _sorted(
        Gain(row.answer, row.actual - other, row.actual, row.prompt)
        for row, other in scores
        if other is not None
    )


def expected_gains(answers: Sequence[Answer]) -> list[Gain]:
    """Return the answers' expected gains over the universal string, the largest first."""
    return _sorted(
        Gain(answer, answer.expected - answer.universal)
        for answer in answers
        if answer.expected is not None and answer.universal is not None
    )


def ends(gains: Sequence[Gain], count: int) -> tuple[list[Gain], list[Gain]]:
    """Split sorted gains: return the largest, and the smallest of the others in rising order."""
    best = list(gains[: min(count, -(-len(gains) // 2))])
    return best, list(reversed(gains[len(best) :]))[:count]


def _bin(rows: Sequence[tuple[float | None, float, int]], seed: int) -> CalibrationBin:
    from mean_prompt.objective import bootstrap_interval  # imports torch, often not needed

    expected, actual = (np.array([row[at] for row in rows], float) for at in (0, 1))
    groups = np.array([row[2] for row in rows], np.int64)
    return CalibrationBin(
        len(rows),
        float(expected.min()),
        float(expected.max()),
        float(expected.mean()),
        float(actual.mean()),
        bootstrap_interval(actual, np.ones(len(rows)), groups, seed=seed),
    )


def _knowledge(answer: Answer) -> str:
    if answer.rule != "blend":
        return f"by rule: {answer.rule}"
    if answer.trust is None:
        return "prediction, not weighed" if answer.with_llm else "no prediction"
    band = min(int(answer.trust * _BANDS), _BANDS - 1)
    return _band(*_FEW_BANDS[max(band, 0)])


def _band(low: float, high: float) -> str:
    return f"trust {low:.1f} to {high:.1f}"


def _sorted(gains: Iterable[Gain]) -> list[Gain]:
    return sorted(gains, key=lambda row: -row.gain)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
