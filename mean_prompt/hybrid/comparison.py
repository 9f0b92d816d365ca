"""An evaluation from files: read, ask the LLM, compare."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mean_prompt.corpus import Corpus, Triples, read_triples
from mean_prompt.encoder import load_encoder
from mean_prompt.hybrid.asking import Examples
from mean_prompt.hybrid.evaluation import Evaluation, Texts, evaluate, swapped
from mean_prompt.hybrid.predictor import MAX_TOKENS, TRIALS, HybridPredictor
from mean_prompt.hybrid.request import universal_string
from mean_prompt.hybrid.space import Progress, Space
from mean_prompt.llm import LLMOptions, Predictor, RecordedPredictor, make_predictor
from mean_prompt.system import Clock, InputError


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be compared; fields as those of :class:`~mean_prompt.hybrid.request.Request`.

    Attributes:
        triples: file of known rows.
        swap: share of the rows whose predictions are handed round among each other.
    """

    triples: Path
    prompt: str
    llm: str = field(default="none", repr=False)  # it may hold a password
    llm_options: LLMOptions = field(default_factory=LLMOptions)
    shots: int = 3
    swap: float = 0.0
    model: str | None = None
    trust: bool = False
    corpus: tuple[str, ...] = ()
    prefix: str | None = None
    suffix: str | None = None
    max_tokens: int = MAX_TOKENS
    trials: int = TRIALS
    seed: int = 0


def compare(plan: Comparison, *, listener: Progress | None = None) -> Evaluation:
    """Evaluate as planned.

    Raises:
        InputError: something given cannot be used.
    """
    file = read_triples(plan.triples)
    triples = file.triples
    universal = universal_string(plan.prompt)
    llm = make_predictor(plan.llm, test=plan.triples, options=plan.llm_options, trust=plan.trust)
    if llm is None and plan.swap:
        raise InputError("--swap must have predictions to swap: there are none with --llm none")
    corpus = Corpus.from_files(*plan.corpus) if plan.corpus else None
    prefixes = [universal_string(plan.prefix, "--prefix")] if plan.prefix else []
    suffixes = [universal_string(plan.suffix, "--suffix")] if plan.suffix else []
    encoder = load_encoder(plan.model, trust=plan.trust)

    def make() -> HybridPredictor:
        return HybridPredictor(
            universal,
            model=encoder,
            corpus=corpus,
            prefixes=prefixes,
            suffixes=suffixes,
            max_tokens=plan.max_tokens,
            trials=plan.trials,
            seed=plan.seed,
            progress=listener,
        )

    predictions = raw = None
    if llm is not None:
        predictions, raw = _ask(llm, triples, plan, make().workshop.space, listener)
        if plan.swap:
            predictions = swapped(predictions, plan.swap, seed=plan.seed)
            raw = swapped(raw, plan.swap, seed=plan.seed)
    found = evaluate(triples, make, predictions, raw, seed=plan.seed)
    notes = (*file.notes, *(llm.notes() if llm else []), *found.notes)
    return replace(found, notes=notes)


def _ask(
    llm: Predictor, triples: Triples, plan: Comparison, space: Space, listener: Progress | None
) -> tuple[Texts, Texts]:
    """Return the predictions of every known row, cleaned and as they were written.

    The examples that an LLM is shown are of other prompts than the row's own.
    """
    shown = None
    if plan.shots and not isinstance(llm, RecordedPredictor):
        examples = Examples(triples, space, plan.shots, Clock())
        shown = examples.of(triples.rows, np.asarray(triples.groups()))
    texts: list[tuple[str, ...]] = [()] * len(triples)
    raw: list[tuple[str, ...]] = [()] * len(triples)
    for done, one in enumerate(llm.predict(triples.rows, shown), 1):
        texts[one.row], raw[one.row] = one.texts, one.raw
        if listener:
            listener("rows asked about", done, len(triples))
    return texts, raw
