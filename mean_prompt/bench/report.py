"""The results of ``bench methods``: each run with its improvements, and a summary by method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from mean_prompt.bench.method import OWN
from mean_prompt.bench.setup import Frozen, Machine


class TracePoint(Frozen):
    """Time and scores of a search method's run at the moment when its best string improved.

    Attributes:
        seconds: time from the run's start until the method yielded the string.
        fraction: the string's score over all prompts, as a share of the ceiling.
        holdout_score: the string's score over the prompts that the method did not see, if any.
    """

    seconds: float
    evaluations: int
    fraction: float
    train_score: float
    holdout_score: float | None


class MethodRun(Frozen):
    """The result of one run of a search method: its best string, scores, cost and improvements.

    Attributes:
        tokens: length of the best string, without special tokens.
        score: the string's score over all prompts; ``fraction`` is its share of the ceiling.
        seconds: the run's time, without the preparation.
        trace: one point for each improvement of the best string.
    """

    method: str
    seed: int
    string: str
    tokens: int
    score: float
    fraction: float
    train_score: float
    holdout_score: float | None
    evaluations: int
    evaluations_per_second: float
    seconds: float
    trace: tuple[TracePoint, ...]

    def seconds_to(self, fraction: float) -> float:
        """Return the seconds until the run's score reached a share of the ceiling, or infinity."""
        return next((at.seconds for at in self.trace if at.fraction >= fraction), math.inf)


class MethodSummary(Frozen):
    """Statistics of one search method over its runs (one per seed); peers are published methods.

    Attributes:
        median: median of the runs' final scores over all prompts, as shares of the ceiling.
        ratio: ``median`` divided by the best peer's; ``None`` without a peer.
        seconds_to_peer: median time to reach the best peer's final median; ``None`` if half of
            the runs never did, or without a peer.
        holdout_ratio: median of the hold-out score divided by the training score; ``None``
            without a hold-out.
    """

    method: str
    runs: int
    median: float
    low: float
    high: float
    ratio: float | None
    seconds_to_peer: float | None
    holdout_ratio: float | None
    evaluations_per_second: float


class MethodsSetup(Frozen):
    """The setup that all runs of a comparison of methods share: machine, corpus, model, budget.

    Attributes:
        train: number of prompts that the methods saw.
        budget: seconds of each run.
        ceiling: highest expected SCS over all prompts that any unit vector reaches.
        preparation: seconds of each step that was done once, before any method's time began.
    """

    machine: Machine
    corpus: tuple[str, ...]
    corpus_hash: str
    prompts: int
    train: int
    model: str
    model_hash: str
    screening: str
    budget: float
    max_tokens: int
    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    ceiling: float
    preparation: dict[str, float]


class MethodsReport(Frozen):
    """The results of a comparison of search methods; ``complete`` if no planned run is missing."""

    setup: MethodsSetup
    complete: bool
    runs: tuple[MethodRun, ...]
    summaries: tuple[MethodSummary, ...]

    @classmethod
    def of(cls, setup: MethodsSetup, runs: Sequence[MethodRun]) -> MethodsReport:
        """Return the report of some runs, with a summary of each method, the best method first."""
        return cls(
            setup=setup,
            complete=len(runs) == len(setup.methods) * len(setup.seeds),
            runs=tuple(runs),
            summaries=tuple(summarize(runs)),
        )


def summarize(runs: Sequence[MethodRun]) -> list[MethodSummary]:
    """Return statistics of each search method over its runs, the highest median score first."""
    by_method: dict[str, list[MethodRun]] = {}
    for run in runs:
        by_method.setdefault(run.method, []).append(run)
    medians = {name: median(run.fraction for run in rows) for name, rows in by_method.items()}
    best_peer = max((value for name, value in medians.items() if name != OWN), default=None)
    rows = [_summary(name, rows, best_peer) for name, rows in by_method.items()]
    return sorted(rows, key=lambda row: -row.median)


def _summary(name: str, runs: Sequence[MethodRun], best_peer: float | None) -> MethodSummary:
    fractions = [run.fraction for run in runs]
    middle = median(fractions)
    times = [math.inf if best_peer is None else run.seconds_to(best_peer) for run in runs]
    ratios = [
        run.holdout_score / run.train_score
        for run in runs
        if run.holdout_score is not None and run.train_score
    ]
    reached = median(times)
    return MethodSummary(
        method=name,
        runs=len(runs),
        median=middle,
        low=min(fractions),
        high=max(fractions),
        ratio=middle / best_peer if best_peer else None,
        seconds_to_peer=reached if math.isfinite(reached) else None,
        holdout_ratio=median(ratios) if ratios else None,
        evaluations_per_second=median(run.evaluations_per_second for run in runs),
    )
