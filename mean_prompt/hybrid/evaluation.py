"""What a blend is worth: every known row answered by a predictor that never saw its prompt.

Rows are divided into folds that do not split a prompt. In each fold all that is learned - keys,
settings, weights, templates - is learned anew from the other folds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Triples
from mean_prompt.hybrid.answer import Answer, Outcome
from mean_prompt.hybrid.candidates import joined
from mean_prompt.hybrid.predictor import HybridPredictor
from mean_prompt.hybrid.retrieval import grouped_folds
from mean_prompt.objective import Interval, Vectors, bootstrap_interval, sharpened_cosines
from mean_prompt.system import Table, View, shortened, view_html

Texts = Sequence[Sequence[str]]

UNIVERSAL: Final = "universal alone"
LLM: Final = "LLM alone"
NEAREST: Final = "retrieval alone"
HYBRID: Final = "hybrid"
ORACLE: Final = "oracle"
#: What stands over the columns of :func:`method_figures`, after the method's name.
METHOD_HEADINGS: Final = ("mean", "95 %", "ratio", "difference, 95 %")
#: Prompts shown among winners and among losers.
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class MethodScore:
    """What one way of answering earns.

    Attributes:
        name: of the method.
        mean: SCS over all rows, float32 vectors.
        interval: its 95 % interval, from a bootstrap over prompts.
        difference: of the mean from that of the reference: the LLM alone, or the universal
            string alone where there is no LLM.
        difference_interval: its 95 % interval, rows paired.
        ratio: of the mean to the reference's.
    """

    name: str
    mean: float
    interval: Interval
    difference: float
    difference_interval: Interval
    ratio: float


@dataclass(frozen=True, slots=True)
class GroupScore:
    """What the rows of one prompt earn.

    Attributes:
        prompt: the true one.
        rows: how many it has.
        hybrid, reference: mean SCS of either.
    """

    prompt: str
    rows: int
    hybrid: float
    reference: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The comparison.

    Attributes:
        rows, groups: known rows, and their different prompts.
        reference: name of the method that others are compared with.
        methods: best first, the oracle last: it chooses each row's answer by the truth, from the
            candidates that the blend chose from.
        expected: mean of the scores that the hybrid expected of its own answers; ``None`` where
            rules decided all of them.
        kinds: answers of the hybrid by how they came about.
        winners, losers: prompts on which the hybrid gains and loses most against the reference.
        notes: of the LLM and of the fits, a line each.
        outcomes: of the hybrid's answers, row by row in the file's order.
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
        """Return the evaluation for JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        return view_html(evaluation_view(self))


class _Table:
    """Answers by method and row, and what they earn."""

    def __init__(self, triples: Triples, predictor: HybridPredictor) -> None:
        self._space = predictor.workshop.space
        self._targets = self._space.exact(triples.prompts, "prompts")
        self._earned: dict[str, NDArray[np.float64]] = {}

    def put(self, method: str, rows: NDArray[np.int64], texts: Sequence[str]) -> None:
        vectors = self._space.exact(texts, "answers")
        column = self._earned.setdefault(method, np.zeros(len(self._targets)))
        column[rows] = sharpened_cosines(vectors, self._targets[rows])

    def target(self, row: int) -> Vectors:
        vector: Vectors = self._targets[row]
        return vector

    @property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        return self._earned


