"""The blend: for each row the string with the highest expected SCS under all that is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from mean_prompt.corpus import Corpus, Rows, Triples
from mean_prompt.encoder import Encoder, load_encoder
from mean_prompt.hybrid.answer import Answer, Rule
from mean_prompt.hybrid.fit import BlendContext, BlendFitter, FittedKey
from mean_prompt.hybrid.index import Manifest, VectorIndex
from mean_prompt.hybrid.keys import PREDICTION_KEYS, TEXT_KEYS, Key
from mean_prompt.hybrid.posterior import RowCandidates
from mean_prompt.hybrid.retrieval import Bank, Retriever, indexed_vectors
from mean_prompt.hybrid.scenes import EmbeddedRows, one_for_each
from mean_prompt.hybrid.space import Progress, Space
from mean_prompt.hybrid.submission import is_null_to_pandas
from mean_prompt.hybrid.tuning import BlendSettings
from mean_prompt.objective import Vectors
from mean_prompt.system import Clock, InputError

#: Tokens that an answer may have, as a search's string.
MAX_TOKENS: Final = 64
#: Settings that a fit tries.
TRIALS: Final = 24
#: Known rows with a prediction that it takes to learn how far predictions are to be trusted.
LEAST_PREDICTED: Final = 24
#: Rows answered at once.
_BATCH: Final = 64

Predictions = Sequence[Sequence[str]]


class FitOutcome(BaseModel):
    """What a fit decided, from which the same predictor is fitted again without deciding.

    Attributes:
        text_key, all_key: what rows are compared by, without and with a prediction.
        text, llm: settings of the blend without and with a prediction.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_key: Key
    text: BlendSettings
    all_key: Key | None = None
    llm: BlendSettings | None = None


