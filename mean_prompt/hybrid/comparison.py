"""Cross-validates hybrid predictions on known rows (rows whose true prompt is given).

Rows are divided into folds, all rows of one prompt in the same fold. In each fold all that is
learned - vectors, settings, weights, wording - is learned from the other folds alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import Triples, read_triples
from mean_prompt.encoder import EmbeddingSpace
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.asking import Examples
from mean_prompt.hybrid.candidates import joined
from mean_prompt.hybrid.evaluation import (
    CHOICE,
    HYBRID,
    LLM,
    NEAREST,
    ORACLE,
    UNIVERSAL,
    VECTOR,
    Evaluation,
    groups_by_gain,
    method_scores,
    outcomes_of,
)
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.predictor import HybridPredictor
from mean_prompt.hybrid.request import universal_string
from mean_prompt.hybrid.retrieval import Texts, grouped_folds
from mean_prompt.hybrid.row_search import EVALUATIONS, RowTarget
from mean_prompt.llm import LLMOptions, Predictor, RecordedPredictor, make_predictor
from mean_prompt.objective import Vectors, sharpened_cosines
from mean_prompt.system import InputError, Listener, ProgressEvent, ignore
from mean_prompt.training import LEAST_PROMPTS

#: Number of prompts listed as winners, and as losers.
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Inputs and options of an evaluation (``mean-prompt evaluate``).

    Attributes:
        prompt: the universal string, the folder of the run that found it, or a text file.
        llm: source of predictions, see :func:`~mean_prompt.llm.factory.make_predictor`.
        swap: share of the rows whose predictions are exchanged, to simulate a bad predictor.
    """

    triples: Path
    prompt: str
    options: BlendOptions = field(default_factory=BlendOptions)
    llm: str = field(default="none", repr=False)  # it may hold a password
    llm_options: LLMOptions = field(default_factory=LLMOptions)
    shots: int = 3
    swap: float = 0.0


def compare(plan: Comparison, *, listener: Listener = ignore) -> Evaluation:
    """Cross-validate methods of prediction (hybrid, LLM alone, ...) on a file of known rows."""
    file = read_triples(plan.triples)
    universal = universal_string(plan.prompt)
    llm = make_predictor(
        plan.llm, test=plan.triples, options=plan.llm_options, trust=plan.options.trust
    )
    if llm is None and plan.swap:
        raise InputError(
            "--swap must have predictions to swap: there are none with --llm none; leave it out"
        )
    if plan.options.vector is not None:
        raise InputError(
            "an evaluation must train on other rows than it judges: leave --vector out; train "
            "vector reports what a predictor is worth"
        )
    if plan.options.row_search is None:
        raise InputError(
            "--row-search auto needs a time limit, which an evaluation has none of: give a number"
        )
    corpus, model = plan.options.load_corpus(), plan.options.load_model()
    options = replace(plan.options, corpus=corpus or (), model=model)
    predictions = raw = None
    if llm is not None:
        space = EmbeddingSpace(model, listener=listener)
        predictions, raw = ask_all(llm, file.triples, plan.shots, space, listener)
        predictions = swapped(predictions, plan.swap, seed=options.seed)
        raw = swapped(raw, plan.swap, seed=options.seed)
    found = evaluate(file.triples, universal, options, predictions, raw, listener=listener)
    notes = (*file.notes, *(llm.notes() if llm else []), *found.notes)
    return replace(found, notes=notes)


def ask_all(
    llm: Predictor, triples: Triples, shots: int, space: EmbeddingSpace, listener: Listener
) -> tuple[Texts, Texts]:
    """Return an LLM's predictions for every known row: cleaned ones, and raw ones as written."""
    examples = None
    if shots and not isinstance(llm, RecordedPredictor):
        examples = Examples(triples, space, shots).of(triples.rows, triples.groups())
    texts: list[tuple[str, ...]] = [()] * len(triples)
    raw: list[tuple[str, ...]] = [()] * len(triples)
    for done, one in enumerate(llm.predict(triples.rows, examples), 1):
        texts[one.row], raw[one.row] = one.texts, one.raw
        listener(ProgressEvent("rows asked about", done, len(triples), "rows"))
    return texts, raw


