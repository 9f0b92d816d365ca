"""Who works on a study: a row for the run, and one a worker, beside Optuna's tables.

All times are the server's, in seconds since 1970, so that machines whose clocks differ agree on
who was heard of when.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from mean_prompt.optimize import Elite, Mark
from mean_prompt.system import InputError, RunError

#: Version of the two tables below.
SCHEMA: Final = 1
#: Seconds after which a worker that was not heard of is taken for lost.
LEASE: Final = 20.0
#: Seconds of a budget that are kept for what comes after the workers' end.
_RESERVE: Final = 2.0
#: Tries to get a number that no other worker took at the same moment.
_TRIES: Final = 100

Phase = Literal["starting", "climbing", "ended", "failed"]

METADATA: Final = sa.MetaData()
_RUNS: Final = sa.Table(
    "mean_prompt_runs",
    METADATA,
    sa.Column("study", sa.String(256), primary_key=True),
    sa.Column("schema", sa.Integer, nullable=False),
    sa.Column("id", sa.String(32), nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("crew", sa.Integer, nullable=False),
    sa.Column("started", sa.Float(53), nullable=False),
    sa.Column("spent", sa.Float(53), nullable=False),
    sa.Column("seconds", sa.Float(53)),
    sa.Column("max_evaluations", sa.BigInteger),
    sa.Column("stopped", sa.Boolean, nullable=False),
)
_WORKERS: Final = sa.Table(
    "mean_prompt_workers",
    METADATA,
    sa.Column("study", sa.String(256), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(256), nullable=False),
    sa.Column("joined", sa.Float(53), nullable=False),
    sa.Column("beat", sa.Float(53), nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("evaluations", sa.BigInteger, nullable=False),
    sa.Column("rate", sa.Float(53), nullable=False),
    sa.Column("climbs", sa.Integer, nullable=False),
    sa.Column("score", sa.Float(53)),
    sa.Column("text", sa.Text),
    sa.Column("body", sa.Text),
    sa.Column("mark", sa.Text),
)


class _Now(FunctionElement[float]):
    """The server's clock, in seconds since 1970."""

    type = sa.Float(53)
    inherit_cache = True


