"""A search for one string, from end to end: embed the corpus, run climbs, write the result."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from typing import Any

from mean_prompt.corpus import Corpus
from mean_prompt.optimize import (
    CLIMBER,
    Candidate,
    Climber,
    ClimbStudy,
    Evaluator,
    Problem,
    RecordBoard,
    Rules,
    Sampling,
    StudyEvent,
    Vocabulary,
    corpus_starts,
    score_baselines,
)
from mean_prompt.runs.checkpoint import Resumer
from mean_prompt.runs.climbers import ENCODER, cores
from mean_prompt.runs.files import STUDY
from mean_prompt.runs.inputs import SearchInputs
from mean_prompt.runs.result import SearchResult
from mean_prompt.runs.study_file import StudyFile
from mean_prompt.runs.tracker import Tracker
from mean_prompt.system import State, Team


class SearchSession:
    """One search for a string on a team of climbers, new or resumed.

    Args:
        team: its members hold the encoder of the inputs as :data:`ENCODER`.
    """

    def __init__(self, inputs: SearchInputs[Corpus], team: Team) -> None:
        self._inputs = inputs
        self._team = team
        self._rules = Rules(inputs.recipe.constraints, inputs.encoder)

    def run(self) -> tuple[SearchResult, Problem]:
        """Run the search until its time or evaluations are spent, or the user stops it.

        Raises:
            RunError: the budget ended before there was anything to search with, no prompt of the
                corpus can be brought under the constraints, or climbers died again and again.
        """
        inputs = self._inputs
        resumer = inputs.begin()
        problem = build_problem(inputs, self._team)
        tracker = Tracker(inputs, StringScoring(problem))
        session = StudySession(inputs, problem, self._rules, tracker, resumer, self._team)
        ended = resumer.state["ended"] if resumer.state else ()
        with ExitStack() as stack:
            board = None
            if inputs.folder:
                file = StudyFile(inputs.folder.file(STUDY), inputs.recipe.study, ended)
                board = stack.enter_context(closing(file))
            session.run(board)
        return close_search(inputs, problem, self._rules, tracker, self._team.size), problem


def build_problem(inputs: SearchInputs[Corpus], team: Team | None = None) -> Problem:
    """Split a search's corpus and embed it on a team if there is one.

    Raises:
        RunError: the budget ended before that was done.
    """
    with inputs.reporter.embedding() as listener:
        problem = Problem.build(
            inputs.data,
            inputs.encoder,
            holdout=inputs.recipe.corpus.holdout,
            seed=inputs.recipe.search.seed,
            encode=team.spread(ENCODER, "encode") if team else None,
            listener=listener,
            deadline=inputs.budget.deadline,
        )
    if problem.compression:
        inputs.reporter.notes(problem.compression.note())
    return problem


class StringScoring:
    """Scores the strings of a search over its corpus, for :class:`Tracker`."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.train_ceiling = problem.train_ceiling
        self.is_exact = problem.compression is None

    def worth(self, found: Candidate) -> float:
        """Return what the search maximises: the string's score."""
        return found.score

    def exact(self, found: Candidate) -> Candidate:
        """Return the string with its exact score, over every training prompt."""
        return replace(found, score=self._problem.train_score(found.vector))

    def holdout(self, found: Candidate, _seconds: float) -> float | None:
        """Return a string's score over the hold-out prompts, or ``None`` without a hold-out."""
        return self._problem.holdout_score(found.vector)

    def details(self, _found: Candidate, holdout: float | None) -> dict[str, Any]:
        """Return further fields for the event of a new best string: its hold-out score."""
        return {"holdout": holdout}

    def restored(self, state: State) -> Candidate:
        """Return the string that a saved state holds."""
        return Candidate.of_state(state)