def evaluate(
    triples: Triples,
    make: Callable[[], HybridPredictor],
    predictions: Texts | None = None,
    raw: Texts | None = None,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Compare ways of answering known rows, under cross-validation grouped by prompt.

    Args:
        triples: known rows.
        make: returns a predictor that is not fitted yet.
        predictions: of an LLM for each row, cleaned; empty where a row has none.
        raw: the same as the LLM wrote them; ``LLM alone`` is the first of these, or the universal
            string for a row without one. ``predictions`` when left out.
        seed: of the folds and of the bootstrap.
        progress: called with folds done and all folds.

    Raises:
        InputError: there are fewer than two different prompts.
    """
    predictor = make()
    table = _Table(triples, predictor)
    universal = predictor.workshop.universal
    folds = list(grouped_folds(triples.groups(), seed=seed))
    answers, notes = dict[int, Answer](), list[str]()
    for number, (known, test) in enumerate(folds):
        if progress:
            progress(number, len(folds))
        part = None if predictions is None else [predictions[row] for row in test]
        predictor = make().fit(
            triples.take(known), predictions and [predictions[row] for row in known]
        )
        rows = triples.rows.take(test)
        found = predictor.predict(rows, part)
        answers |= zip(test.tolist(), found, strict=True)
        table.put(HYBRID, test, [answer.text for answer in found])
        nearest = predictor.nearest(rows)
        simple = {UNIVERSAL: [universal] * len(test), NEAREST: nearest}
        if predictions is not None:
            firsts = [(raw or predictions)[row] for row in test]
            said = [some[0] if some else universal for some in firsts]
            simple |= _concatenations(said, nearest, universal)
        for name, texts in simple.items():
            table.put(name, test, texts)
        _put_oracle(table, predictor, test, predictor.pools(rows, part))
        notes.append(f"fold {number + 1}: {'; '.join(predictor.notes_)}")
    reference = UNIVERSAL if predictions is None else LLM
    ordered = [answers[row] for row in range(len(triples))]
    return _summary(triples, table.columns, reference, ordered, notes, seed)


def swapped(texts: Texts, share: float, *, seed: int = 0) -> list[Sequence[str]]:
    """Return predictions with those of a share of the rows handed round among each other.

    Each of these rows gets another one's, as from a predictor that is often wrong.
    """
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(texts))[: round(share * len(texts))]
    mixed = list(texts)
    for row, other in zip(rows, np.roll(rows, 1), strict=True):
        mixed[row] = texts[other]
    return mixed


def _concatenations(
    said: Sequence[str], nearest: Sequence[str], universal: str
) -> dict[str, list[str]]:
    return {
        LLM: list(said),
        "LLM + universal": [joined((text, universal), " ") for text in said],
        "universal + LLM": [joined((universal, text), " ") for text in said],
        "LLM + nearest prompt": [
            joined((text, near), " ") for text, near in zip(said, nearest, strict=True)
        ],
    }


def _put_oracle(
    table: _Table,
    predictor: HybridPredictor,
    rows: NDArray[np.int64],
    pools: Sequence[Sequence[str]],
) -> None:
    """Choose by the truth, with the rough vectors that the blend chooses by; score exactly."""
    space = predictor.workshop.space
    best = []
    for row, pool in zip(rows, pools, strict=True):
        cosines = space.screened(pool) @ table.target(int(row))
        best.append(pool[int(cosines.argmax())])
    table.put(ORACLE, rows, best)


def _summary(
    triples: Triples,
    earned: dict[str, NDArray[np.float64]],
    reference: str,
    answers: Sequence[Answer],
    notes: Sequence[str],
    seed: int,
) -> Evaluation:
    groups = triples.groups()
    expected = [answer.expected for answer in answers if answer.expected is not None]
    by_gain = _by_group(triples, earned[HYBRID], earned[reference])
    return Evaluation(
        rows=len(triples),
        groups=len(np.unique(groups)),
        reference=reference,
        methods=method_scores(earned, groups, reference, seed=seed),
        expected=float(np.mean(expected)) if expected else None,
        kinds=dict(Counter(answer.kind for answer in answers).most_common()),
        winners=tuple(by_gain[:_SHOWN]),
        losers=tuple(by_gain[: -_SHOWN - 1 : -1]),
        notes=tuple(notes),
        outcomes=outcomes_of(answers, triples, earned),
    )


def method_scores(
    earned: Mapping[str, NDArray[np.float64]],
    groups: NDArray[np.int64],
    reference: str,
    *,
    seed: int = 0,
) -> tuple[MethodScore, ...]:
    """Compare ways of answering the same rows: best first, the oracle last.

    Args:
        earned: (n,) SCS of each way's answers, by its name.
        groups: (n,) numbers of the true prompts, which are resampled together.
        reference: name of the way that others are compared with.
        seed: of the bootstrap.
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
    return tuple(sorted(methods, key=lambda method: (method.name == ORACLE, -method.mean)))


def outcomes_of(
    answers: Sequence[Answer], triples: Triples, earned: Mapping[str, NDArray[np.float64]]
) -> tuple[Outcome, ...]:
    """Put answers, truths and what was earned together, row by row.

    Args:
        answers: n, to the rows of the triples.
        triples: n.
        earned: (n,) SCS of the hybrid, and of the universal string and the LLM where these are
            known.
    """
    columns = [
        earned[name].tolist() if name in earned else [None] * len(answers)
        for name in (HYBRID, UNIVERSAL, LLM)
    ]
    groups = triples.groups().tolist()
    return tuple(
        Outcome(*row) for row in zip(answers, triples.prompts, groups, *columns, strict=True)
    )


def _by_group(
    triples: Triples, hybrid: NDArray[np.float64], base: NDArray[np.float64]
) -> list[GroupScore]:
    """Return the prompts, those first on whose rows the hybrid gains most in all."""
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
    """Show what ways of answering earn, and the prompts that gain and lose most."""
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
    """Return what one way of answering earns."""
    interval, difference = method.interval, method.difference_interval
    return (
        f"{method.mean:.4f}",
        f"{interval.low:.3f} to {interval.high:.3f}",
        f"{method.ratio:.3f}",
        f"{difference.low:+.4f} to {difference.high:+.4f}",
    )
