"""One search from end to end: corpus -> encoder -> objective -> study -> run -> report."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict
from typing import Any

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder
from mean_prompt.optimize import Budget, Problem, ResultBoard, Rules, score_baselines
from mean_prompt.runs.climbing import StudySession
from mean_prompt.runs.files import STUDY
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.identity import model_notes, run_details, run_identity
from mean_prompt.runs.progress import Listener, Tracker
from mean_prompt.runs.recipe import Recipe
from mean_prompt.runs.result import SearchResult
from mean_prompt.runs.resume import Resumer
from mean_prompt.runs.study_file import StudyFile
from mean_prompt.runs.telling import ProgressReporter


class Search:
    """One search, ready to run, or to go on where another process left it.

    Args:
        corpus: the prompts.
        encoder: the model.
        recipe: what to do; its corpus and model sections are only recorded here.
        budget: the run's clock, started when the user started waiting.
        out: the run's folder, or ``None`` to keep nothing on disk.
        listener: hears of progress.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoder: Encoder,
        recipe: Recipe,
        budget: Budget,
        *,
        out: RunFolder | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._corpus = corpus
        self._encoder = encoder
        self._recipe = recipe
        self._budget = budget
        self._out = out
        self._listen = listener or (lambda _: None)
        self._rules = Rules(recipe.constraints, encoder)

    def run(self) -> tuple[SearchResult, Problem]:
        """Search until the budget is spent or stopped.

        Returns:
            What was found, and the problem that was searched on, to analyse it in.

        Raises:
            InputError: the run in the folder was begun with another corpus or model.
            RunError: the budget ended before there was anything to search with, or no prompt of
                the corpus can be brought under the constraints.
        """
        tell = ProgressReporter(self._listen, self._budget, len(self._corpus))
        tell.notes(*self._corpus.cleaning(), *model_notes(self._encoder))
        identity = run_identity(self._encoder, self._recipe, self._corpus.content_hash)
        memory = Resumer(self._out.snapshots if self._out else None, self._budget, identity)
        if self._out:
            self._out.write_recipe(self._recipe)
        if memory.state is not None:
            tell.notes(*memory.notes())
            memory.log(self._out)
        problem = self._problem(tell)
        tracker = Tracker(self._budget, problem, self._listen, self._out)
        climbing = StudySession(
            problem, self._recipe, self._rules, self._encoder, self._budget, memory, tracker, tell
        )
        with self._exchange() as exchange:
            for _ in climbing.run(climbing.study(exchange)):
                pass
        result = close_search(
            problem, tracker, self._corpus, self._encoder, self._recipe, self._budget, self._out
        )
        return result, problem

    def _exchange(self) -> AbstractContextManager[ResultBoard | None]:
        if self._out is None:
            return nullcontext()
        return closing(StudyFile(self._out.file(STUDY), self._recipe.study))

    def _problem(self, tell: ProgressReporter) -> Problem:
        with tell.embedding() as listener:
            problem = Problem.build(
                self._corpus,
                self._encoder,
                holdout=self._recipe.corpus.holdout,
                seed=self._recipe.search.seed,
                listener=listener,
                deadline=self._budget.deadline,
            )
        if problem.compression:
            tell.notes(problem.compression.note())
        return problem


def close_search(
    problem: Problem,
    tracker: Tracker,
    corpus: Corpus,
    encoder: Encoder,
    recipe: Recipe,
    budget: Budget,
    out: RunFolder | None,
    **more: object,
) -> SearchResult:
    """Score what a tracker holds over everything, and write the result down.

    Args:
        problem: what was searched on.
        tracker: holds the best string.
        corpus: the prompts.
        encoder: the model.
        recipe: what was asked.
        budget: what was spent.
        out: the run's folder, or ``None``.
        more: of the run, for ``result.json``.
    """
    tracker.settle()
    best = tracker.best
    score = float(problem.everything.score(best.vector[None])[0])
    ceiling = problem.ceiling.value
    result = SearchResult(
        string=best.text,
        tokens=len(best.ids),
        model_tokens=len(best.ids) + encoder.special_token_count,
        score=score,
        train_score=best.score,
        holdout_score=problem.holdout_score(best.vector),
        holdout_interval=problem.holdout_interval(best.vector),
        ceiling=ceiling,
        fraction=score / ceiling,
        baselines=tuple(score_baselines(*problem.finalists(), problem.everything, encoder)),
        evaluations=budget.evaluations,
        seconds=budget.elapsed,
        search_seconds=tracker.search_seconds,
        stopped=budget.stopped,
        out=out.path if out else None,
        details=run_details(encoder, recipe) | _corpus_details(corpus, problem) | more,
    )
    if out:
        out.write_best(result.string)
        out.write_result(result.as_dict())
    return result


def _corpus_details(corpus: Corpus, problem: Problem) -> dict[str, Any]:
    return {
        "corpus": {
            "sources": [asdict(source) for source in corpus.sources],
            "prompts": len(corpus),
            "train": len(problem.split.train),
            "holdout": len(problem.split.holdout),
            "hash": corpus.content_hash,
        },
        "compression": problem.compression.as_dict() if problem.compression else None,
    }