@compiles(_Now, "sqlite")
def _now_in_sqlite(_element: _Now, _compiler: object, **_options: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(_Now, "postgresql")
def _now_in_postgresql(_element: _Now, _compiler: object, **_options: object) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of itself.

    Attributes:
        phase: what it is doing.
        evaluations: strings that it encoded, in all its processes.
        rate: of these, a second.
        climbs: that it began.
        text: its best string, or ``None`` before there is one.
        elite: the same for other workers.
        mark: where its present climb stands.
    """

    phase: Phase = "starting"
    evaluations: int = 0
    rate: float = 0.0
    climbs: int = 0
    text: str | None = None
    elite: Elite | None = None
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """What is known of a worker.

    Attributes:
        number: of the worker.
        name: host and process.
        joined: when its present process began to work, by the server's clock.
        silent: seconds since it was last heard of.
        report: what it said then.
    """

    number: int
    name: str
    joined: float
    silent: float
    report: Report

    @property
    def is_over(self) -> bool:
        """Whether it said that it had ended."""
        return self.report.phase in {"ended", "failed"}

    def is_live(self, lease: float | None = None) -> bool:
        """Tell whether it works, as far as anybody can know."""
        return not self.is_over and self.silent <= (LEASE if lease is None else lease)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run that is shared.

    Attributes:
        plan: what the workers are to do: plain values by name.
        crew: workers that share its rounds.
        id: that no other run has; given by the registry.
        elapsed: seconds that its budget's clock has run.
        spent: the same when the conductor was last heard of; a run that is gone on with counts
            from there.
        seconds, max_evaluations: its budget.
        stopped: whether somebody asked for its end.
    """

    plan: Mapping[str, Any]
    crew: int
    elapsed: float
    spent: float
    seconds: float | None
    max_evaluations: int | None
    stopped: bool = False
    id: str = ""

    @property
    def climbing_seconds(self) -> float | None:
        """The workers' part of the budget, after which their strings are scored again."""
        if self.seconds is None:
            return None
        return self.seconds - min(_RESERVE, 0.1 * self.seconds)


@dataclass(frozen=True, slots=True)
class News:
    """What a look into the registry shows."""

    run: RunRow
    workers: Sequence[WorkerRow]


class Registry:
    """The rows of one study.

    Args:
        engine: of the storage.
        study: its name.
    """

    def __init__(self, engine: sa.Engine, study: str) -> None:
        self._engine = engine
        self.study = study
        self._mine = _WORKERS.c.study == study

    def begin(
        self,
        plan: Mapping[str, Any],
        *,
        crew: int,
        seconds: float | None,
        max_evaluations: int | None,
        elapsed: float = 0.0,
    ) -> float:
        """Put the run's row in, or go on with the one that is there by another budget.

        Args:
            plan: what the workers are to do: plain values by name.
            crew: workers that share its rounds.
            seconds: budget of the run, and so is ``max_evaluations``.
            max_evaluations: of all workers together.
            elapsed: seconds since this process began to spend it.

        Returns:
            Seconds of the budget that were spent before.

        Raises:
            InputError: the run there has another plan.
        """
        limits = {
            "crew": crew,
            "seconds": seconds,
            "max_evaluations": max_evaluations,
            "stopped": False,
        }
        mine = _RUNS.c.study == self.study
        with self._engine.begin() as connection:
            there = connection.execute(
                sa.select(_RUNS.c.plan, _RUNS.c.spent).where(mine)
            ).one_or_none()
            spent = 0.0 if there is None else float(there.spent)
            values = limits | {"started": _Now() - (spent + elapsed), "spent": spent + elapsed}
            if there is None:
                row = {
                    "study": self.study,
                    "schema": SCHEMA,
                    "id": uuid.uuid4().hex,
                    "plan": json.dumps(plan),
                }
                connection.execute(_RUNS.insert().values(row | values))
            elif json.loads(there.plan) == json.loads(json.dumps(plan)):
                connection.execute(_RUNS.update().where(mine).values(values))
            else:
                raise InputError(
                    f"--study must be a new name, or that of the same run: {self.study!r} is of "
                    "another corpus, model or recipe; give another --study"
                )
        return spent

    def conduct(self, spent: float) -> News:
        """Say how much of the budget is spent, and hear what there is to know."""
        with self._engine.begin() as connection:
            connection.execute(
                _RUNS.update().where(_RUNS.c.study == self.study).values(spent=spent)
            )
            return self._look(connection)

    def look(self) -> News:
        """Return what is there.

        Raises:
            InputError: there is no such study, or it is of another version.
        """
        with self._engine.begin() as connection:
            return self._look(connection)

    def join(self, name: str) -> int:
        """Put a new worker's row in, and return its number.

        Args:
            name: host and process.

        Raises:
            RunError: others were quicker again and again.
        """
        for _ in range(_TRIES):
            with self._engine.begin() as connection:
                highest = connection.execute(
                    sa.select(sa.func.max(_WORKERS.c.number)).where(self._mine)
                ).scalar()
            number = 0 if highest is None else highest + 1
            row = {"study": self.study, "number": number, "name": name}
            try:
                with self._engine.begin() as connection:
                    connection.execute(
                        _WORKERS.insert().values(
                            row | {"joined": _Now(), "beat": _Now()} | _values(Report())
                        )
                    )
            except IntegrityError:  # another worker took the number meanwhile
                continue
            return number
        raise RunError(f"no number was free for a worker of {self.study!r}: start it again")

    def rejoin(self, number: int, name: str) -> Report:
        """Let another process go on as a worker, and return what that had last said.

        Raises:
            InputError: there is no such worker.
        """
        mine = (self._mine, _WORKERS.c.number == number)
        now = {"name": name, "joined": _Now(), "beat": _Now(), "phase": "starting"}
        with self._engine.begin() as connection:
            connection.execute(_WORKERS.update().where(*mine).values(now))
            row = connection.execute(sa.select(_WORKERS).where(*mine)).one_or_none()
        if row is None:
            raise InputError(
                f"a worker goes on with its own study: {self.study!r} has no worker {number}; "
                "begin with another folder"
            )
        return _report(row)

    def beat(self, number: int, report: Report) -> News:
        """Say what a worker is doing, and hear what there is to know, in one transaction."""
        with self._engine.begin() as connection:
            connection.execute(
                _WORKERS.update()
                .where(self._mine, _WORKERS.c.number == number)
                .values(_values(report) | {"beat": _Now()})
            )
            return self._look(connection)

    def stop(self) -> None:
        """Ask all workers to end."""
        with self._engine.begin() as connection:
            connection.execute(
                _RUNS.update().where(_RUNS.c.study == self.study).values(stopped=True)
            )

    def _look(self, connection: sa.Connection) -> News:
        run = connection.execute(
            sa.select(_RUNS, _Now().label("now")).where(_RUNS.c.study == self.study)
        ).one_or_none()
        if run is None:
            raise InputError(
                f"--study must be one of the storage: there is no {self.study!r} in it"
            )
        if run.schema != SCHEMA:
            raise InputError(
                f"the study must be of this version of mean-prompt: {self.study!r} has tables of "
                f"version {run.schema}, this one reads {SCHEMA}; install one version everywhere"
            )
        rows = connection.execute(
            sa.select(_WORKERS).where(self._mine).order_by(_WORKERS.c.number)
        ).all()
        return News(
            RunRow(
                json.loads(run.plan),
                run.crew,
                run.now - run.started,
                run.spent,
                run.seconds,
                run.max_evaluations,
                run.stopped,
                run.id,
            ),
            [_worker(row, run.now) for row in rows],
        )


def _values(report: Report) -> dict[str, Any]:
    elite = report.elite
    return {
        "phase": report.phase,
        "evaluations": report.evaluations,
        "rate": report.rate,
        "climbs": report.climbs,
        "score": None if elite is None else elite["score"],
        "text": report.text,
        "body": None if elite is None else json.dumps(elite["body"]),
        "mark": None if report.mark is None else json.dumps(report.mark),
    }


def _worker(row: sa.Row[Any], now: float) -> WorkerRow:
    return WorkerRow(row.number, row.name, row.joined, max(0.0, now - row.beat), _report(row))


def _report(row: sa.Row[Any]) -> Report:
    elite = Elite(body=json.loads(row.body), score=row.score) if row.body else None
    mark: Mark | None = json.loads(row.mark) if row.mark else None
    return Report(row.phase, row.evaluations, row.rate, row.climbs, row.text, elite, mark)
