"""Follow a run from another process: read its page again only if the run's files have changed."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mean_prompt.report.page.page import PageParts
from mean_prompt.report.page.run_report import HEADINGS, page_title, run_parts, status_section
from mean_prompt.runs import ANALYSIS, EVENTS, RECIPE, RESULT, ROWS, RunStatus
from mean_prompt.system import MeanPromptError

#: The files that a page is made of; the run's status is read at every request.
_FILES: Final = (RECIPE, EVENTS, RESULT, ANALYSIS, ROWS)
#: Seconds between two readings. While a search runs, the pause is at least this multiple of the CPU
#: seconds that a reading takes, up to the last bound, so that the search keeps its cores.
_LEAST_PAUSE: Final = 1.0
_PAUSE_FACTOR: Final = 30.0
_MOST_PAUSE: Final = 15.0

#: Modification time in nanoseconds, size in bytes and inode: they change when a file does.
FileStamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PageVersion:
    """The content of a live page at one time, with a hash that identifies that content."""

    parts: PageParts
    data: bytes
    version: str

    @classmethod
    def of(cls, parts: PageParts) -> PageVersion:
        """Return the content of a page with its JSON and its hash."""
        body = {"sections": dict(parts.sections), "figures": dict(parts.figures)}
        version = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32]
        data = json.dumps({"version": version, **body}, allow_nan=False).encode()
        return cls(parts, data, version)


class Follower:
    """Holds the content of a run's live page, and reads the run's folder again if files changed."""

    def __init__(self, run: Path, read: Callable[[Path], PageParts] = run_parts) -> None:
        self._run = run
        self._read = read
        self._guard = threading.Lock()
        self._stamps: tuple[FileStamp | None, ...] | None = None
        self._next = 0.0
        self._parts = PageParts(page_title(run), HEADINGS, {}, {})
        self._fault = ""
        self._state: tuple[str, str] | None = None
        self._shown = PageVersion.of(self._parts)

    def latest(self) -> PageVersion:
        """Return the current content of the run's page.

        Raises:
            FileNotFoundError: the run's folder is gone.
        """
        with self._guard:
            self._run.stat()
            status = RunStatus.read(self._run)
            is_new = self._read_again(is_running=status.state == "running")
            if is_new or self._state != (status.state, self._fault):
                self._state = status.state, self._fault
                own = status_section(status, self._fault)
                sections = {**self._parts.sections, "status": own}
                self._shown = PageVersion.of(replace(self._parts, sections=sections))
            return self._shown

    def _read_again(self, *, is_running: bool) -> bool:
        """Read the run's folder again if its files have changed; return whether it was read."""
        stamps = tuple(_stamp(self._run / name) for name in _FILES)
        if stamps == self._stamps or time.monotonic() < self._next:
            return False
        began = time.thread_time()
        try:
            self._parts = self._read(self._run)
        except (MeanPromptError, OSError) as error:
            # The content that was read before stays, and the folder is read again after the pause.
            self._fault = f"The run cannot be read: {error}"
            return False
        finally:
            cost = _PAUSE_FACTOR * (time.thread_time() - began) if is_running else 0.0
            self._next = time.monotonic() + min(_MOST_PAUSE, max(_LEAST_PAUSE, cost))
        self._stamps, self._fault = stamps, ""
        return True


def _stamp(path: Path) -> FileStamp | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
