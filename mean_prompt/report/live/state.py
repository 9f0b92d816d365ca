"""How a search is, as its folder tells it to others, and until when its page is needed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final, Literal

from mean_prompt.runs import EVENTS, LIVE, RESULT
from mean_prompt.system import is_held

State = Literal["running", "ended", "interrupted"]
#: What changes when a file does: its time in nanoseconds, its bytes, its number on the disk.
Stamp = tuple[int, int, int]

#: Seconds that the page of a search that is over is served after it was last asked for. A browser
#: lets a hidden page ask once a minute.
GRACE: Final = 300.0


def run_state(run: Path) -> State:
    """Return how the search in a run's folder is.

    One that nobody works in was interrupted where it has no result, or has gone on since it had.

    Raises:
        OSError: the folder is gone.
    """
    if is_held(run):
        return "running"
    result, events = stamp_of(run / RESULT), stamp_of(run / EVENTS)
    if result is None or (events is not None and events[0] > result[0]):
        return "interrupted"
    return "ended"


def stamp_of(path: Path) -> Stamp | None:
    """Return a file's stamp, or ``None`` where it is missing."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Need:
    """Tells whether a run's server is needed.

    It is while the search runs, and then for as long as the page is asked for; never without the
    run's folder.

    Args:
        run: the folder, with the server's own in it.
        grace: seconds that it is needed after it was last asked for.
    """

    def __init__(self, run: Path, grace: float) -> None:
        self._run = run
        self._grace = grace
        self._place = (run / LIVE).stat().st_ino
        self._ran = time.monotonic()

    def __call__(self, asked: float) -> bool:
        """Tell whether to go on, where the page was last asked for then, by ``time.monotonic``."""
        try:
            if (self._run / LIVE).stat().st_ino != self._place:
                return False  # another run is there now
            state = run_state(self._run)
        except FileNotFoundError:
            return False
        now = time.monotonic()
        if state == "running":
            self._ran = now
        return now - max(self._ran, asked) < self._grace
