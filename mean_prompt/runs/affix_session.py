"""A search for an affix (a string added to each prediction): context to vectors to result."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Final

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
    UnitBank,
    row_scores,
)
from mean_prompt.runs.checkpoint import Resumer
from mean_prompt.runs.inputs import SearchInputs
from mean_prompt.runs.recipe import Recipe
from mean_prompt.runs.result import SearchResult
from mean_prompt.runs.session import finished
from mean_prompt.runs.tracker import Tracker
from mean_prompt.system import InputError, State

#: Share of the search's time that scores of the hold-out may take while it runs.
_HOLDOUT_SHARE: Final = 0.03
#: Number of rows timed to predict the time of the last scores, and the safety factor on it.
_TIMED_ROWS: Final = 32
_TIME_MARGIN: Final = 1.5
#: Share of the run's time for analysing what each affix token adds; its least and most seconds.
_WORTH_SHARE: Final = 0.03
_WORTH_SECONDS: Final = (0.5, 10.0)


class AffixSession:
    """One search for an affix (a string to add to each prediction), new or resumed."""

    def __init__(self, inputs: SearchInputs[Context]) -> None:
        self._inputs = inputs
        self._rules = Rules(inputs.recipe.constraints, inputs.encoder)

    def run(self) -> tuple[SearchResult, AffixProblem, Scores]:
        """Run the search until its time or evaluations are spent, or the user stops it.

        Returns:
            The result, the problem that was searched on, and the SCS of each row with the affix,
            for an analysis. The string found is empty if no affix is better than none.

        Raises:
            RunError: the budget ended before there was anything to search with.
        """
        inputs = self._inputs
        resumer = inputs.begin()
        with inputs.reporter.embedding() as listener:
            problem = AffixProblem.build(
                inputs.data,
                inputs.encoder,
                _joiner(inputs.encoder, inputs.recipe),
                holdout=inputs.recipe.corpus.holdout,
                seed=inputs.recipe.search.seed,
                listener=listener,
                deadline=inputs.budget.deadline,
            )
            bank = UnitBank.gather(
                problem.train_prompts,
                inputs.encoder,
                self._rules,
                listener=listener,
                deadline=inputs.budget.deadline,
            )
        scoring = AffixScoring(problem, inputs.encoder)
        tracker = Tracker(inputs, scoring)
        inputs.budget.reserve = scoring.reserve()
        if inputs.folder:
            inputs.budget.reserve += worth_seconds(inputs.budget)
        self._search(problem, bank, tracker, resumer)
        scores = scoring.scores(tracker.finish())
        return self._close(problem, tracker, scores), problem, scores

    def _search(
        self, problem: AffixProblem, bank: UnitBank, tracker: Tracker[Affix], resumer: Resumer
    ) -> None:
        inputs, train = self._inputs, problem.split.train
        folder, recipe, settings = inputs.folder, inputs.recipe, inputs.recipe.affix
        evaluator = AffixEvaluator(
            inputs.encoder,
            self._rules,
            problem.joiner,
            problem.texts(train),
            problem.truths[train],
            Caution(problem.groups[train], settings.caution, settings.likeness),
            inputs.budget,
        )
        if resumer.state is None:
            empty = evaluator.empty(problem.predictions[train])
            tracker.improve(empty, trial=0, move="start")
        else:
            empty = Affix.of_state(resumer.state["empty"])
        search = AffixSearch(evaluator, bank, empty, settings, seed=recipe.search.seed)

        def state() -> State:
            return {
                "events": folder.events_size() if folder else 0,
                "empty": empty.state(),
                "search": search.state(),
                "tracker": tracker.state(),
            }

        def restore(saved: State) -> None:
            search.restore(saved["search"])
            tracker.restore(saved["tracker"])
            tracker.fallback = self._best_before(problem, evaluator, empty)

        for race in resumer.steps(search.run, state, restore):
            tracker.follow(race.best, race.number, race.move)

    def _best_before(
        self, problem: AffixProblem, evaluator: AffixEvaluator, empty: Affix
    ) -> Affix | None:
        folder, encoder = self._inputs.folder, self._inputs.encoder
        text = folder.best_before[0] if folder and folder.best_before else ""
        if not text:
            return None
        train = problem.split.train
        scores = row_scores(encoder.encode(problem.texts(train, text)), problem.truths[train])
        value = evaluator.caution.value(scores - empty.scores)
        [ids] = encoder.tokenize([text])
        return replace(empty, units=(text,), text=text, tokens=len(ids), scores=scores, value=value)

    def _close(
        self, problem: AffixProblem, tracker: Tracker[Affix], scores: Scores
    ) -> SearchResult:
        context = self._inputs.data
        compared = problem.compare(scores)
        held = compared.holdout
        details = {
            "corpus": {
                "sources": [context.source],
                "rows": len(context),
                "train": len(problem.split.train),
                "holdout": len(problem.split.holdout),
                "hash": context.content_hash,
            }
        }
        return finished(
            self._inputs,
            tracker,
            details,
            string=tracker.best.text,
            tokens=tracker.best.tokens,
            score=compared.everything.affixed,
            train_score=compared.train.affixed,
            holdout_score=held.affixed if held else None,
            holdout_interval=problem.holdout_interval(scores),
            ceiling=problem.ceiling,
            baselines=(Baseline("no affix", "", compared.everything.without),),
            context=compared,
        )


class AffixScoring:
    """Scores affixes over a context: predictions with their true prompts."""

    is_exact = True

    def __init__(self, problem: AffixProblem, encoder: Encoder) -> None:
        self._problem = problem
        self._encoder = encoder
        self._rows = problem.split.holdout
        #: The affix that the hold-out was last scored with, the scores, and the seconds of all.
        self._scored = ""
        self._scores = problem.without[self._rows]
        self._seconds = 0.0
        self.train_ceiling = problem.train_ceiling

    def reserve(self) -> float:
        """Return the seconds to reserve at the end for scoring the hold-out rows."""
        if not len(self._rows):
            return 0.0
        timed = self._problem.texts(self._rows[:_TIMED_ROWS])
        self._encoder.encode(timed)
        began = time.monotonic()
        self._encoder.encode(timed)
        each = (time.monotonic() - began) / len(timed)
        return _TIME_MARGIN * each * len(self._rows)

    def worth(self, found: Affix) -> float:
        """Return what the search maximises: the mean gain less a multiple of its standard error."""
        return found.value

    def exact(self, found: Affix) -> Affix:
        """Return the affix unchanged: affix scores are always exact."""
        return found

    def holdout(self, found: Affix, seconds: float) -> float | None:
        """Return an affix's mean SCS over the hold-out, or ``None`` if that takes too long."""
        if not len(self._rows):
            return None
        if self._seconds > _HOLDOUT_SHARE * seconds and self._scored != found.text:
            return None
        return float(self._holdout(found.text).mean())

    def details(self, found: Affix, _holdout: float | None) -> dict[str, Any]:
        """Return further fields for the event of a new best affix: its :meth:`worth`."""
        return {"value": found.value}

    def restored(self, state: State) -> Affix:
        """Return the affix that a saved state holds."""
        return Affix.of_state(state)

    def scores(self, found: Affix) -> Scores:
        """Return the SCS of each prediction plus affix with its true prompt: (n,)."""
        scores: Scores = np.empty(len(self._problem.context), np.float32)
        scores[self._problem.split.train] = found.scores
        scores[self._rows] = self._holdout(found.text)
        return scores

    def _holdout(self, text: str) -> Scores:
        if self._scored != text and len(self._rows):
            began = time.monotonic()
            vectors = self._encoder.encode(self._problem.texts(self._rows, text))
            self._scores = row_scores(vectors, self._problem.truths[self._rows])
            self._seconds += time.monotonic() - began
            self._scored = text
        return self._scores


def worth_seconds(budget: Budget) -> float:
    """Return the seconds to reserve for the analysis of what each affix token adds."""
    least, most = _WORTH_SECONDS
    return most if budget.seconds is None else min(most, max(least, _WORTH_SHARE * budget.seconds))


def _joiner(encoder: Encoder, recipe: Recipe) -> Joiner:
    budget = min(recipe.context.max_tokens, encoder.max_tokens)
    longest = recipe.constraints.max_tokens
    if longest >= budget:
        raise InputError(
            f"an affix must leave room for a prediction: it may have {longest} of the {budget} "
            "tokens that both have together; take a smaller --max-tokens"
        )
    return Joiner(recipe.context.position, budget, encoder.tokenize)
