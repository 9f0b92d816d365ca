"""Following a run from outside: what its page shows now, rendered no oftener than it changes."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mean_prompt.report.live.state import Stamp, State, run_state, stamp_of
from mean_prompt.report.page.page import Parts, fragment
from mean_prompt.runs import ANALYSIS, EVENTS, RECIPE, RESULT
from mean_prompt.system import MeanPromptError

#: Element of the page that says how the search is; what is said beside what its files tell.
_STATUS: Final = "status"
_SAID: Final[dict[State, str]] = {
    "running": "Running: a search works on this run, and this page follows it.",
    "interrupted": "Interrupted: mean-prompt search --resume goes on with it.",
}
#: What a page is made of, but for the state.
_FILES: Final = (RECIPE, EVENTS, RESULT, ANALYSIS)
#: Seconds between two readings; while a search runs also so many times what one takes of a core, up
#: to the last, so that the search keeps its own.
_LEAST_PAUSE: Final = 1.0
_PAUSE_FACTOR: Final = 30.0
_MOST_PAUSE: Final = 15.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows.

    Attributes:
        parts: of the page.
        data: the same as JSON, with the version.
        version: a hash of the parts.
    """

    parts: Parts
    data: bytes
    version: str

    @classmethod
    def of(cls, parts: Parts) -> Shown:
        """Return parts with their version."""
        body = {"sections": dict(parts.sections), "figures": dict(parts.figures)}
        version = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
        data = json.dumps({"version": version, **body}, allow_nan=False).encode()
        return cls(parts, data, version)


class Follower:
    """Reads a run's folder when it is asked to, and there is something new in it.

    Args:
        run: the folder.
        read: makes a page's parts from it.
        empty: the page of a run that could not be read yet.
    """

    def __init__(self, run: Path, read: Callable[[Path], Parts], empty: Parts) -> None:
        self._run = run
        self._read = read
        self._guard = threading.Lock()
        self._stamp: tuple[Stamp | None, ...] | None = None
        self._next = 0.0
        self._parts = empty
        self._said: list[str] = []
        self._fault = ""
        self._shown = Shown.of(empty)

    def latest(self) -> Shown:
        """Return what the page shows now.

        Raises:
            OSError: the folder is gone.
        """
        with self._guard:
            state = run_state(self._run)
            renewed = self._renew(state)
            said = [line for line in (_SAID.get(state), self._fault) if line]
            if renewed or said != self._said:
                self._said = said
                self._shown = Shown.of(self._with_status(state))
            return self._shown

    def _with_status(self, state: State) -> Parts:
        """Return the parts with what there is to say of the search put first."""
        own = self._parts.sections.get(_STATUS, "")
        lines = [fragment("search/status.html", state=state, line=line) for line in self._said]
        sections = {**self._parts.sections, _STATUS: "".join([*lines, own])}
        return replace(self._parts, sections=sections)

    def _renew(self, state: State) -> bool:
        """Read the folder again where that is due; tell whether there are new parts."""
        stamp = tuple(stamp_of(self._run / name) for name in _FILES)
        if stamp == self._stamp or time.monotonic() < self._next:
            return False
        began = time.thread_time()
        try:
            self._parts = self._read(self._run)
        except (MeanPromptError, OSError) as error:
            # What was read before stays, and it is tried again.
            self._fault = f"The run cannot be read: {error}"
            return False
        finally:
            cost = _PAUSE_FACTOR * (time.thread_time() - began) if state == "running" else 0.0
            self._next = time.monotonic() + min(_MOST_PAUSE, max(_LEAST_PAUSE, cost))
        self._stamp, self._fault = stamp, ""
        return True
