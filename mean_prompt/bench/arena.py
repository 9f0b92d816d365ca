"""Runs search methods on one shared setup: corpus, model, vocabulary and starting prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from mean_prompt.bench.method import Method, SearchTask
from mean_prompt.bench.report import MethodRun, TracePoint
from mean_prompt.corpus import Corpus
from mean_prompt.optimize import Budget, Candidate, Evaluator, Rules, Vocabulary, corpus_starts
from mean_prompt.runs import SearchInputs, build_problem
from mean_prompt.system import RunError

#: A callback for every step of a method, with the run's seconds so far and its best string.
Watch = Callable[[float, Candidate], None]


class Arena:
    """Runs search methods on one problem that is prepared once; each run has its own budget.

    Attributes:
        preparation: seconds of each part of the preparation, not counted in any run's time.
    """

    def __init__(self, inputs: SearchInputs[Corpus]) -> None:
        self.preparation: dict[str, float] = {}
        self._encoder = encoder = inputs.encoder
        self._rules = Rules(inputs.recipe.constraints, encoder)
        with self._timed("corpus"):
            self.problem = build_problem(inputs)
        with self._timed("vocabulary"), inputs.reporter.embedding() as listener:
            prompts = self.problem.train_prompts
            self._vocabulary = Vocabulary.gather(prompts, encoder, self._rules, listener=listener)
        with self._timed("starts"):
            evaluator = self._evaluator(Budget(max_evaluations=1))
            self._starts = corpus_starts(*self.problem.likely_starts(), evaluator)

    def task(self, budget: Budget, seed: int) -> SearchTask:
        """Return the inputs of one search: scoring, starting prompts, vocabulary, ceiling, seed."""
        return SearchTask(
            evaluator=self._evaluator(budget),
            starts=self._starts,
            vocabulary=self._vocabulary,
            ceiling=self.problem.train_ceiling,
            seed=seed,
        )

    def run(self, method: Method, seed: int, seconds: float, watch: Watch) -> MethodRun:
        """Run a search method once for a number of seconds, then score the strings it yielded.

        Raises:
            RunError: the method yielded nothing, or a string that breaks the rules.
        """
        budget = Budget(seconds)
        marks: list[tuple[float, int, Candidate]] = []
        for best in method.search(self.task(budget, seed)):
            if not marks or best.score > marks[-1][2].score:
                marks.append((budget.elapsed, budget.evaluations, best))
            watch(budget.elapsed, best)
        if not marks:
            raise RunError(f"a method must yield at least one string: {method.name} yielded none")
        return self._judged(method.name, seed, marks, budget)

    def _judged(
        self, name: str, seed: int, marks: Sequence[tuple[float, int, Candidate]], budget: Budget
    ) -> MethodRun:
        elapsed, text = budget.elapsed, marks[-1][2].text
        # The answer is scored from its text, not from the vector that the method gave with it.
        [ids] = self._encoder.tokenize([text])
        if reason := self._rules.violation(text, ids):
            raise RunError(f"a method must obey the rules: {name} yielded {text!r}: {reason}")
        vectors = np.stack([best.vector for _, _, best in marks])
        vectors[-1] = self._encoder.encode_ids([ids])[0]
        problem = self.problem
        trace = tuple(
            TracePoint(
                seconds=seconds,
                evaluations=evaluations,
                fraction=float(score) / problem.ceiling.value,
                train_score=float(train),
                holdout_score=problem.holdout_score(vector),
            )
            for (seconds, evaluations, _), vector, score, train in zip(
                marks,
                vectors,
                problem.everything.score(vectors),
                problem.train.score(vectors),
                strict=True,
            )
        )
        return MethodRun(
            method=name,
            seed=seed,
            string=text,
            tokens=len(ids),
            score=trace[-1].fraction * problem.ceiling.value,
            fraction=trace[-1].fraction,
            train_score=trace[-1].train_score,
            holdout_score=trace[-1].holdout_score,
            evaluations=budget.evaluations,
            evaluations_per_second=budget.evaluations / max(elapsed, 1e-9),
            seconds=elapsed,
            trace=trace,
        )

    def _evaluator(self, budget: Budget) -> Evaluator:
        return Evaluator(self._encoder, self.problem.screening, self._rules, budget)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.preparation[part] = time.monotonic() - began
