"""One search from end to end: corpus -> encoder -> objective -> study -> run folder -> result."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final, Literal

from mean_prompt.constraints import Rules
from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder
from mean_prompt.errors import RunError
from mean_prompt.optimize.baselines import Baseline, baselines
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.material import Material
from mean_prompt.optimize.starts import corpus_starts
from mean_prompt.optimize.study import ClimbStudy
from mean_prompt.problem import Problem
from mean_prompt.recipe import Recipe
from mean_prompt.result import SearchResult
from mean_prompt.run import STUDY, RunFolder
from mean_prompt.tracker import Listener, Progress, Tracker
from mean_prompt.workers.store import StudyFile

_PACKAGES: Final = ("torch", "sentence-transformers", "transformers", "optuna", "numpy")


class Search:
    """One search, ready to run.

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

    def run(self) -> SearchResult:
        """Search until the budget is spent or stopped, and return what was found.

        Raises:
            RunError: the budget ended before there was anything to search with, or no prompt of
                the corpus can be brought under the constraints.
        """
        self._tell_loaded(*self._corpus.cleaning(), *model_notes(self._encoder))
        problem = Problem.build(
            self._corpus,
            self._encoder,
            self._recipe,
            phase_progress("embedding", "prompts", self._budget, self._listen),
        )
        if self._out:
            self._out.write_recipe(self._recipe)
        if problem.compression:
            self._tell_loaded(problem.compression.note())
        evaluator = Evaluator(self._encoder, problem.screening, self._rules, self._budget)
        starts = corpus_starts(*problem.likely_starts(), evaluator)
        tracker = Tracker(self._budget, problem, self._listen, self._out)
        tracker.improve(starts[0], trial=0, move="start")
        self._search(evaluator, problem, starts, tracker)
        return self._close(problem, tracker)

    def _search(
        self, evaluator: Evaluator, problem: Problem, starts: list[Candidate], tracker: Tracker
    ) -> None:
        material = Material.gather(
            problem.train_prompts,
            self._encoder,
            self._rules,
            phase_progress("vocabulary", "tokens", self._budget, self._listen),
        )
        if material.notice:
            self._tell_loaded(material.notice)
        seed = self._recipe.search.seed
        study = ClimbStudy(
            self._recipe.study,
            self._recipe.climb,
            starts,
            material,
            evaluator,
            ceiling=problem.train_ceiling,
            rate=evaluator.measure_rate(self._rules.constraints.max_tokens),
            seed=seed,
            exchange=StudyFile(self._out.file(STUDY), self._recipe.study) if self._out else None,
        )
        for moment in study.run():
            tracker.follow(moment)

    def _tell_loaded(self, *notes: str) -> None:
        size, budget = len(self._corpus), self._budget
        self._listen(Progress("loaded", 0, size, budget.elapsed, budget.remaining, notes=notes))

    def _close(self, problem: Problem, tracker: Tracker) -> SearchResult:
        tracker.settle()
        best = tracker.best
        score = float(problem.everything.score(best.vector[None])[0])
        ceiling = problem.ceiling.value
        result = SearchResult(
            string=best.text,
            tokens=len(best.ids),
            model_tokens=len(best.ids) + self._encoder.special_token_count,
            score=score,
            train_score=best.score,
            holdout_score=problem.holdout_score(best.vector),
            holdout_interval=problem.holdout_interval(best.vector),
            ceiling=ceiling,
            fraction=score / ceiling,
            baselines=self._baselines(problem),
            evaluations=self._budget.evaluations,
            seconds=self._budget.elapsed,
            search_seconds=tracker.search_seconds,
            stopped=self._budget.stopped,
            out=self._out.path if self._out else None,
            details=self._details(problem),
        )
        if self._out:
            self._out.write_best(result.string)
            self._out.write_result(result.as_dict())
        return result

    def _baselines(self, problem: Problem) -> tuple[Baseline, ...]:
        return tuple(baselines(*problem.finalists(), problem.everything, self._encoder))

    def _details(self, problem: Problem) -> dict[str, Any]:
        return run_details(self._encoder, self._recipe) | {
            "corpus": {
                "sources": [asdict(source) for source in self._corpus.sources],
                "prompts": len(self._corpus),
                "train": len(problem.split.train),
                "holdout": len(problem.split.holdout),
                "hash": self._corpus.content_hash,
            },
            "compression": problem.compression.as_dict() if problem.compression else None,
        }


def model_notes(encoder: Encoder) -> list[str]:
    """Return what the user should know of the model, a line each."""
    screening = encoder.screening
    notes = [f"{encoder.identity.name} on {encoder.device}, screening in {screening.dtype}"]
    return [*notes, screening.notice] if screening.notice else notes


def run_details(encoder: Encoder, recipe: Recipe) -> dict[str, Any]:
    """Return what ``result.json`` says of model, recipe and versions, whatever was searched."""
    return {
        "seed": recipe.search.seed,
        "model": encoder.identity.as_dict() | {"device": encoder.device},
        "screening": asdict(encoder.screening),
        "recipe_hash": recipe.content_hash,
        "versions": {"mean-prompt": version("mean-prompt"), "python": platform.python_version()}
        | {package: version(package) for package in _PACKAGES},
    }


def phase_progress(
    phase: Literal["embedding", "vocabulary"], what: str, budget: Budget, listen: Listener
) -> Callable[[int, int], None]:
    """Return a callback that reports a phase, and ends the run where the budget is spent.

    Args:
        phase: for displays; ``what`` is embedded in it, for the message.
        what: a plural.
        budget: of the run.
        listen: hears of it.
    """

    def report(done: int, total: int) -> None:
        listen(Progress(phase, done, total, budget.elapsed, budget.remaining))
        if done < total and budget.expired():
            raise RunError(
                f"the budget must outlast the {phase}: it ended at {done:,} of {total:,} "
                f"{what}; run again (these are kept), or give a larger --budget"
            )

    return report
