"""Carrying climbs and strings between one worker and the others, in a thread of its own.

The worker never waits for the storage: climbs that ended are spooled on its disk, and what others
found is what was last heard of them. Where the storage fails, the courier tries again, more and
more seldom, and the worker goes on climbing.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from mean_prompt.optimize import Budget, ClimbRecord, Elite, Mark
from mean_prompt.system import MeanPromptError, RunError
from mean_prompt.workers.connection import reason
from mean_prompt.workers.registry import News, Phase, Registry, Report
from mean_prompt.workers.spool import Spool
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.store import TRANSIENT
from mean_prompt.workers.study_store import StudyStore

#: Seconds between two reports, and between two looks at the climbs that others ended.
BEAT: Final = 2.0
_LOOK: Final = 10.0
#: Longest pause between two tries while the storage fails.
_LONGEST_PAUSE: Final = 30.0
#: Difference between the run's clock here and the server's that is put right, in seconds.
_CLOCK_TOLERANCE: Final = 1.0


class Courier:
    """The exchange of a worker among others.

    Args:
        store: climbs that ended.
        registry: who works on the study.
        spool: climbs that the store does not have yet.
        number: of the worker.
        budget: of the run; is told what others spent, and that the end was asked for.
        url: of the storage, for messages.
        beat: seconds between two reports.
    """

    def __init__(
        self,
        store: StudyStore,
        registry: Registry,
        spool: Spool,
        number: int,
        budget: Budget,
        url: StorageURL,
        *,
        beat: float = BEAT,
    ) -> None:
        self._store = store
        self._registry = registry
        self._spool = spool
        self._number = number
        self._budget = budget
        self._url = url
        self._beat = beat
        self._report = Report()
        self._last_word: Report | None = None
        self._ended: Sequence[ClimbRecord] = ()
        self._elite: Elite | None = None
        self._marks: Sequence[Mark] = ()
        self._looked = -_LOOK
        self._failures = 0
        self._more = False
        self._last = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._error: MeanPromptError | None = None

    # -- the worker's side ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def add(self, record: ClimbRecord) -> None:
        """Take in a climb that ended; one that was handed in before counts once.

        Raises:
            RunError: the disk does not take it.
        """
        if all(known.key != record.key for known in self._ended):
            self._spool.put(record)
            self._wake.set()

    def ended(self) -> Sequence[ClimbRecord]:
        """Return the climbs that the store is known to have."""
        return self._ended

    def elite(self) -> Elite | None:
        """Return the best string of the other workers, as far as is known."""
        return self._elite

    def marks(self) -> Sequence[Mark]:
        """Return where the climbs of the other workers stand, as far as is known."""
        return self._marks

    def say(self, report: Report) -> None:
        """Report this at the next beat."""
        self._report = report

    def finish(self, phase: Phase, *, patience: float) -> bool:
        """Say the last thing and hand in what waits; tell whether the storage took it.

        Args:
            phase: the last one.
            patience: seconds to wait for a storage that fails.

        Raises:
            MeanPromptError: the courier had to give up.
        """
        self._last_word = replace(self._report, phase=phase, rate=0.0, mark=None)
        self._last.set()
        self._wake.set()
        self._thread.join(patience)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    # -- the courier's side ---------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._go_on_carrying()
        finally:
            self._store.close()

    def _go_on_carrying(self) -> None:
        while self._error is None:
            self._wake.clear()
            is_last = self._last.is_set()
            self._try_to_carry()
            if self._more:
                continue
            if is_last and not self._failures:
                return
            pause = self._pause()
            if is_last:
                time.sleep(pause)
            else:
                # A climb that ends does not hasten a storage that fails; the end does.
                (self._last if self._failures else self._wake).wait(pause)
        self._budget.stop()

    def _try_to_carry(self) -> None:
        self._more = False
        try:
            self._more = self._carry()
        except TRANSIENT:
            self._failures += 1
        except SQLAlchemyError as error:
            said = reason(self._url, error)
            self._error = RunError(f"the storage must stay as it was: {self._url.shown}: {said}")
        except MeanPromptError as error:
            self._error = error
        else:
            self._failures = 0

    def _pause(self) -> float:
        """Return the seconds to the next try: more and more while the storage fails."""
        if not self._failures:
            return self._beat
        # Spread, so that workers do not come back all at once to a server that has just started.
        doubled = 0.25 * 2.0 ** min(self._failures, 10)
        return min(_LONGEST_PAUSE, doubled) * random.uniform(0.5, 1.0)

    def _carry(self) -> bool:
        """Report, hear the news, and hand in what waits; tell whether there is more to do at once.

        A worker is heard of at every beat, however many of its climbs wait and whatever holds them
        up; it says that it has ended when all are handed in.
        """
        last_word = None if len(self._spool) else self._last_word
        self._hear(self._registry.beat(self._number, last_word or self._report))
        if last_word is not None:
            return False
        waits = self._hand_in_for(self._beat)
        if time.monotonic() - self._looked >= _LOOK:
            self._ended = self._store.records()
            self._looked = time.monotonic()
        return waits or self._last_word is not None

    def _hand_in_for(self, seconds: float) -> bool:
        """Hand in climbs for so long, one at least; tell whether others wait."""
        deadline = time.monotonic() + seconds
        for record in self._spool.waiting():
            if time.monotonic() >= deadline:
                return True
            self._store.add(record)
            self._spool.drop(record)
            self._looked = -_LOOK
        return False

    def _hear(self, news: News) -> None:
        others = [row.report for row in news.workers if row.number != self._number]
        elites = [report.elite for report in others if report.elite is not None]
        self._elite = max(elites, key=lambda elite: elite["score"], default=None)
        live = [row.report for row in news.workers if row.number != self._number and row.is_live()]
        self._marks = [report.mark for report in live if report.mark is not None]
        budget, run = self._budget, news.run
        budget.others = sum(report.evaluations for report in others)
        budget.seconds, budget.max_evaluations = run.climbing_seconds, run.max_evaluations
        if abs(budget.elapsed - run.elapsed) > _CLOCK_TOLERANCE:
            budget.align(run.elapsed)
        if run.stopped:
            budget.stop()
