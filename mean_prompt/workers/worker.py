"""One worker of a shared study: it takes the study's plan, climbs, and exchanges what it finds."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import Encoder
from mean_prompt.optimize import Budget, Elite, Rules
from mean_prompt.runs import (
    Checkpoint,
    Resumer,
    SearchInputs,
    SearchListener,
    StringScoring,
    StudySession,
    Tracker,
    build_problem,
)
from mean_prompt.system import ignore, stopping
from mean_prompt.workers.courier import Courier
from mean_prompt.workers.place import Place, taken_place
from mean_prompt.workers.plan import Plan
from mean_prompt.workers.registry import Registry, Report
from mean_prompt.workers.spool import Spool
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.store import open_storage
from mean_prompt.workers.study_store import StudyStore, close_storage

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

#: Seconds that a worker waits at its end for a storage that fails, and one that failed itself.
_PATIENCE: Final = 60.0
_LAST_PATIENCE: Final = 5.0
_STANDARD_INPUT: Final = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one worker is asked.

    Attributes:
        url: of the storage.
        study: its name there.
        folder: of the worker's own files, made if need be; one under ``results/workers/`` when
            left out.
        corpus: files of prompts, where they are not at the recipe's places.
        model: folder or name of the model, where it is not the recipe's.
        trust: whether the model may run code; what the study says of it does not count here.
        tethered: whether to end when standard input does, as a dead parent's does.
    """

    url: StorageURL
    study: str
    folder: Path | None = None
    corpus: tuple[str, ...] = ()
    model: str | None = None
    trust: bool = False
    tethered: bool = False


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What a worker did.

    Attributes:
        number: of the worker.
        evaluations: strings that it encoded, in all its processes.
        climbs: that it began.
        text: its best string, and ``score`` over every training prompt.
        waiting: climbs that the storage did not take, which the next process hands in.
    """

    number: int
    evaluations: int
    climbs: int
    text: str
    score: float
    waiting: int

    def line(self) -> str:
        """Return a line for the user."""
        line = (
            f"worker {self.number}: {self.evaluations:,} evaluations, {self.climbs} climbs, best "
            f"{self.score:.5f} over the training prompts: {self.text}"
        )
        if self.waiting:
            line += (
                f" ({self.waiting} of its climbs did not reach the storage: run it again with the "
                "same --out to hand them in)"
            )
        return line


class Worker:
    """One worker, ready to run.

    Args:
        assignment: what it is asked.
        listener: hears of progress.
    """

    def __init__(self, assignment: Assignment, *, listener: SearchListener = ignore) -> None:
        self._asked = assignment
        self._listen = listener

    def run(self) -> WorkerResult:
        """Climb until the run's budget is spent or its end is asked for.

        Raises:
            InputError: there is no such study, or corpus or model are not its own.
            RunError: the disk or the storage failed for good.
        """
        storage = open_storage(self._asked.url, make=False)
        try:
            return self._work(storage)
        finally:
            close_storage(storage)

    def _work(self, storage: RDBStorage) -> WorkerResult:
        asked = self._asked
        registry = Registry(storage.engine, asked.study)
        run = registry.look().run
        plan = Plan.of_dict(run.plan)
        self._recipe = plan.recipe
        sources = asked.corpus or plan.recipe.corpus.sources
        self._corpus = Corpus.from_files(*sources, column=plan.recipe.corpus.column)
        plan.check_corpus(self._corpus)
        started = time.monotonic() - run.elapsed
        self._budget = Budget(run.climbing_seconds, run.max_evaluations, started=started)
        if asked.tethered:
            _end_with_parent(self._budget)
        store = StudyStore(storage, asked.study, self._recipe.study)
        with taken_place(registry, asked.folder, run.id) as place, stopping(self._budget):
            spool = Spool(place.folder / "spool")
            courier = Courier(store, registry, spool, place.number, self._budget, asked.url)
            self._budget.evaluations = place.report.evaluations
            courier.say(place.report)
            courier.start()
            try:
                encoder = self._load()
                plan.check_model(encoder)
                checkpoint = Checkpoint(place.folder / "checkpoint.bin")
                result = self._climb(encoder, courier, place, checkpoint, run.crew)
            except BaseException:
                courier.finish("failed", patience=_LAST_PATIENCE)
                raise
            courier.finish("ended", patience=_PATIENCE)
            return replace(result, waiting=len(spool))

    def _load(self) -> Encoder:
        chosen, asked = self._recipe.model, self._asked
        changed = {"name": asked.model or chosen.name, "trust": asked.trust}
        return chosen.model_copy(update=changed).load()

    def _climb(
        self, encoder: Encoder, courier: Courier, place: Place, checkpoint: Checkpoint, crew: int
    ) -> WorkerResult:
        """Climb in a place among so many workers, and tell the courier of every step."""
        budget, recipe = self._budget, self._recipe
        inputs = SearchInputs(self._corpus, encoder, recipe, budget, listener=self._listen)
        inputs.announce()
        memory = Resumer(checkpoint, budget, inputs.identity())
        inputs.reporter.notes(*memory.notes())
        problem = build_problem(inputs)
        tracker = Tracker(inputs, StringScoring(problem))
        rules = Rules(recipe.constraints, encoder)
        climbing = StudySession(inputs, problem, rules, tracker, memory)
        study = climbing.study(courier, worker=place.number, crew=crew)
        for _ in climbing.run(study):
            elite = study.elite
            shared = Elite(body=list(elite.body), score=elite.score)
            # The process before may have reported what is done again here.
            evaluations = max(place.report.evaluations, budget.evaluations)
            courier.say(
                Report(
                    phase="climbing",
                    evaluations=evaluations,
                    rate=tracker.rate,
                    climbs=study.climbs,
                    text=elite.text,
                    elite=shared,
                    mark=study.mark,
                )
            )
        best = tracker.finish()
        return WorkerResult(
            place.number, budget.evaluations, study.climbs, best.text, best.score, waiting=0
        )


def _end_with_parent(budget: Budget) -> None:
    """End the search once standard input ends, which the parent's end does, however it comes."""

    def watch() -> None:
        # Not through sys.stdin, whose lock this thread would hold as the program ends.
        while os.read(_STANDARD_INPUT, 1024):
            pass
        budget.stop()

    threading.Thread(target=watch, name="tether", daemon=True).start()
