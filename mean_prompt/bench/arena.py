"""Where methods meet: one corpus, model, vocabulary and set of starts, prepared once for all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from mean_prompt.bench.method import Method, SearchTask
from mean_prompt.bench.report import MethodRun, TracePoint
from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder
from mean_prompt.objective import Vectors
from mean_prompt.optimize import (
    Budget,
    Candidate,
    Evaluator,
    Problem,
    Rules,
    Vocabulary,
    corpus_starts,
)
from mean_prompt.runs import Recipe
from mean_prompt.system import RunError

#: Called with the run's seconds and its best string so far, at every step of a method.
Watch = Callable[[float, Candidate], None]
#: Called with a phase of the preparation, items done and all items.
Tell = Callable[[str, int, int], None]


class Arena:
    """Runs methods on one problem, each on a clock of its own.

    Args:
        corpus: the prompts.
        encoder: the model.
        recipe: of constraints, hold-out and the split's seed.
        tell: hears how far the preparation is.

    Attributes:
        problem: the corpus in the model's space, split.
        preparation: seconds of each part of what was done here, once for all runs.
    """

    def __init__(self, corpus: Corpus, encoder: Encoder, recipe: Recipe, tell: Tell) -> None:
        self.preparation: dict[str, float] = {}
        self._encoder = encoder
        with self._timed("corpus"):
            self.problem = Problem.build(
                corpus,
                encoder,
                holdout=recipe.corpus.holdout,
                seed=recipe.search.seed,
                listener=lambda event: tell("corpus", event.done, event.total or 0),
            )
        with self._timed("vocabulary"):
            self._rules = Rules(recipe.constraints, encoder)
            self._material = Vocabulary.gather(
                self.problem.train_prompts,
                encoder,
                self._rules,
                listener=lambda event: tell("vocabulary", event.done, event.total or 0),
            )
        with self._timed("starts"):
            evaluator = self._evaluator(Budget(max_evaluations=1))
            self._starts = corpus_starts(*self.problem.likely_starts(), evaluator)

    def run(self, method: Method, seed: int, seconds: float, watch: Watch) -> MethodRun:
        """Run a method once, its clock beginning now, and score what it yielded afterwards."""
        budget = Budget(seconds)
        task = SearchTask(
            evaluator=self._evaluator(budget),
            starts=self._starts,
            material=self._material,
            ceiling=self.problem.train_ceiling,
            seed=seed,
        )
        marks: list[tuple[float, int, Candidate]] = []
        for best in method.search(task):
            if not marks or best.score > marks[-1][2].score:
                marks.append((budget.elapsed, budget.evaluations, best))
            watch(budget.elapsed, best)
        if not marks:
            raise RunError(f"a method must yield at least one string: {method.name} yielded none")
        return self._judge(method.name, seed, marks, budget.elapsed, budget.evaluations)

    def _judge(
        self,
        name: str,
        seed: int,
        marks: Sequence[tuple[float, int, Candidate]],
        seconds: float,
        evaluations: int,
    ) -> MethodRun:
        best = marks[-1][2]
        # The answer is scored from its text, whatever the method said of it.
        [ids] = self._encoder.tokenize([best.text])
        if reason := self._rules.violation(best.text, ids):
            raise RunError(f"a method must obey the rules: {name} yielded {best.text!r}: {reason}")
        vectors = np.stack([row.vector for _, _, row in marks])
        vectors[-1] = self._encoder.encode_ids([ids])[0]
        trace = self._trace(marks, vectors)
        last = trace[-1]
        return MethodRun(
            method=name,
            seed=seed,
            string=best.text,
            tokens=len(ids),
            score=last.fraction * self.problem.ceiling.value,
            fraction=last.fraction,
            train_score=last.train_score,
            holdout_score=last.holdout_score,
            evaluations=evaluations,
            evaluations_per_second=evaluations / max(seconds, 1e-9),
            seconds=seconds,
            trace=trace,
        )

    def _trace(
        self, marks: Sequence[tuple[float, int, Candidate]], vectors: Vectors
    ) -> tuple[TracePoint, ...]:
        problem = self.problem
        scores = problem.everything.score(vectors)
        return tuple(
            TracePoint(
                seconds=seconds,
                evaluations=evaluations,
                fraction=float(score) / problem.ceiling.value,
                train_score=float(train),
                holdout_score=problem.holdout_score(vector),
            )
            for (seconds, evaluations, _), vector, score, train in zip(
                marks, vectors, scores, problem.train.score(vectors), strict=True
            )
        )

    def _evaluator(self, budget: Budget) -> Evaluator:
        return Evaluator(self._encoder, self.problem.screening, self._rules, budget)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.preparation[part] = time.monotonic() - began
