"""One search for an affix from end to end: context -> vectors -> search -> run folder -> result."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from mean_prompt.encoder import Encoder
from mean_prompt.optimize import (
    Affix,
    AffixEvaluator,
    AffixProblem,
    AffixSearch,
    Baseline,
    Budget,
    Caution,
    Context,
    Joiner,
    Rules,
    Scores,
    Tape,
    UnitBank,
    row_scores,
)
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.identity import model_notes, run_details, run_identity
from mean_prompt.runs.progress import Listener, Progress
from mean_prompt.runs.recipe import Recipe
from mean_prompt.runs.result import SearchResult
from mean_prompt.runs.resume import Resumer
from mean_prompt.runs.telling import ProgressReporter
from mean_prompt.system import InputError, State

#: Share of the search's time that scores of the hold-out may take while it runs.
_HOLDOUT_SHARE: Final = 0.03
#: Rows by which the time of the last scores is foretold, and the safety put on it.
_TIMED_ROWS: Final = 32
_TIME_MARGIN: Final = 1.5
#: Share of the run that goes to what the affix's tokens are worth, and its least and most seconds.
_WORTH_SHARE: Final = 0.03
_WORTH_SECONDS: Final = (0.5, 10.0)


class AffixRun:
    """One search for an affix, ready to run.

    Args:
        context: rows with predictions and true prompts.
        encoder: the model.
        recipe: what to do.
        budget: the run's clock, started when the user started waiting.
        out: the run's folder, or ``None`` to keep nothing on disk.
        listener: hears of progress.
    """

    def __init__(
        self,
        context: Context,
        encoder: Encoder,
        recipe: Recipe,
        budget: Budget,
        *,
        out: RunFolder | None = None,
        listener: Listener | None = None,
    ) -> None:
        self._context = context
        self._encoder = encoder
        self._recipe = recipe
        self._budget = budget
        self._out = out
        self._listen = listener or (lambda _: None)
        self._rules = Rules(recipe.constraints, encoder)

    def run(self) -> tuple[SearchResult, AffixProblem, Scores]:
        """Search until the budget is spent or stopped.

        Returns:
            What was found, the problem that was searched on, and the SCS of its rows with the
            affix, to analyse it by.

        The string of the result is empty where no affix is better than none.

        Raises:
            InputError: the recipe does not fit the model or the rows.
            RunError: the budget ended before there was anything to search with.
        """
        tell = ProgressReporter(self._listen, self._budget, len(self._context))
        tell.notes(*self._context.notes, *model_notes(self._encoder))
        identity = run_identity(self._encoder, self._recipe, self._context.content_hash)
        memory = Resumer(self._out.snapshots if self._out else None, self._budget, identity)
        if self._out:
            self._out.write_recipe(self._recipe)
        with tell.embedding() as listener:
            problem = AffixProblem.build(
                self._context,
                self._encoder,
                _joiner(self._encoder, self._recipe),
                holdout=self._recipe.corpus.holdout,
                seed=self._recipe.search.seed,
                listener=listener,
                deadline=self._budget.deadline,
            )
            bank = UnitBank.gather(
                problem.train_prompts(),
                self._encoder,
                self._rules,
                listener=listener,
                deadline=self._budget.deadline,
            )
        tracker = _Tracker(problem, self._encoder, self._budget, self._listen, self._out)
        if memory.state is not None:
            tell.notes(*memory.notes())
        self._search(problem, bank, tracker, memory, tell)
        scores = tracker.scores()
        return self._close(problem, tracker, scores), problem, scores

    def _search(
        self,
        problem: AffixProblem,
        bank: UnitBank,
        tracker: _Tracker,
        memory: Resumer,
        tell: ProgressReporter,
    ) -> None:
        evaluator = self._evaluator(problem, memory.tape)
        kept = memory.state
        if kept is None:
            empty = evaluator.empty(problem.predictions[problem.split.train])
            tracker.begin(empty)
        else:
            empty = Affix.of_state(kept["empty"])
            memory.log(self._out)
        seed = self._recipe.search.seed
        search = AffixSearch(evaluator, bank, empty, self._recipe.affix, seed=seed)

        def state() -> State:
            return {
                "empty": empty.state(),
                "search": search.state(),
                "tracker": tracker.state(),
            }

        def restore(kept: State) -> None:
            search.restore(kept["search"])
            tracker.restore(kept["tracker"], search.best, since=memory.since)

        for moment in memory.going_on(search.run, state, restore, tell):
            tracker.follow(moment.best, moment.number, moment.move)

    def _evaluator(self, problem: AffixProblem, tape: Tape) -> AffixEvaluator:
        train, settings = problem.split.train, self._recipe.affix
        return AffixEvaluator(
            self._encoder,
            self._rules,
            problem.joiner,
            problem.texts(train),
            problem.truths[train],
            Caution(problem.groups[train], settings.caution, settings.likeness),
            self._budget,
            tape=tape,
        )

    def _close(self, problem: AffixProblem, tracker: _Tracker, scores: Scores) -> SearchResult:
        best = tracker.best
        compared = problem.compare(scores)
        score = compared.everything.affixed
        held = compared.holdout
        result = SearchResult(
            string=best.text,
            tokens=best.tokens,
            model_tokens=best.tokens + self._encoder.special_token_count,
            score=score,
            train_score=compared.train.affixed,
            holdout_score=held.affixed if held else None,
            holdout_interval=problem.holdout_interval(scores),
            ceiling=problem.ceiling,
            fraction=score / problem.ceiling,
            baselines=(Baseline("no affix", "", compared.everything.without),),
            evaluations=self._budget.evaluations,
            seconds=self._budget.elapsed,
            search_seconds=tracker.search_seconds,
            stopped=self._budget.stopped,
            out=self._out.path if self._out else None,
            context=compared,
            details=self._details(problem),
        )
        if self._out:
            self._out.write_best(result.string)
            self._out.write_result(result.as_dict())
        return result

    def _details(self, problem: AffixProblem) -> dict[str, object]:
        corpus = {
            "sources": [self._context.source],
            "rows": len(self._context),
            "train": len(problem.split.train),
            "holdout": len(problem.split.holdout),
            "hash": self._context.content_hash,
        }
        return run_details(self._encoder, self._recipe) | {"corpus": corpus}


def worth_seconds(budget: Budget) -> float:
    """Return the seconds that telling what the affix's tokens are worth may take at the end."""
    least, most = _WORTH_SECONDS
    return most if budget.seconds is None else min(most, max(least, _WORTH_SHARE * budget.seconds))


