"""The history of a search, read from its events."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from mean_prompt.system import InputError

Change = Literal["same", "out", "in"]

#: Blanks go with the word behind them, so that a diff can be read aloud.
_WORDS: Final = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """The best score at one time of a search.

    Attributes:
        evaluations: strings encoded until then.
        score: expected SCS over the training prompts.
        fraction: the score as a share of the ceiling over these prompts.
    """

    seconds: float
    evaluations: int
    score: float
    fraction: float


@dataclass(frozen=True, slots=True)
class Improvement:
    """A string that was better than all before it.

    Attributes:
        trial: number of the climb that found it.
        move: what led to it: an edit, a kind of start, or a worker.
        before: the best string until then, or ``None`` for the first.
        gain: gain in score over that string; the score itself for the first.
        holdout: score over the hold-out, if it was known.
    """

    point: ProgressPoint
    trial: int
    move: str
    text: str
    before: str | None
    gain: float
    holdout: float | None

    def diff(self) -> list[tuple[Change, str]]:
        """Return what the edit kept, removed and inserted, word by word."""
        return diff("" if self.before is None else self.before, self.text)


@dataclass(frozen=True, slots=True)
class ClimbHistory:
    """One climb, as far as the run's events report it.

    Attributes:
        worker: number of the worker, or ``None`` in a search by one process.
        trial: number of the climb.
        points: points along it, the start first.
        params: the settings that were drawn for it, by Optuna's names, once it ended.
        ended: how it ended, or ``None`` while it runs.
        spent: strings encoded for it, once it ended.
        score: score of its best string; ``fraction`` is its share of the ceiling.
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
        """How it started; ``running`` while that is not known."""
        return str(self.params.get("start", "running"))

    @property
    def name(self) -> str:
        """Its name on a page."""
        return f"climb {self.trial}" if self.worker is None else f"{self.worker}: {self.trial}"


@dataclass(frozen=True, slots=True)
class History:
    """What the events of a run report.

    Attributes:
        climbs: the climbs, by worker and number.
        resumes: seconds of the run at which it was resumed.
        last: seconds and evaluations at the last event, or ``None`` without events.
    """

    improvements: tuple[Improvement, ...] = ()
    climbs: tuple[ClimbHistory, ...] = ()
    resumes: tuple[float, ...] = ()
    last: tuple[float, int] | None = None


#: Events of one climb, each with the points that it adds.
_ClimbEvents = list[tuple[dict[str, Any], list[ProgressPoint]]]


def read_history(events: Iterable[dict[str, Any]]) -> History:
    """Read a run's events, in the order in which they stand.

    Raises:
        InputError: an event lacks what events have.
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
    """Return what an edit of a string kept, removed and inserted, word by word, in their order."""
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
    """Return each move with the number of its improvements and their total gain, the largest first.

    The first string of a run is no improvement on another.
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
    """Return the points that an event adds to its climb.

    A climb of a worker is reported at its end: its scores are spread over its time.
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
