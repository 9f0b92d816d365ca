"""Results of an evaluation: the scores of each method of prediction, and their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Triples
from mean_prompt.hybrid.answer import Answer, Outcome
from mean_prompt.objective import Interval, bootstrap_interval
from mean_prompt.system import Table, View, shortened, view_html

UNIVERSAL: Final = "universal alone"
LLM: Final = "LLM alone"
NEAREST: Final = "retrieval alone"
HYBRID: Final = "hybrid"
ORACLE: Final = "oracle"
CHOICE: Final = "hybrid without row search"
VECTOR: Final = "predicted vector"
#: Headings of the columns of :func:`method_figures`, after the method's name.
METHOD_HEADINGS: Final = ("mean", "95 %", "ratio", "difference, 95 %")


@dataclass(frozen=True, slots=True)
class MethodScore:
    """Mean SCS (sharpened cosine similarity) of one method of prediction, with intervals.

    Attributes:
        interval: 95 % interval of the mean, from a bootstrap over prompts.
        difference: mean minus the mean of the reference: the LLM alone, or the universal string
            alone without an LLM.
        difference_interval: 95 % interval of the difference, rows paired.
        ratio: mean divided by the mean of the reference.
    """

    name: str
    mean: float
    interval: Interval
    difference: float
    difference_interval: Interval
    ratio: float


@dataclass(frozen=True, slots=True)
class GroupScore:
    """Mean SCS of two methods over the rows that share one true prompt."""

    prompt: str
    rows: int
    hybrid: float
    reference: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of methods of prediction on known rows, that is, rows whose true prompt is given.

    Attributes:
        methods: scores of the methods, best first; last two that give no answer: the vector that
            the prompt is predicted at, and the oracle, which chooses each row's answer by the
            truth, from the candidates that the blend chose from.
        expected: mean SCS that the hybrid expected of its own answers; ``None`` if rules decided
            all of them.
        winners, losers: prompts on which the hybrid gains and loses most against the reference.
        outcomes: outcomes of the hybrid's answers, in the file's order.
    """

    rows: int
    groups: int
    reference: str
    methods: tuple[MethodScore, ...]
    expected: float | None
    kinds: dict[str, int]
    winners: tuple[GroupScore, ...]
    losers: tuple[GroupScore, ...]
    notes: tuple[str, ...]
    outcomes: tuple[Outcome, ...]

    def of(self, name: str) -> MethodScore:
        """Return a method's score by its name."""
        return next(method for method in self.methods if method.name == name)

    def as_dict(self) -> dict[str, Any]:
        """Return the evaluation as a dictionary that can be written as JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        return view_html(evaluation_view(self))


def method_scores(
    earned: Mapping[str, NDArray[np.float64]],
    groups: NDArray[np.int64],
    reference: str,
    *,
    seed: int = 0,
) -> tuple[MethodScore, ...]:
    """Return the scores of methods on the same rows, best first, vector and oracle last.

    ``earned`` maps a method's name to the (n,) SCS of its answers. The bootstrap resamples whole
    ``groups``, the (n,) numbers of the rows' true prompts.
    """
    equal = np.ones(len(groups))

    def interval(values: NDArray[np.float64]) -> Interval:
        return bootstrap_interval(values, equal, groups, seed=seed)

    base = earned[reference]
    methods = [
        MethodScore(
            name,
            float(values.mean()),
            interval(values),
            float((values - base).mean()),
            interval(values - base),
            float(values.mean() / base.mean()),
        )
        for name, values in earned.items()
    ]
    return tuple(sorted(methods, key=lambda one: (one.name in {VECTOR, ORACLE}, -one.mean)))


def outcomes_of(
    answers: Sequence[Answer], triples: Triples, earned: Mapping[str, NDArray[np.float64]]
) -> tuple[Outcome, ...]:
    """Pair each answer with its true prompt, its SCS, and those of universal string and LLM."""
    columns = [
        earned[name].tolist() if name in earned else [None] * len(answers)
        for name in (HYBRID, UNIVERSAL, LLM)
    ]
    groups = triples.groups().tolist()
    return tuple(
        Outcome(*row) for row in zip(answers, triples.prompts, groups, *columns, strict=True)
    )


def groups_by_gain(
    triples: Triples, hybrid: NDArray[np.float64], base: NDArray[np.float64]
) -> list[GroupScore]:
    """Return the mean scores by prompt, the prompts with the hybrid's largest total gain first."""
    _, first, members = np.unique(triples.groups(), return_index=True, return_inverse=True)
    counts = np.bincount(members)
    sums = [np.bincount(members, weights=values) for values in (hybrid, base)]
    order = np.argsort(sums[1] - sums[0], kind="stable")
    return [
        GroupScore(
            triples.prompts[first[group]],
            int(counts[group]),
            float(sums[0][group] / counts[group]),
            float(sums[1][group] / counts[group]),
        )
        for group in order
    ]


def evaluation_view(evaluation: Evaluation) -> View:
    """Return tables of an evaluation's methods, and of the prompts that gain and lose most."""
    names = [method.name for method in evaluation.methods]
    methods = Table(
        f"SCS, compared with the {evaluation.reference}",
        ("method", *METHOD_HEADINGS),
        tuple((method.name, *method_figures(method)) for method in evaluation.methods),
        strong=names.index("hybrid") if "hybrid" in names else None,
    )
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in evaluation.kinds.items())
    expected = "" if evaluation.expected is None else f"expected {evaluation.expected:.4f}; "
    return View(
        f"evaluation over {evaluation.rows:,} rows of {evaluation.groups:,} prompts",
        tables=(
            methods,
            _groups("prompts that gain most", evaluation.winners),
            _groups("prompts that lose most", evaluation.losers),
        ),
        lines=(f"The hybrid: {expected}{kinds}.",),
        notes=evaluation.notes,
    )


def _groups(caption: str, groups: tuple[GroupScore, ...]) -> Table:
    rows = tuple(
        (
            shortened(group.prompt),
            f"{group.hybrid:.3f}",
            f"{group.reference:.3f}",
            f"{group.rows:,}",
        )
        for group in groups
    )
    return Table(caption, ("prompt", "hybrid", "reference", "rows"), rows)


def method_figures(method: MethodScore) -> tuple[str, str, str, str]:
    """Return a method's scores formatted as the cells under ``METHOD_HEADINGS``."""
    interval, difference = method.interval, method.difference_interval
    return (
        f"{method.mean:.4f}",
        f"{interval.low:.3f} to {interval.high:.3f}",
        f"{method.ratio:.3f}",
        f"{difference.low:+.4f} to {difference.high:+.4f}",
    )
