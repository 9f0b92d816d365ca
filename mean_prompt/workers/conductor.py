"""A search by several workers, seen by the process that keeps the run's folder.

It climbs itself not at all: it begins workers, hears what they find, scores it again, and writes
the run's files. Workers on other machines may join and leave meanwhile.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import Final

from mean_prompt.corpus import Corpus
from mean_prompt.optimize import Candidate, ClimbRecord, Elite, Problem, Rules
from mean_prompt.runs import (
    EVENTS,
    WORKERS,
    Resumer,
    SearchInputs,
    SearchResult,
    StringScoring,
    StudySession,
    Tracker,
    build_problem,
    close_search,
    read_events,
)
from mean_prompt.system import format_duration
from mean_prompt.workers.crew import Crew
from mean_prompt.workers.plan import Plan
from mean_prompt.workers.pool import Pool
from mean_prompt.workers.registry import Registry, WorkerRow
from mean_prompt.workers.store import TRANSIENT, open_storage
from mean_prompt.workers.study_store import StudyStore

#: Seconds between two looks at the workers, and at the climbs that they ended.
_PAUSE: Final = 0.5
_LOOK: Final = 5.0
#: Seconds that workers have to end where the end was asked for, and where the budget is spent: a
#: worker that is killed loses nothing but what it has not said yet.
_STOPPED_GRACE: Final = 30.0
_EXPIRED_GRACE: Final = 3.0
#: Seconds that the last words of workers elsewhere are waited for.
_LAST_WORDS: Final = 5.0


class Conductor:
    """One search by a crew, ready to run, or to go on where another process left it.

    Args:
        inputs: what the search begins with, a folder and a corpus from files among it.
        crew: who works.
    """

    def __init__(self, inputs: SearchInputs[Corpus], crew: Crew) -> None:
        assert inputs.folder is not None
        self._inputs = inputs
        self._recipe = inputs.recorded
        self._budget = inputs.budget
        self._out = inputs.folder
        self._crew = crew
        self._tell = inputs.reporter
        self._best_heard = -math.inf
        self._own = 0
        self._looked = -_LOOK
        self._logged: set[tuple[int, int]] = set()

    def run(self) -> tuple[SearchResult, Problem]:
        """Search until the budget is spent or stopped.

        Returns:
            What was found, and the problem that was searched on, to analyse it in.

        Raises:
            InputError: the storage cannot be used, holds another run of that name, or a worker
                cannot work.
            RunError: the workers died again and again.
        """
        self._inputs.announce()
        self._open_storage()
        self._out.write_recipe(self._recipe)
        try:
            return self._search()
        finally:
            self._store.close()

    def _search(self) -> tuple[SearchResult, Problem]:
        inputs = self._inputs
        problem = build_problem(inputs)
        tracker = Tracker(inputs, StringScoring(problem))
        # What is embedded here the workers find in the cache.
        climbing = StudySession(
            inputs,
            problem,
            Rules(self._recipe.constraints, inputs.encoder),
            tracker,
            Resumer(None, self._budget, {}),
            known=[elite["body"] for elite in self._elites()],
        )
        self._lead(tracker, climbing)
        return close_search(inputs, problem, tracker, workers=self._summary()), problem

    def _open_storage(self) -> None:
        crew, budget = self._crew, self._budget
        crew.save(self._out.path)
        storage = open_storage(crew.url, make=True)
        self._registry = Registry(storage.engine, crew.study)
        self._store = StudyStore(storage, crew.study, self._recipe.study)
        plan = Plan.of(self._recipe, self._inputs.data, self._inputs.encoder)
        spent = self._registry.begin(
            plan.as_dict(),
            crew=crew.workers,
            seconds=budget.seconds,
            max_evaluations=budget.max_evaluations,
            elapsed=budget.elapsed,
        )
        budget.align(budget.elapsed + spent)
        self._news = self._registry.conduct(budget.elapsed)
        if spent:
            done = sum(row.report.evaluations for row in self._news.workers)
            self._logged = {
                (event["worker"], event["trial"])
                for event in read_events(self._out.file(EVENTS))
                if event["event"] == "climb"
            }
            self._out.log_resume(budget.elapsed, done)
        self._tell.notes(*self._greeting(spent))

    def _elites(self) -> list[Elite]:
        reports = (row.report for row in self._news.workers)
        return [report.elite for report in reports if report.elite is not None]

    def _greeting(self, spent: float) -> list[str]:
        crew, done = self._crew, sum(row.report.evaluations for row in self._news.workers)
        notes = [f"{_count(crew.workers, 'worker')} on this machine, study {crew.study!r}"]
        if crew.url.kind == "postgresql":
            notes.append(
                "more join from other machines by: mean-prompt worker --storage "
                f"{crew.url.shown} --study {crew.study}"
            )
        if spent:
            notes.append(
                f"going on at {done:,} evaluations and {format_duration(spent)} of the budget: "
                "each worker takes up its climb where it was"
            )
        return notes

    # -- while the workers work -----------------------------------------------------------------

    def _lead(self, tracker: Tracker[Candidate], climbing: StudySession) -> None:
        crew = self._crew
        self._own = self._budget.evaluations
        folder = self._out.file(WORKERS)
        pool = Pool(folder, crew.url, crew.study, crew.workers, trust=self._recipe.model.trust)
        try:
            while not (self._budget.expired() or pool.are_done()):
                time.sleep(_PAUSE)
                self._hear(tracker, climbing)
                self._tell.notes(*pool.tend())
        finally:
            self._end(pool)
        self._wait_for_others(tracker, climbing)

    def _wait_for_others(self, tracker: Tracker[Candidate], climbing: StudySession) -> None:
        """Hear the last of workers elsewhere, which end by their own clocks."""
        deadline = time.monotonic() + _LAST_WORDS
        while True:
            self._looked = -_LOOK
            self._hear(tracker, climbing)
            late = [row for row in self._news.workers if row.is_live()]
            if not late or time.monotonic() >= deadline:
                break
            time.sleep(_PAUSE)
        for row in late:
            self._tell.notes(
                f"worker {row.number} ({row.name}) still works: what it finds now comes into the "
                "study, and not into this result"
            )

    def _end(self, pool: Pool) -> None:
        """Let the workers save and end; those elsewhere hear of it at their next beat."""
        grace = _EXPIRED_GRACE
        if self._budget.stopped:
            grace = _STOPPED_GRACE
            with suppress(*TRANSIENT):  # they end by their own clocks where it does not arrive
                self._registry.stop()
        pool.ask_to_end()
        self._tell.notes(*pool.end(grace))

    def _hear(self, tracker: Tracker[Candidate], climbing: StudySession) -> None:
        """Take in what the workers found; a storage that fails is asked again next time."""
        try:
            self._news = self._registry.conduct(self._budget.elapsed)
            if time.monotonic() - self._looked >= _LOOK:
                for record in self._store.records():
                    if record.key not in self._logged:
                        self._logged.add(record.key)
                        _log_climb(tracker, record)
                self._looked = time.monotonic()
        except TRANSIENT:
            return
        reports = [row.report for row in self._news.workers]
        self._budget.evaluations = self._own + sum(report.evaluations for report in reports)
        for row in self._news.workers:
            self._consider(row, tracker, climbing)
        tracker.report(sum(report.climbs for report in reports))

    def _consider(
        self, row: WorkerRow, tracker: Tracker[Candidate], climbing: StudySession
    ) -> None:
        """Score a worker's string here, and make it the run's where it is the best."""
        elite = row.report.elite
        if elite is None or elite["score"] <= self._best_heard:
            return
        self._best_heard = elite["score"]
        found = climbing.revive(elite["body"])
        self._own += 1
        if found is not None and found.score > tracker.best.score:
            tracker.improve(found, trial=row.report.climbs - 1, move=f"worker {row.number}")

    def _summary(self) -> list[dict[str, object]]:
        """Return what ``result.json`` says of the workers."""
        return [
            {
                "number": row.number,
                "name": row.name,
                "phase": row.report.phase,
                "evaluations": row.report.evaluations,
                "climbs": row.report.climbs,
                "score": row.report.elite and row.report.elite["score"],
            }
            for row in self._news.workers
        ]


def _log_climb(tracker: Tracker[Candidate], record: ClimbRecord) -> None:
    """Write down a climb that another process ended."""
    tracker.log(
        "climb",
        record.number,
        record.score,
        record.text,
        worker=record.worker,
        ended=record.ended,
        spent=record.evaluations,
        seconds=round(record.over - record.began, 3),
        reports=record.reports,
        **record.params,
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