def _joiner(encoder: Encoder, recipe: Recipe) -> Joiner:
    """Return the joiner of a recipe, whose budget the model can read whole."""
    budget = min(recipe.context.max_tokens, encoder.max_tokens)
    longest = recipe.constraints.max_tokens
    if longest >= budget:
        raise InputError(
            f"an affix must leave room for a prediction: it may have {longest} of the {budget} "
            "tokens that both have together; take a smaller --max-tokens"
        )
    return Joiner(recipe.context.position, budget, encoder.tokenize)


class _Tracker:
    """Keeps the best affix of a run, writes it down, and tells the listener."""

    def __init__(
        self,
        problem: AffixProblem,
        encoder: Encoder,
        budget: Budget,
        listen: Listener,
        out: RunFolder | None,
    ) -> None:
        self._problem = problem
        self._encoder = encoder
        self._budget = budget
        self._listen = listen
        self._out = out
        self._began = time.monotonic()
        self._holdout_seconds = 0.0
        self._scored = ""
        self._holdout_scores = problem.without[problem.split.holdout]
        self._move: str | None = None
        self.best: Affix

    @property
    def search_seconds(self) -> float:
        """Seconds since the search began, loading and embedding left out."""
        return time.monotonic() - self._began

    def state(self) -> State:
        """Return all that its rest depends on, beside the best affix."""
        return {
            "reserve": self._budget.reserve,
            "search_seconds": self.search_seconds,
            "holdout_seconds": self._holdout_seconds,
            "scored": self._scored,
            "holdout_scores": self._holdout_scores,
            "move": self._move,
        }

    def restore(self, state: State, best: Affix, *, since: float) -> None:
        """Go over to where :meth:`state` was taken.

        Args:
            state: of a tracker of the same problem.
            best: the search's best affix there.
            since: seconds that the search had gone on after it was taken.
        """
        self.best = best
        self._budget.reserve = state["reserve"]
        self._began = time.monotonic() - state["search_seconds"] - since
        self._holdout_seconds = state["holdout_seconds"]
        self._scored, self._move = state["scored"], state["move"]
        self._holdout_scores = state["holdout_scores"].numpy()

    def begin(self, empty: Affix) -> None:
        """Start from no affix, and keep the time that the last scores will take."""
        self.best = empty
        rows = self._problem.split.holdout
        if len(rows):
            timed = self._problem.texts(rows[:_TIMED_ROWS])
            self._encoder.encode(timed)
            began = time.monotonic()
            self._encoder.encode(timed)
            each = (time.monotonic() - began) / len(timed)
            self._budget.reserve = _TIME_MARGIN * each * len(rows)
        if self._out:
            self._budget.reserve += worth_seconds(self._budget)
        self._report(0, "start")

    def follow(self, best: Affix, number: int, move: str | None) -> None:
        """Take in the best affix after a round."""
        gained = best is not self.best
        self.best = best
        if gained:
            self._move = move
            self._report(number, move)
        else:
            self._tell(number, gained=False)

    def scores(self) -> Scores:
        """Return the SCS of all rows with the best affix: (n,)."""
        self._score_holdout()
        scores: Scores = np.empty(len(self._problem.context), np.float32)
        scores[self._problem.split.train] = self.best.scores
        scores[self._problem.split.holdout] = self._holdout_scores
        return scores

    def _report(self, number: int, move: str | None) -> None:
        if self._out:
            self._out.write_best(self.best.text, self.best.value)
            self._out.log(
                {
                    "event": "best",
                    "time": round(self._budget.elapsed, 3),
                    "evaluations": self._budget.evaluations,
                    "trial": number,
                    "score": self.best.score,
                    "fraction": self.best.score / self._problem.train_ceiling,
                    "value": self.best.value,
                    "text": self.best.text,
                    "move": move,
                }
            )
        if self._holdout_seconds <= _HOLDOUT_SHARE * self.search_seconds:
            self._score_holdout()
        self._tell(number, gained=True)

    def _score_holdout(self) -> None:
        rows = self._problem.split.holdout
        if self._scored == self.best.text or not len(rows):
            return
        began = time.monotonic()
        vectors = self._encoder.encode(self._problem.texts(rows, self.best.text))
        self._holdout_scores = row_scores(vectors, self._problem.truths[rows])
        self._holdout_seconds += time.monotonic() - began
        self._scored = self.best.text

    def _tell(self, number: int, *, gained: bool) -> None:
        known = self._scored == self.best.text and len(self._holdout_scores)
        self._listen(
            Progress(
                "searching",
                self._budget.evaluations,
                self._budget.max_evaluations,
                self._budget.elapsed,
                self._budget.remaining,
                rate=self._budget.evaluations / max(self.search_seconds, 1e-9),
                trial=number,
                score=self.best.score,
                fraction=self.best.score / self._problem.train_ceiling,
                holdout=float(self._holdout_scores.mean()) if known else None,
                text=self.best.text,
                move=self._move,
                gained=gained,
            )
        )