def swapped(texts: Texts, share: float, *, seed: int = 0) -> list[Sequence[str]]:
    """Return the predictions after exchanging them among a random ``share`` of the rows."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(texts))[: round(share * len(texts))]
    mixed = list(texts)
    for row, other in zip(rows, np.roll(rows, 1), strict=True):
        mixed[row] = texts[other]
    return mixed


def evaluate(
    triples: Triples,
    universal: str,
    options: BlendOptions,
    predictions: Texts | None = None,
    raw: Texts | None = None,
    *,
    listener: Listener = ignore,
) -> Evaluation:
    """Compare methods of prediction on known rows by cross-validation grouped by prompt.

    ``predictions`` are an LLM's cleaned predictions for each row, empty for a row without one;
    ``raw`` are the same as the LLM wrote them. ``LLM alone`` answers with the first raw one, or
    the universal string without one. The options' seed is used for folds and bootstrap too.
    """
    prompts = len(np.unique(triples.near_groups()))
    if prompts <= LEAST_PROMPTS:
        raise InputError(
            f"an evaluation must have at least {LEAST_PROMPTS + 1} prompts that are not nearly the "
            f"same, since it trains on all but some: found {prompts} in {len(triples)} rows; give "
            "more"
        )
    table = _Table(triples, EmbeddingSpace(options.load_model(), listener=listener))
    answers, notes = dict[int, Answer](), list[str]()
    folds = grouped_folds(triples.near_groups(), seed=options.seed)
    for number, (known, test) in enumerate(folds, 1):
        part = None if predictions is None else [predictions[row] for row in test]
        predictor = HybridPredictor(universal, options, listener=listener).fit(
            triples.take(known), predictions and [predictions[row] for row in known]
        )
        rows = triples.rows.take(test)
        decided = predictor.decide(rows, part)
        found = [answer for answer, _ in decided]
        if options.row_search:
            table.put(CHOICE, test, [answer.text for answer in found])
            found, note = _searched(predictor, decided, options, listener)
            notes.append(f"fold {number}: {note}")
        answers |= zip(test.tolist(), found, strict=True)
        table.put(HYBRID, test, [answer.text for answer in found])
        forecast = predictor.vectors_.forecast(rows, part)
        table.put_vectors(VECTOR, test, forecast.vectors)
        nearest = predictor.nearest(rows)
        table.put(UNIVERSAL, test, [universal] * len(test))
        table.put(NEAREST, test, nearest)
        if predictions is not None:
            firsts = [(raw or predictions)[row] for row in test]
            said = [some[0] if some else universal for some in firsts]
            for name, texts in _concatenations(said, nearest, universal).items():
                table.put(name, test, texts)
        table.put_oracle(test, predictor.pools(rows, part))
        notes.append(f"fold {number}: {'; '.join(predictor.notes_)}")
    reference = UNIVERSAL if predictions is None else LLM
    ordered = [answers[row] for row in range(len(triples))]
    expected = [answer.expected for answer in ordered if answer.expected is not None]
    earned = table.earned
    by_gain = groups_by_gain(triples, earned[HYBRID], earned[reference])
    return Evaluation(
        rows=len(triples),
        groups=len(by_gain),
        reference=reference,
        methods=method_scores(earned, triples.groups(), reference, seed=options.seed),
        expected=float(np.mean(expected)) if expected else None,
        kinds=dict(Counter(answer.kind for answer in ordered).most_common()),
        winners=tuple(by_gain[:_SHOWN]),
        losers=tuple(by_gain[: -_SHOWN - 1 : -1]),
        notes=tuple(notes),
        outcomes=outcomes_of(ordered, triples, earned),
    )


def _concatenations(
    predicted: Sequence[str], nearest: Sequence[str], universal: str
) -> dict[str, Sequence[str]]:
    return {
        LLM: predicted,
        "LLM + universal": [joined((text, universal), " ") for text in predicted],
        "universal + LLM": [joined((universal, text), " ") for text in predicted],
        "LLM + nearest prompt": [
            joined((text, near), " ") for text, near in zip(predicted, nearest, strict=True)
        ],
    }


def _searched(
    predictor: HybridPredictor,
    decided: Sequence[tuple[Answer, RowTarget | None]],
    options: BlendOptions,
    listener: Listener,
) -> tuple[list[Answer], str]:
    """Search a string for every row of a fold; return the answers, and what the search is worth."""
    answers = [answer for answer, _ in decided]
    with predictor.row_search(listener=listener) as search:
        search.set_evaluations(options.row_search or EVALUATIONS)
        pairs = {
            row: (answer, target)
            for row, (answer, target) in enumerate(decided)
            if target is not None
        }
        gains = predictor.gains(search, [answer for answer, _ in pairs.values()])
        rows = [row for row, (answer, _) in pairs.items() if gains[answer.with_llm].share > 0]
        for first, found in search.improve([pairs[row] for row in rows], gains):
            for row, answer in zip(rows[first:], found, strict=False):
                answers[row] = answer
    return answers, "; ".join(map(str, gains.values()))


class _Table:
    """Scores (SCS, sharpened cosine similarity) of answers, an array over rows by method."""

    def __init__(self, triples: Triples, space: EmbeddingSpace) -> None:
        self.earned: dict[str, NDArray[np.float64]] = {}
        self._space = space
        self._targets = space.exact(triples.prompts, "prompts")

    def put(self, method: str, rows: NDArray[np.int64], texts: Sequence[str]) -> None:
        self.put_vectors(method, rows, self._space.exact(texts, "answers"))

    def put_vectors(self, method: str, rows: NDArray[np.int64], vectors: Vectors) -> None:
        column = self.earned.setdefault(method, np.zeros(len(self._targets)))
        column[rows] = sharpened_cosines(vectors, self._targets[rows])

    def put_oracle(self, rows: NDArray[np.int64], pools: Sequence[Sequence[str]]) -> None:
        """Score an oracle, which picks the string nearest the true prompt by screening vectors."""
        best = []
        for row, pool in zip(rows, pools, strict=True):
            cosines = self._space.screened(pool) @ self._targets[row]
            best.append(pool[int(cosines.argmax())])
        self.put(ORACLE, rows, best)
