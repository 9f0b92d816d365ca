"""Status of the search in a run's folder (running, finished, ...), read from its files."""

from __future__ import annotations

import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mean_prompt.runs.files import BEST, EVENTS, RECIPE, read_events
from mean_prompt.runs.result import SearchResult
from mean_prompt.system import (
    InputError,
    format_duration,
    is_held,
    parse_duration,
    path_exists,
)

RunState = Literal["running", "finished", "stopped", "interrupted", "damaged"]


@dataclass(frozen=True, slots=True)
class RunningClimb:
    """A climb that has begun and not ended.

    Attributes:
        number: number of the climb in its study, from 0.
        tenths: tenths of its length that are over, at its last milestone.
        fraction: score of its best string there, as a share of the ceiling.
    """

    number: int
    tenths: int
    fraction: float


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Status of the search in a run's folder, with its best string so far.

    Attributes:
        state: ``running`` while a process works in the folder, then ``finished``, ``stopped`` by
            the user before its budget was spent, or ``interrupted``, without a result;
            ``damaged`` if a file cannot be read.
        score: the string's expected SCS, over every prompt once there is a result, until then
            over the training prompts; ``None`` if no event has it, as may be after a resumption.
        seconds_left: seconds until the end of the budget; ``None`` if time is not limited or the
            search is not running.
        last_event: when the last event was written, in seconds since the epoch, or ``None``.
        climbs: the climbs that run, one a climber; empty if the search is not running.
    """

    name: str
    state: RunState
    string: str | None = None
    score: float | None = None
    fraction: float | None = None
    evaluations: int = 0
    seconds: float = 0.0
    seconds_left: float | None = None
    last_event: float | None = None
    climbs: tuple[RunningClimb, ...] = ()
    fault: str | None = None

    @property
    def rate(self) -> float | None:
        """Evaluations per second of the run until its last event, or ``None`` before the first."""
        return self.evaluations / self.seconds if self.evaluations and self.seconds else None

    @classmethod
    def read(cls, folder: Path) -> RunStatus:
        """Read the status of the run in a folder; raise an InputError if it holds no run."""
        if not path_exists(folder / RECIPE):
            raise InputError(
                f"a run's folder must hold its {RECIPE}: found none in {folder}; name the folder "
                "that a search was given as --out"
            )
        name = folder.resolve().name
        try:
            return _read(folder, name)
        except (InputError, OSError, ValueError, KeyError, TypeError) as error:
            is_plain = isinstance(error, InputError)
            fault = str(error) if is_plain else f"{type(error).__name__}: {error}"
            return cls(name, "damaged", fault=fault)

    def describe(self) -> str:
        """Return the run's state and the effort spent as one sentence."""
        if self.fault is not None:
            return f"Damaged: {self.fault}"
        spent = "nothing was found yet"
        if self.evaluations:
            spent = f"{self.evaluations:,} strings encoded in {format_duration(self.seconds)}"
        note = "; mean-prompt search --resume continues it" if self.state == "interrupted" else ""
        return f"{self.state.capitalize()}: {spent}{note}."

    def as_dict(self) -> dict[str, Any]:
        """Return the status as a dict of plain values, for JSON."""
        return asdict(self) | {
            "rate": self.rate,
            "climbs": [asdict(climb) for climb in self.climbs],
        }


def current_result(folder: Path, seconds: float | None) -> SearchResult | None:
    """Return a run's result, or ``None`` if the search went on after it, to ``seconds``."""
    result = SearchResult.find(folder)
    is_old = result is not None and seconds is not None and result.is_before(seconds)
    return None if is_old else result


def ended_state(result: SearchResult) -> RunState:
    """Return the state of a run with a result: ``stopped`` or ``finished``."""
    return "stopped" if result.stopped else "finished"


def _read(folder: Path, name: str) -> RunStatus:
    last, best = _last_events(folder)
    seconds = float(last["time"]) if last else None
    result = current_result(folder, seconds)
    written = (folder / EVENTS).stat().st_mtime if last else None
    state: RunState = "interrupted" if result is None else ended_state(result)
    if is_held(folder):
        state = "running"
    string = result.string if result else _best_string(folder, best)
    if best and best["text"] != string:
        best = None
    return RunStatus(
        name=name,
        state=state,
        string=string,
        score=result.score if result else float(best["score"]) if best else None,
        fraction=result.fraction if result else float(best["fraction"]) if best else None,
        evaluations=result.evaluations if result else int(last["evaluations"]) if last else 0,
        seconds=result.seconds if result else seconds or 0.0,
        seconds_left=_seconds_left(folder, seconds, written) if state == "running" else None,
        last_event=written,
        climbs=_running_climbs(folder) if state == "running" else (),
    )


def _last_events(folder: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    if not path_exists(folder / EVENTS):
        return None, None
    events = read_events(folder / EVENTS, backwards=True)
    last = next(events, None)
    if last is None or last["event"] == "best":
        return last, last
    return last, next((event for event in events if event["event"] == "best"), None)


def _running_climbs(folder: Path) -> tuple[RunningClimb, ...]:
    running: dict[int, RunningClimb] = {}
    for event in read_events(folder / EVENTS) if path_exists(folder / EVENTS) else ():
        number = event.get("trial", 0)
        if event["event"] == "stage":
            running[number] = RunningClimb(number, int(event["number"]), float(event["fraction"]))
        elif event["event"] == "climb":
            running.pop(number, None)
    return tuple(running.values())


def _best_string(folder: Path, best: dict[str, Any] | None) -> str | None:
    """Return the best string so far, also if a resumed search has cut the event that logged it."""
    if path_exists(folder / BEST):
        return (folder / BEST).read_bytes().decode("utf-8")
    return str(best["text"]) if best else None


def _seconds_left(folder: Path, seconds: float | None, written: float | None) -> float | None:
    limits = tomllib.loads((folder / RECIPE).read_text("utf-8")).get("search", {})
    if "budget" not in limits:
        return None
    since = 0.0 if written is None else max(0.0, time.time() - written)
    return max(0.0, parse_duration(limits["budget"]) - (seconds or 0.0) - since)
