"""The hybrid predictor, which answers a row with the candidate of the highest expected score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from mean_prompt.corpus import Rows, Triples
from mean_prompt.encoder import EmbeddingSpace
from mean_prompt.hybrid.answer import Answer, Rule
from mean_prompt.hybrid.mixture import PreparedSamples
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.hybrid.posterior import RowCandidates
from mean_prompt.hybrid.retrieval import (
    EmbeddedRows,
    KnownRows,
    Numbers,
    Retriever,
    Texts,
    one_for_each,
)
from mean_prompt.hybrid.row_search import RowSearch, RowTarget, SearchGain, row_search
from mean_prompt.hybrid.samples import Array, Samples
from mean_prompt.hybrid.scenes import BlendContext, SceneBuilder
from mean_prompt.hybrid.settings import BlendSettings, FitOutcome
from mean_prompt.hybrid.submission import check_universal, is_null_to_pandas
from mean_prompt.hybrid.tuning import FittedBlend, tune
from mean_prompt.system import Deadline, InputError, Listener, ignore
from mean_prompt.training import LEAST_PREDICTED, VectorPredictor, load_vector, row_keys

#: Rows answered at once.
_BATCH: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class FittedSide:
    """A fitted blend, its candidate builder, and the known rows that it was fitted to.

    Attributes:
        rows: numbers of these rows among those given.
    """

    blend: FittedBlend
    builder: SceneBuilder
    samples: Samples
    rows: Numbers

    def left_out(self) -> Array:
        """Return (n,) the SCS that left-out choices for the samples earn."""
        return PreparedSamples(self.samples, self.blend.settings).cross_fit()[0]

    def __str__(self) -> str:
        return f"cross-validated SCS {self.blend.score:.4f}"


class HybridPredictor:
    """Predicts rows' prompts from a universal string, LLM predictions and known rows.

    Known rows have a given true prompt. A row of which nothing is known gets the universal string.

    Attributes:
        text_, llm_: the blends fitted without and with predictions; ``llm_`` is ``None`` if too
            few known rows had a prediction.

    Raises:
        InputError: the model or corpus cannot be loaded, or the string cannot be an answer.
    """

    def __init__(
        self, universal: str, options: BlendOptions | None = None, *, listener: Listener = ignore
    ) -> None:
        self.universal = universal
        self.options = options or BlendOptions()
        self.corpus = self.options.load_corpus()
        self.space = EmbeddingSpace(self.options.load_model(), listener=listener)
        self._context = BlendContext(self.space, universal, self.options, self.corpus)
        check_universal(universal)
        [count] = self.space.tokens([universal])
        if count > self.options.max_tokens:
            raise InputError(
                f"--prompt must have at most --max-tokens {self.options.max_tokens}: found {count} "
                "tokens; raise the limit, or give a shorter one"
            )

    def fit(
        self,
        triples: Triples,
        predictions: Texts | None = None,
        *,
        outcome: FitOutcome | None = None,
        deadline: Deadline | None = None,
    ) -> Self:
        """Fit the vectors of prompts, mixture weights and trust in LLM predictions to known rows.

        Args:
            triples: known rows, of at least three prompts.
            predictions: cleaned predictions of an LLM for each row; empty for a row without one.
            outcome: the outcome of an earlier fit of the same data, to skip tuning.
            deadline: ends tuning early.

        Raises:
            InputError: there are fewer than three different prompts.
            OutOfTimeError: the deadline expired before there was anything to predict with.
        """
        if self.options.vector is None:
            self.vectors_ = VectorPredictor(space=self.space, seed=self.options.seed)
            self.vectors_.fit(triples, predictions, deadline=deadline)
        else:
            self.vectors_ = load_vector(self.options.vector, self.space)
        known = KnownRows.embed(triples, predictions, self.vectors_, deadline)
        retriever, keys = Retriever(known), np.array(row_keys(triples.rows))
        self.text_: FittedSide
        self.llm_: FittedSide | None = None
        for with_llm, fitted in ((False, self.vectors_.text_), (True, self.vectors_.llm_)):
            numbers = known.rows.with_prediction() if with_llm else np.arange(len(known))
            if fitted is None or (with_llm and len(numbers) < LEAST_PREDICTED):
                continue
            # Rows that vectors were fitted to are predicted by those of other prompts, and new
            # ones honestly; those that were not drawn for the fit may share a prompt with it.
            inside = np.isin(keys[numbers], fitted.keys)
            numbers = numbers[inside] if inside.any() else numbers
            kept = None if outcome is None else outcome.llm if with_llm else outcome.text
            builder = self._context.builder(retriever, with_llm=with_llm, deadline=deadline)
            side = self._fit_side(known.take(numbers), numbers, builder, kept, deadline)
            if with_llm:
                self.llm_ = side
            else:
                self.text_ = side
        self.outcome_ = FitOutcome(
            text=self.text_.blend.settings,
            llm=self.llm_.blend.settings if self.llm_ else None,
        )
        self.notes_ = self._notes(known.cut)
        return self

    def predict(
        self, rows: Rows, predictions: Texts | None = None, *, deadline: Deadline | None = None
    ) -> list[Answer]:
        """Return an answer (the predicted prompt, and why it was chosen) for each row.

        A row without an LLM prediction is answered by retrieval alone. If too few known rows had
        predictions to learn how to weigh them, a row's first prediction is its answer.
        """
        return [answer for answer, _ in self.decide(rows, predictions, deadline=deadline)]

    def decide(
        self, rows: Rows, predictions: Texts | None = None, *, deadline: Deadline | None = None
    ) -> list[tuple[Answer, RowTarget | None]]:
        """Return each row's answer as :meth:`predict`, and what to search a string towards.

        There is nothing to search for where a rule decided, or a prediction could not be weighed.
        """
        decided: list[tuple[Answer, RowTarget | None]] = []
        given = one_for_each(rows, predictions)
        for start in range(0, len(rows), _BATCH):
            part = range(start, min(start + _BATCH, len(rows)))
            decided += self._answer(rows.take(part), [given[row] for row in part], deadline)
        return decided

    def first_predictions(self, rows: Rows, predictions: Texts) -> list[Answer]:
        """Answer each row with its first valid LLM prediction, unweighed; no fit is needed."""
        pairs = zip(rows.ids, predictions, strict=True)
        return [self._first_prediction(name, texts) for name, texts in pairs]

    def nearest(self, rows: Rows) -> list[str]:
        """Return the known prompt nearest to each row's texts, or the universal string if none."""
        retriever = self.text_.builder.retriever
        found = retriever.retrieve(self.vectors_.predict(rows), 1)
        nearest = (retriever.prompts(found, row) for row in range(len(rows)))
        return [next(iter(prompts), self.universal) for prompts in nearest]

    def pools(self, rows: Rows, predictions: Texts | None = None) -> list[list[str]]:
        """Return each row's candidate answers, also where no choice is needed (a blank text)."""
        embedded = EmbeddedRows.embed(rows, predictions, self.vectors_)
        candidates = self._candidates(embedded, None)
        return [
            [self.universal, *texts] if row is None else [one.text for one in row.candidates]
            for row, texts in zip(candidates, embedded.predictions, strict=True)
        ]

    def _answer(
        self, rows: Rows, predictions: Texts, deadline: Deadline | None
    ) -> list[tuple[Answer, RowTarget | None]]:
        rules = {row: rule for row in range(len(rows)) if (rule := _rule_of(rows, row))}
        open_rows = [row for row in range(len(rows)) if row not in rules]
        embedded = EmbeddedRows.embed(
            rows.take(open_rows),
            [predictions[row] for row in open_rows],
            self.vectors_,
            deadline=deadline,
        )
        answers = {row: self._universal_answer(rows.ids[row], rule) for row, rule in rules.items()}
        targets: dict[int, RowTarget] = {}
        candidates = self._candidates(embedded, deadline)
        for row, some, texts in zip(open_rows, candidates, embedded.predictions, strict=True):
            name = rows.ids[row]
            if some is None:
                answers[row] = self._first_prediction(name, texts)
                continue
            answers[row], target = self._decide(name, some)
            if target is not None:
                targets[row] = target
        return [
            (
                replace(
                    answers[row],
                    prediction=next(iter(predictions[row]), None),
                    predictions=tuple(predictions[row]),
                ),
                targets.get(row),
            )
            for row in range(len(rows))
        ]

    def _candidates(
        self, rows: EmbeddedRows, deadline: Deadline | None
    ) -> list[RowCandidates | None]:
        """Return each row's candidates; ``None`` if no blend was fitted to weigh its prediction."""
        candidates: list[RowCandidates | None] = [None] * len(rows)
        predicted = rows.with_prediction()
        plain = np.setdiff1d(np.arange(len(rows)), predicted)
        for numbers, fitted in ((plain, self.text_), (predicted, self.llm_)):
            if fitted is not None:
                settings = fitted.blend.settings
                found = fitted.builder.build(rows.take(numbers), settings, deadline)
                for number, row in zip(numbers, found, strict=True):
                    candidates[number] = row
        return candidates

    def _decide(self, name: str, row: RowCandidates) -> tuple[Answer, RowTarget | None]:
        with_llm = row.llm is not None
        if not with_llm and bool((row.by_text.numbers < 0).all()):
            return self._universal_answer(name, "no neighbours"), None
        choice = self.side(with_llm=with_llm).blend.choose(row)
        chosen = row.candidates[choice.number]
        answer = Answer(
            name,
            chosen.text,
            chosen.kind,
            choice.expected,
            choice.trust,
            "blend",
            len(row.candidates),
            with_llm,
            choice.universal,
        )
        return answer, RowTarget.of(row, choice)

    @property
    def known_prompts(self) -> tuple[str, ...]:
        """The distinct prompts of the known rows."""
        return self.text_.builder.retriever.bank.prompts

    def side(self, *, with_llm: bool) -> FittedSide:
        """Return what is fitted for rows with predictions, or for rows without."""
        return self.llm_ if with_llm and self.llm_ else self.text_

    def row_search(
        self, *, listener: Listener = ignore, deadline: Deadline | None = None
    ) -> AbstractContextManager[RowSearch]:
        """Return a search for strings with this predictor's model and known prompts."""
        return row_search(
            self.space,
            self.known_prompts,
            max_tokens=self.options.max_tokens,
            seed=self.options.seed,
            listener=listener,
            deadline=deadline,
        )

    def gains(
        self, search: RowSearch, answers: Iterable[Answer], deadline: Deadline | None = None
    ) -> dict[bool, SearchGain]:
        """Return what a search gains on known rows, without and with predictions, as rows have."""
        kinds = sorted({answer.with_llm for answer in answers})
        sides = {with_llm: self.side(with_llm=with_llm) for with_llm in kinds}
        return {
            with_llm: search.learn(side.samples, side.blend, deadline)
            for with_llm, side in sides.items()
        }

    def _universal_answer(self, name: str, rule: Rule) -> Answer:
        return Answer(name, self.universal, "universal", None, None, rule, 1, with_llm=False)

    def _first_prediction(self, name: str, texts: Sequence[str]) -> Answer:
        """Answer a row with its first valid LLM prediction, else with the universal string."""
        given = replace(
            self._universal_answer(name, "blend"),
            with_llm=True,
            prediction=next(iter(texts), None),
            predictions=tuple(texts),
        )
        counts, limit = self.space.tokens(texts), self.options.max_tokens
        for text, count in zip(texts, counts, strict=True):
            if count <= limit and text.strip() and not is_null_to_pandas(text):
                return replace(given, text=text, kind="prediction")
        return given

    def _fit_side(
        self,
        known: KnownRows,
        numbers: Numbers,
        builder: SceneBuilder,
        kept: BlendSettings | None,
        deadline: Deadline | None,
    ) -> FittedSide:
        """Tune a blend, at most until a deadline; with settings kept of an earlier fit, fit it."""
        options = self.options
        samples = Samples.of(known, builder, seed=options.seed, deadline=deadline)
        trials = 0 if kept else options.trials
        blend = tune(samples, trials=trials, seed=options.seed, start=kept, deadline=deadline)
        return FittedSide(blend, builder, samples, numbers)

    def _notes(self, cut: int) -> tuple[str, ...]:
        known, prompts = len(self.text_.rows), len(self.known_prompts)
        notes = [f"{known:,} known rows of {prompts:,} prompts"]
        if cut:
            notes.append(f"{cut:,} of {2 * known:,} texts are longer than the model reads: cut")
        notes.append(f"without a prediction: {self.text_}")
        if self.llm_ is None and self.vectors_.llm_ is not None:
            notes.append(
                "the vector predictor was trained with predictions, and fewer than "
                f"{LEAST_PREDICTED} known rows have one now: prompts are expected where texts "
                "alone lead to"
            )
        if self.llm_ is not None:
            notes.append(
                f"with a prediction ({len(self.llm_.rows):,} known rows have one): {self.llm_}"
            )
        return tuple(notes)


def _rule_of(rows: Rows, row: int) -> Rule | None:
    """Return why a row must get the universal string, ``None`` if candidates are to be weighed."""
    rewritten = rows.rewritten[row].strip()
    if not rewritten:
        return "blank"
    if rewritten == rows.originals[row].strip():
        return "unchanged"
    return None
