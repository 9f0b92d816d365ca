"""Fitting a blend on known rows: its key, its settings and its weights."""

from __future__ import annotations

from dataclasses import dataclass

from mean_prompt.hybrid.retrieval import KnownRows, Retriever, choose_key
from mean_prompt.hybrid.samples import Samples
from mean_prompt.hybrid.scenes import BlendContext, SceneBuilder
from mean_prompt.hybrid.settings import PREDICTION_KEYS, TEXT_KEYS, BlendSettings, Key
from mean_prompt.hybrid.tuning import FittedBlend, tune
from mean_prompt.system import Deadline


@dataclass(frozen=True, slots=True, eq=False)
class FittedKey:
    """A blend with its key, and what makes the candidates that it chooses from.

    Attributes:
        key: what rows are compared by.
        blend: settings and weights.
        builder: over all known rows.
        rows: number of the known rows that it was fitted on.
    """

    key: Key
    blend: FittedBlend
    builder: SceneBuilder
    rows: int

    def __str__(self) -> str:
        return f"key {self.key}, cross-validated SCS {self.blend.score:.4f}"


class BlendFitter:
    """Fits a blend without or with predictions.

    Args:
        context: model, universal string and options.
        deadline: ends tuning early.
    """

    def __init__(self, context: BlendContext, deadline: Deadline | None = None) -> None:
        self._context = context
        self._deadline = deadline

    def fit(
        self,
        known: KnownRows,
        *,
        text: FittedKey | None = None,
        kept: tuple[Key, BlendSettings] | None = None,
    ) -> FittedKey:
        """Choose a key and tune the blend.

        Args:
            known: rows to fit on; if predictions are used, each must have one.
            text: the blend without predictions, to fit the one with predictions beside it.
            kept: key and settings of an earlier fit, to skip choosing and tuning.

        Raises:
            InputError: there is only one prompt.
            OutOfTimeError: the deadline expired before tuning.
        """
        context, deadline, options = self._context, self._deadline, self._context.options
        keys = [kept[0]] if kept else PREDICTION_KEYS if text else TEXT_KEYS
        folds = choose_key(keys, known, seed=options.seed, deadline=deadline)
        key = folds[0].retriever.key
        samples = Samples.of(known, folds, context, text.key if text else None, deadline)
        blend = tune(
            samples,
            trials=0 if kept else options.trials,
            seed=options.seed,
            start=kept[1] if kept else None,
            deadline=deadline,
        )
        retriever = Retriever(key, known)
        by_text, by_all = (text.builder.by_text, retriever) if text else (retriever, None)
        builder = context.builder(by_text, by_all, deadline)
        return FittedKey(key, blend, builder, len(known))
