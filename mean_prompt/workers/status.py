"""Where a search stands, as its storage and its folder tell."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mean_prompt.runs import BEST, EVENTS, RECIPE, SearchResult, read_events
from mean_prompt.system import InputError, format_duration, is_held, parse_duration, path_exists
from mean_prompt.workers.connection import explained, open_engine
from mean_prompt.workers.crew import Crew
from mean_prompt.workers.registry import Registry, Report, WorkerRow
from mean_prompt.workers.storage_url import StorageURL


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker, as others see it.

    Attributes:
        number: of the worker.
        name: host and process.
        state: ``starting``, ``climbing``, ``ended``, ``failed``, or ``lost`` where it was not
            heard of for longer than its lease.
        is_live: whether it works, as far as can be known.
        silent: seconds since it was last heard of.
        climbs: that it began.
        evaluations: strings that it encoded.
        rate: of these, a second.
        score: of its best string, over the training prompts.
    """

    number: int
    name: str
    state: str
    is_live: bool
    silent: float
    climbs: int
    evaluations: int
    rate: float
    score: float | None

    @classmethod
    def of(cls, row: WorkerRow) -> WorkerStatus:
        """Return the status of a registered worker."""
        report, is_live = row.report, row.is_live()
        state = report.phase if is_live or row.is_over else "lost"
        elite = report.elite
        return cls(
            row.number,
            row.name,
            state,
            is_live,
            row.silent,
            report.climbs,
            report.evaluations,
            report.rate,
            None if elite is None else elite["score"],
        )


@dataclass(frozen=True, slots=True)
class Status:
    """Where a search stands.

    Attributes:
        name: of the study, or of the run's folder.
        workers: live and dead.
        text: the best string so far, and ``score`` over the training prompts.
        elapsed: seconds of the budget that are spent.
        seconds, max_evaluations: the budget.
        is_over: whether nothing more will come.
    """

    name: str
    workers: Sequence[WorkerStatus]
    text: str | None
    score: float | None
    elapsed: float
    seconds: float | None
    max_evaluations: int | None
    is_over: bool

    @property
    def evaluations(self) -> int:
        """Strings that all workers encoded."""
        return sum(worker.evaluations for worker in self.workers)

    def title(self) -> str:
        """Return a heading."""
        live = sum(worker.is_live for worker in self.workers)
        return f"{self.name}: {live} of {len(self.workers)} workers live"

    def line(self) -> str:
        """Return a line on what is spent, and found."""
        spent = f"{self.evaluations:,} evaluations"
        if self.max_evaluations is not None:
            spent += f" of {self.max_evaluations:,}"
        spent += f" in {format_duration(self.elapsed)}"
        if self.seconds is not None:
            spent += f" of {format_duration(self.seconds)}"
        rate = sum(worker.rate for worker in self.workers if worker.is_live)
        pace = "" if self.is_over else f", {rate:,.0f} a second now"
        score = "" if self.score is None else f"; best {self.score:.5f} over the training prompts"
        return f"{spent}{pace}{score}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self) | {"evaluations": self.evaluations}


def find_status(run: Path | None, storage: str | None, study: str | None) -> Status:
    """Return where a search stands.

    Args:
        run: its folder, or ``None`` where the storage is named.
        storage: URL of a shared storage; what the folder says when left out.
        study: name of the run there.

    Raises:
        InputError: there is no such search.
    """
    if run is None:
        if storage is None or study is None:
            raise InputError("status needs a run's folder, or --storage and --study: give one")
        return _shared(Crew(StorageURL.parse(storage), study, 1))
    if not path_exists(run / RECIPE):
        raise InputError(f"a run's folder holds a {RECIPE}: found none in {run}; name another")
    crew = Crew.of_run(run, storage, study, None)
    return _alone(run) if crew is None else _shared(crew)


def _shared(crew: Crew) -> Status:
    engine = open_engine(crew.url)
    # Without a transaction: a server ends one in which a reader that is held up does nothing.
    reader = engine.execution_options(isolation_level="AUTOCOMMIT")
    try:
        with explained(crew.url):
            news = Registry(reader, crew.study).look()
    finally:
        engine.dispose()
    workers = [WorkerStatus.of(row) for row in news.workers]
    reports = [row.report for row in news.workers if row.report.elite is not None]
    best = max(reports, key=_score, default=None)
    is_over = not any(worker.is_live for worker in workers)
    run = news.run
    return Status(
        name=crew.study,
        workers=workers,
        text=None if best is None else best.text,
        score=None if best is None else _score(best),
        elapsed=run.spent if is_over else run.elapsed,
        seconds=run.seconds,
        max_evaluations=run.max_evaluations,
        is_over=is_over,
    )


def _score(report: Report) -> float:
    assert report.elite is not None
    return report.elite["score"]


def _alone(run: Path) -> Status:
    """Return the status of a search by one process, from the events in its folder."""
    from mean_prompt.runs import (
        Recipe,  # brings torch, which a look at a database need not wait for
    )

    events = list(read_events(run / EVENTS)) if (run / EVENTS).exists() else []
    bests = [event for event in events if event["event"] == "best"]
    last = events[-1] if events else {"time": 0.0, "evaluations": 0}
    elapsed, evaluations = float(last["time"]), int(last["evaluations"])
    state = _state_of(run, elapsed)
    score = bests[-1]["score"] if bests else None
    worker = WorkerStatus(
        number=0,
        name="one process",
        state=state,
        is_live=state == "climbing",
        silent=max(0.0, time.time() - (run / EVENTS).stat().st_mtime) if events else 0.0,
        climbs=1 + max((event.get("trial", 0) for event in events), default=-1),
        evaluations=evaluations,
        rate=evaluations / elapsed if elapsed else 0.0,
        score=score,
    )
    limits = Recipe.load(run / RECIPE).search
    return Status(
        name=run.resolve().name,
        workers=[worker],
        text=(run / BEST).read_text("utf-8") if bests else None,
        score=score,
        elapsed=elapsed,
        seconds=parse_duration(limits.budget) if limits.budget else None,
        max_evaluations=limits.max_evaluations,
        is_over=state != "climbing",
    )


def _state_of(run: Path, elapsed: float) -> str:
    """Return what the process of a run does.

    A run that nobody works in was ended by somebody, and can be gone on with, where it has no
    result, or has gone on since and has no new one.

    Args:
        run: its folder.
        elapsed: seconds of its budget at its last event.
    """
    if is_held(run):
        return "climbing"
    result = SearchResult.find(run)
    if result is None or result.is_before(elapsed):
        return "lost"
    return "stopped" if result.stopped else "ended"
