"""Read the history of a search (best strings, climbs, resumptions) from its log of events."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from mean_prompt.system import InputError

Change = Literal["same", "out", "in"]

#: White space belongs to the word after it, so that a diff reads as text.
_WORDS: Final = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """The best score at one time of a search.

    Attributes:
        evaluations: number of strings encoded until then.
        score: expected SCS (sharpened cosine similarity) over the training prompts.
        fraction: the score divided by the highest score of any unit vector, the ceiling.
    """

    seconds: float
    evaluations: int
    score: float
    fraction: float


@dataclass(frozen=True, slots=True)
class Improvement:
    """A string of a search that scored higher than all strings before it.

    Attributes:
        trial: number of the climb (local search from one start) that found the string.
        move: what led to the string: a kind of edit, a kind of start, or a worker.
        gain: gain in score over ``before``; the score itself for the first string.
    """

    point: ProgressPoint
    trial: int
    move: str
    text: str
    before: str | None
    gain: float
    holdout: float | None

    def diff(self) -> list[tuple[Change, str]]:
        """Return a word diff of the string and the best string before it."""
        return diff("" if self.before is None else self.before, self.text)


@dataclass(frozen=True, slots=True)
class ClimbHistory:
    """One climb (local search from one start) of a search, as read from the run's events.

    Attributes:
        worker: number of the worker process, or ``None`` in a search by one process.
        points: best scores along the climb, that of the start first.
        params: the climb's settings, by their names in Optuna, once the climb ended.
        ended: how the climb ended, or ``None`` while it is running.
        spent: number of strings encoded for the climb, once it ended.
        score: score of the climb's best string; ``fraction`` is the score over the ceiling.
    """

    worker: int | None
    trial: int
    points: tuple[ProgressPoint, ...]
    params: dict[str, Any]
    ended: str | None
    spent: int | None
    score: float
    fraction: float

    @property
    def start(self) -> str:
        """The kind of string that the climb started from; ``running`` until the events name it."""
        return str(self.params.get("start", "running"))

    @property
    def name(self) -> str:
        """The climb's name on a page, such as ``climb 3``."""
        return f"climb {self.trial}" if self.worker is None else f"{self.worker}: {self.trial}"


@dataclass(frozen=True, slots=True)
class History:
    """The improvements and climbs of a search, as read from the run's events.

    Attributes:
        resumes: times at which the run was resumed, in seconds of the run.
        last: seconds and evaluations at the last event, or ``None`` without events.
    """

    improvements: tuple[Improvement, ...] = ()
    climbs: tuple[ClimbHistory, ...] = ()
    resumes: tuple[float, ...] = ()
    last: tuple[float, int] | None = None


#: Events of one climb, each with the scores that it adds to the climb's line.
_ClimbEvents = list[tuple[dict[str, Any], list[ProgressPoint]]]


def read_history(events: Iterable[dict[str, Any]]) -> History:
    """Build the history of a search from its events, in the order of the log.

    Raises:
        InputError: an event lacks a field, or a field is malformed.
    """
    improvements: list[Improvement] = []
    climbs: dict[tuple[int, int], _ClimbEvents] = defaultdict(list)
    resumes, last = [], None
    for number, event in enumerate(events, 1):
        try:
            last = float(event["time"]), int(event["evaluations"])
            if event["event"] == "best":
                improvements.append(_improvement(event, improvements))
            elif event["event"] in ("stage", "climb"):
                climbs[event.get("worker", -1), event["trial"]].append((event, _points(event)))
            elif event["event"] == "resume":
                resumes.append(float(event["time"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"a run's events must be whole: number {number} is not: {error!r}; remove that line"
            ) from error
    return History(
        tuple(improvements),
        tuple(_climb(key, found) for key, found in sorted(climbs.items())),
        tuple(resumes),
        last,
    )


def diff(before: str, after: str) -> list[tuple[Change, str]]:
    """Return a word diff of two strings: kept, removed and inserted parts, in their order."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    pieces: list[tuple[Change, str]] = []
    matcher = difflib.SequenceMatcher(a=old, b=new, autojunk=False)
    for tag, i, j, first, last in matcher.get_opcodes():
        if tag == "equal":
            pieces.append(("same", "".join(new[first:last])))
            continue
        if i < j:
            pieces.append(("out", "".join(old[i:j])))
        if first < last:
            pieces.append(("in", "".join(new[first:last])))
    return pieces


def gains_by_move(history: History) -> list[tuple[str, int, float]]:
    """Return (kind of edit, number of improvements, total gain in score), the largest gain first.

    The first string of a run is left out, as it improves on no other.
    """
    found: dict[str, tuple[int, float]] = {}
    for row in history.improvements[1:]:
        count, gain = found.get(row.move, (0, 0.0))
        found[row.move] = count + 1, gain + row.gain
    rows = [(move, *counted) for move, counted in found.items()]
    return sorted(rows, key=lambda row: -row[2])


def _improvement(event: dict[str, Any], before: Sequence[Improvement]) -> Improvement:
    last = before[-1] if before else None
    holdout = event.get("holdout")
    return Improvement(
        point=_point(event),
        trial=int(event["trial"]),
        move=str(event["move"] or "start"),
        text=str(event["text"]),
        before=last.text if last else None,
        gain=float(event["score"]) - (last.point.score if last else 0.0),
        holdout=None if holdout is None else float(holdout),
    )


def _point(event: dict[str, Any]) -> ProgressPoint:
    return ProgressPoint(
        float(event["time"]),
        int(event["evaluations"]),
        float(event["score"]),
        float(event["fraction"]),
    )


def _points(event: dict[str, Any]) -> list[ProgressPoint]:
    """Return the scores, with times, that an event adds to its climb (one local search).

    A worker reports a climb only at its end; the scores are spread evenly over the climb's time.
    """
    end = _point(event)
    reports = event.get("reports", ())
    if not reports or not end.score:
        return [end]
    step = float(event["seconds"]) / len(reports)
    spent = float(event["spent"]) / len(reports)
    return [
        ProgressPoint(
            max(0.0, end.seconds - step * back),
            max(0, round(end.evaluations - spent * back)),
            float(score),
            float(score) * end.fraction / end.score,
        )
        for back, score in zip(reversed(range(len(reports))), reports, strict=True)
    ]


def _climb(key: tuple[int, int], events: _ClimbEvents) -> ClimbHistory:
    (last, _), (worker, trial) = events[-1], key
    is_over = last["event"] == "climb"
    names = ("start", "kick", "order", "phrase", "width", "hot")
    return ClimbHistory(
        worker=None if worker < 0 else worker,
        trial=trial,
        points=tuple(point for _, points in events for point in points),
        params={name: last[name] for name in names if name in last},
        ended=str(last["ended"]) if is_over else None,
        spent=int(last["spent"]) if is_over and "spent" in last else None,
        score=float(last["score"]),
        fraction=float(last["fraction"]),
    )