class HybridPredictor:
    """Answers rows with the best blend of a universal string, predictions and known rows.

    Args:
        universal: the string that serves where nothing is known.
        model: a name, a folder or a loaded :class:`~mean_prompt.encoder.encoder.Encoder`.
        corpus: prompts that stand for the hidden ones, as a further part of the posterior.
        prefixes, suffixes: strings that are tried before and after predictions, beside the
            universal one: universal affixes.
        max_tokens: of an answer; hard.
        trials: settings that a fit tries.
        seed: of every random choice.
        text_keys, all_keys: what rows may be compared by, without and with a prediction;
            cross-validation chooses among several.
        index_folder: where the index is kept between runs; nowhere when left out.
        progress: called with what is encoded, strings done and all strings.
        trust: whether a model that is named may run code of its own.

    Attributes:
        outcome_: what the fit decided.
        text_, llm_: the fitted blends; ``llm_`` is ``None`` where too few known rows had a
            prediction.
        notes_: what a user should know of the fit, a line each.
        index_rebuilt_: why the index was built anew; ``None`` where it was kept.

    Raises:
        InputError: the universal string cannot be an answer.
    """

    def __init__(  # noqa: PLR0913 - an estimator's settings, by keyword
        self,
        universal: str,
        *,
        model: str | Encoder | None = None,
        corpus: Corpus | None = None,
        prefixes: Sequence[str] = (),
        suffixes: Sequence[str] = (),
        max_tokens: int = MAX_TOKENS,
        trials: int = TRIALS,
        seed: int = 0,
        text_keys: Sequence[Key] = TEXT_KEYS,
        all_keys: Sequence[Key] = PREDICTION_KEYS,
        index_folder: Path | None = None,
        progress: Progress | None = None,
        trust: bool = False,
    ) -> None:
        if model is None or isinstance(model, str):
            model = load_encoder(model, trust=trust)
        self.encoder = model
        self.workshop = BlendContext(
            Space(self.encoder, progress=progress),
            universal,
            prefixes=tuple(prefixes),
            suffixes=tuple(suffixes),
            corpus=corpus,
            max_tokens=max_tokens,
            trials=trials,
            seed=seed,
        )
        self._keys = (tuple(text_keys), tuple(all_keys))
        self._index_folder = index_folder
        self.index_rebuilt_: str | None = None
        self._check_universal()

    def fit(
        self,
        triples: Triples,
        predictions: Predictions | None = None,
        *,
        outcome: FitOutcome | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Learn from known rows: keys, the mixture, and how far predictions are to be trusted.

        Args:
            triples: known rows, of at least two prompts.
            predictions: of an LLM for each of them, cleaned; empty where a row has none.
            outcome: of an earlier fit of the same data, to skip choosing and tuning.
            clock: ends tuning early where it runs out.

        Raises:
            InputError: there are fewer than two different prompts.
            ValueError: there are not as many predictions as rows.
            OutOfTimeError: the clock ran out before there was anything to predict with.
        """
        workshop = self.workshop
        known = EmbeddedRows.embed(triples.rows, predictions, workshop.space, clock)
        targets = workshop.space.exact(triples.prompts, "prompts", clock)
        learner = BlendFitter(workshop, triples, known, targets, clock=clock)
        kept = (outcome.text_key, outcome.text) if outcome else None
        text = learner.learn(self._keys[0], kept)
        llm = self._learn_llm(triples, known, targets, text.key, outcome, clock)
        self._open(triples, known, targets, (text.key, llm.key if llm else None), clock)
        self.text_, self.llm_ = text.blend, llm.blend if llm else None
        self.outcome_ = FitOutcome(
            text_key=text.key,
            text=text.blend.settings,
            all_key=llm.key if llm else None,
            llm=llm.blend.settings if llm else None,
        )
        self.notes_ = self._notes(triples, known, text, llm)
        return self

    def _learn_llm(
        self,
        triples: Triples,
        known: EmbeddedRows,
        targets: Vectors,
        text_key: Key,
        outcome: FitOutcome | None,
        clock: Clock | None,
    ) -> FittedKey | None:
        """Fit the blend with predictions, where enough known rows have one."""
        rows = known.with_prediction()
        if len(rows) < LEAST_PREDICTED or len(np.unique(triples.groups()[rows])) < 2:
            return None
        kept = None
        if outcome is not None and outcome.all_key is not None and outcome.llm is not None:
            kept = (outcome.all_key, outcome.llm)
        learner = BlendFitter(
            self.workshop,
            triples.take(rows),
            known.take(rows),
            targets[rows],
            clock=clock,
            text_key=text_key,
        )
        return learner.learn(self._keys[1], kept)

    def predict(
        self,
        rows: Rows,
        predictions: Predictions | None = None,
        *,
        clock: Clock | None = None,
    ) -> list[Answer]:
        """Answer rows.

        A row without a prediction is answered by the index alone. Where predictions could not be
        weighed, because too few known rows had one, a row's first prediction is its answer.

        Args:
            rows: what to answer.
            predictions: of an LLM for each of them, cleaned; empty where a row has none.
            clock: is asked while strings are encoded.

        Raises:
            ValueError: there are not as many predictions as rows.
            OutOfTimeError: the clock ran out.
        """
        answers: list[Answer] = []
        given = one_for_each(rows, predictions)
        for start in range(0, len(rows), _BATCH):
            part = range(start, min(start + _BATCH, len(rows)))
            answers += self._answer(rows.take(part), [given[row] for row in part], clock)
        return answers

    def first_predictions(self, rows: Rows, predictions: Predictions) -> list[Answer]:
        """Answer rows with their first predictions as they are; no fit is needed."""
        return [
            replace(self._first_prediction(name, texts), prediction=next(iter(texts), None))
            for name, texts in zip(rows.ids, predictions, strict=True)
        ]

    def nearest(self, rows: Rows, *, clock: Clock | None = None) -> list[str]:
        """Return the known prompt nearest to where each row's texts point; no prediction counts.

        The universal string where no neighbour is found.
        """
        embedded = EmbeddedRows.embed(rows, None, self.workshop.space, clock)
        return self._stages[False].nearest(embedded)

    def pools(
        self, rows: Rows, predictions: Predictions | None = None, *, clock: Clock | None = None
    ) -> list[list[str]]:
        """Return the strings that each row's answer is chosen from, rules aside."""
        embedded = EmbeddedRows.embed(rows, predictions, self.workshop.space, clock)
        return [
            [self.workshop.universal, *texts]
            if scene is None
            else [candidate.text for candidate in scene.candidates]
            for scene, texts in zip(
                self._scenes(embedded, clock), embedded.predictions, strict=True
            )
        ]

    def _answer(self, rows: Rows, predictions: Predictions, clock: Clock | None) -> list[Answer]:
        rules = {row: rule for row in range(len(rows)) if (rule := _rule_of(rows, row))}
        open_rows = [row for row in range(len(rows)) if row not in rules]
        embedded = EmbeddedRows.embed(
            rows.take(open_rows),
            [predictions[row] for row in open_rows],
            self.workshop.space,
            clock,
        )
        answers = {row: self._universal_answer(rows.ids[row], rule) for row, rule in rules.items()}
        scenes = self._scenes(embedded, clock)
        for row, scene, texts in zip(open_rows, scenes, embedded.predictions, strict=True):
            name = rows.ids[row]
            answers[row] = (
                self._first_prediction(name, texts) if scene is None else self._decide(name, scene)
            )
        return [
            replace(answers[row], prediction=next(iter(predictions[row]), None))
            for row in range(len(rows))
        ]

    def _scenes(self, rows: EmbeddedRows, clock: Clock | None) -> list[RowCandidates | None]:
        """Return each row's scene, or ``None`` where its prediction cannot be weighed."""
        scenes: list[RowCandidates | None] = [None] * len(rows)
        predicted = rows.with_prediction()
        plain = np.setdiff1d(np.arange(len(rows)), predicted)
        for numbers, blend, stage in (
            (plain, self.text_, self._stages[False]),
            (predicted, self.llm_, self._stages.get(True)),
        ):
            if blend is not None and stage is not None:
                found = stage.scenes(rows.take(numbers), blend.settings.choice, clock)
                for number, scene in zip(numbers, found, strict=True):
                    scenes[number] = scene
        return scenes

    def _decide(self, name: str, scene: RowCandidates) -> Answer:
        with_llm = scene.llm is not None
        if not with_llm and bool((scene.by_text.numbers < 0).all()):
            return self._universal_answer(name, "no neighbours")
        blend = self.llm_ if with_llm and self.llm_ else self.text_
        choice = blend.choose(scene)
        chosen = scene.candidates[choice.number]
        return Answer(
            name,
            chosen.text,
            chosen.kind,
            choice.expected,
            choice.trust,
            "blend",
            len(scene.candidates),
            with_llm,
            choice.universal,
        )

    def _universal_answer(self, name: str, rule: Rule) -> Answer:
        return Answer(
            name, self.workshop.universal, "universal", None, None, rule, 1, with_llm=False
        )

    def _first_prediction(self, name: str, texts: Sequence[str]) -> Answer:
        """Answer with the first prediction that can be an answer, else the universal string."""
        counts, limit = self.workshop.space.tokens(texts), self.workshop.max_tokens
        for text, count in zip(texts, counts, strict=True):
            if count <= limit and text.strip() and not is_null_to_pandas(text):
                return Answer(name, text, "prediction", None, None, "blend", 1, with_llm=True)
        text = self.workshop.universal
        return Answer(name, text, "universal", None, None, "blend", 1, with_llm=True)

    def _check_universal(self) -> None:
        text, limit = self.workshop.universal, self.workshop.max_tokens
        if not text.strip() or is_null_to_pandas(text):
            raise InputError(
                f"--prompt must be a string that can be an answer: {text!r} is read back as none"
            )
        [count] = self.workshop.space.tokens([text])
        if count > limit:
            raise InputError(
                f"--prompt must have at most --max-tokens {limit}: found {count} tokens; raise "
                "the limit, or give a shorter one"
            )

    def _open(
        self,
        triples: Triples,
        known: EmbeddedRows,
        targets: Vectors,
        keys: tuple[Key, Key | None],
        clock: Clock | None,
    ) -> None:
        """Set the stages up that test rows are set on, without and with a prediction."""
        text_key, all_key = keys
        self._bank = Bank.of(triples, targets)
        index = self._index(text_key, triples, known)
        by_text = Retriever(text_key, known.vectors, self._bank, index=index)
        self._stages = {False: self.workshop.stage(by_text, None, clock)}
        if all_key is not None:
            rows = known.with_prediction()
            bank = Bank.of(triples.take(rows), targets[rows])
            by_all = Retriever(all_key, known.take(rows).vectors, bank)
            self._stages[True] = self.workshop.stage(by_text, by_all, clock)

    def _index(self, key: Key, triples: Triples, known: EmbeddedRows) -> VectorIndex | None:
        if self._index_folder is None:
            return None
        vectors = indexed_vectors(key, known.vectors, self._bank)
        manifest = Manifest.of(
            vectors,
            model=f"{self.encoder.identity.key}, texts in {self.encoder.screening.dtype}",
            data=triples.content_hash,
            key=str(key),
        )
        index, self.index_rebuilt_ = VectorIndex.open_or_build(
            self._index_folder, manifest, lambda: vectors
        )
        return index

    def _notes(
        self, triples: Triples, known: EmbeddedRows, text: FittedKey, llm: FittedKey | None
    ) -> tuple[str, ...]:
        texts = [*triples.rows.originals, *triples.rows.rewritten]
        cut = self.workshop.space.cut(texts)
        notes = [f"{len(triples):,} known rows of {len(self._bank.prompts):,} prompts"]
        if cut:
            notes.append(f"{cut:,} of {len(texts):,} texts are longer than the model reads: cut")
        notes.append(f"without a prediction: {text.note()}")
        if llm is not None:
            count = len(known.with_prediction())
            notes.append(f"with a prediction ({count:,} known rows have one): {llm.note()}")
        return tuple(notes)


def _rule_of(rows: Rows, row: int) -> Rule | None:
    """Return the rule by which a row has the universal string, or ``None`` to blend."""
    rewritten = rows.rewritten[row].strip()
    if not rewritten:
        return "blank"
    if rewritten == rows.originals[row].strip():
        return "unchanged"
    return None