class StudySession:
    """The climbs (local searches from one start) of a search, new or resumed."""

    def __init__(
        self,
        inputs: SearchInputs[Corpus],
        problem: Problem,
        rules: Rules,
        tracker: Tracker[Candidate],
        resumer: Resumer,
        team: Team,
    ) -> None:
        self._inputs = inputs
        self._problem = problem
        self._tracker = tracker
        self._resumer = resumer
        self._team = team
        self._evaluator = Evaluator(inputs.encoder, problem.screening, rules, inputs.budget)
        #: Corpus prompts to start from, best first, and strings screened per second at the token
        #: limit. Both are computed once per run, as they cost evaluations.
        self._starts: list[Candidate]
        self._rate: float
        if resumer.state is None:
            self._starts = corpus_starts(*problem.likely_starts(), self._evaluator)
            self._rate = self._evaluator.measure_rate(rules.constraints.max_tokens)
            tracker.improve(self._starts[0], trial=0, move="start")
        else:
            start_state = resumer.state["start"]
            self._starts = [Candidate.of_state(start) for start in start_state["starts"]]
            self._rate = start_state["rate"]
        with inputs.reporter.embedding() as listener:
            vocabulary = Vocabulary.gather(
                problem.train_prompts,
                inputs.encoder,
                rules,
                screen=team.spread(ENCODER, "screen"),
                listener=listener,
                deadline=inputs.budget.deadline,
            )
        if vocabulary.notice:
            inputs.reporter.notes(vocabulary.notice)
        recipe = inputs.recipe
        sampling = Sampling(recipe.study, recipe.climb, seed=recipe.search.seed)
        climber = Climber(
            sampling, self._starts, vocabulary, self._evaluator, problem.train_ceiling
        )
        team.give(CLIMBER, climber)

    def run(self, board: RecordBoard | None) -> None:
        """Run the climbs; the tracker follows them, and checkpoints are saved.

        ``board`` keeps the records of climbs that ended.
        """
        recipe, tracker, folder = self._inputs.recipe, self._tracker, self._inputs.folder
        study = ClimbStudy(
            recipe.study,
            recipe.climb,
            self._starts[0],
            self._team,
            budget=self._inputs.budget,
            rate=self._rate / cores() / self._team.crowding if self._team.size > 1 else self._rate,
            seed=recipe.search.seed,
            board=board,
        )

        def state() -> State:
            return {
                "events": folder.events_size() if folder else 0,
                "ended": [record.number for record in board.ended()] if board else [],
                "start": {
                    "starts": [start.state() for start in self._starts],
                    "rate": self._rate,
                },
                "study": study.state(),
                "tracker": tracker.state(),
            }

        def restore(saved: State) -> None:
            study.restore(saved["study"])
            tracker.restore(saved["tracker"])
            tracker.fallback = self._best_before()

        for event in self._resumer.steps(study.run, state, restore):
            self._follow(event)

    def _follow(self, event: StudyEvent) -> None:
        best, tracker = event.step.best, self._tracker
        if event.lost:
            self._inputs.reporter.notes(event.lost)
        tracker.follow(best, event.trial, event.step.move or event.start)
        for stage in event.milestones:
            tracker.log_found("stage", stage.trial, stage.best, number=stage.number)
        if event.ended:
            tracker.log_found(
                "climb",
                event.trial,
                best,
                ended=event.ended,
                spent=event.evaluations,
                **event.params,
            )

    def _best_before(self) -> Candidate | None:
        folder, budget = self._inputs.folder, self._inputs.budget
        if folder is None or folder.best_before is None:
            return None
        text, score = folder.best_before
        if score <= self._tracker.best.score:
            return None
        spent = budget.evaluations
        found = self._evaluator.read([self._evaluator.rules.body_of(text)])
        # Reading the string is no part of the search, which must not end earlier for it.
        budget.evaluations = spent
        return StringScoring(self._problem).exact(found[0]) if found else None


def close_search(
    inputs: SearchInputs[Corpus],
    problem: Problem,
    rules: Rules,
    tracker: Tracker[Candidate],
    workers: int,
) -> SearchResult:
    """Score the best string over all prompts, and write the result.

    A baseline that obeys the rules and scores higher becomes the result, and a note says so.
    """
    best, encoder, corpus = tracker.finish(), inputs.encoder, inputs.data
    text, vector = best.text, best.vector
    score = float(problem.everything.score(vector[None])[0])
    baselines = score_baselines(*problem.finalists(), problem.everything, encoder)
    top = max(baselines, key=lambda baseline: baseline.score)
    if top.score > score and rules.violation(top.text, encoder.tokenize([top.text])[0]) is None:
        inputs.reporter.notes(
            f"no climb found a better string than the {top.name}, which is the result: "
            f"{top.score:.5f}, the climbs' best {score:.5f}"
        )
        text, vector, score = top.text, encoder.encode([top.text])[0], top.score
    details = {
        "corpus": {
            "sources": [asdict(source) for source in corpus.sources],
            "prompts": len(corpus),
            "train": len(problem.split.train),
            "holdout": len(problem.split.holdout),
            "hash": corpus.content_hash,
        },
        "compression": problem.compression.as_dict() if problem.compression else None,
        "workers": workers,
    }
    return finished(
        inputs,
        tracker,
        details,
        string=text,
        tokens=len(encoder.tokenize([text])[0]),
        score=score,
        train_score=problem.train_score(vector),
        holdout_score=problem.holdout_score(vector),
        holdout_interval=problem.holdout_interval(vector),
        ceiling=problem.ceiling.value,
        baselines=tuple(baselines),
    )


def finished(
    inputs: SearchInputs[Any],
    tracker: Tracker[Any],
    details: dict[str, Any],
    *,
    tokens: int,
    score: float,
    ceiling: float,
    **found: Any,  # noqa: ANN401 - fields of a result
) -> SearchResult:
    """Build the result of a search, write it to the run's folder if any, and return it."""
    budget, folder = inputs.budget, inputs.folder
    result = SearchResult(
        tokens=tokens,
        model_tokens=tokens + inputs.encoder.special_token_count,
        score=score,
        ceiling=ceiling,
        fraction=score / ceiling,
        evaluations=budget.evaluations,
        seconds=budget.elapsed,
        search_seconds=tracker.search_seconds,
        stopped=budget.stopped,
        out=folder.path if folder else None,
        details=inputs.details() | details,
        **found,
    )
    if folder:
        folder.write_best(result.string)
        folder.write_result(result.as_dict())
    return result
