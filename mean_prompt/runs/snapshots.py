"""The state of a search on disk: a snapshot now and then, and a tape of what came after it.

The folder holds ``state-000012.bin``, and ``tape-000012.bin`` with what the search heard since. A
new snapshot is whole before the old one goes, and begins a new tape.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mean_prompt.optimize import FileTape
from mean_prompt.system import InputError, State, dump, frames, load, unwritable, write_atomically

#: Seconds between two snapshots at least, and their time as a share of the run's at most. What
#: came since the last one is told again from the tape, at about twice the speed that it came.
_LEAST_PAUSE: Final = 10.0
_SHARE: Final = 0.02
_STATE: Final = re.compile(r"state-(\d{6})\.bin")


class Snapshots:
    """The snapshots of one search.

    Args:
        folder: theirs, made if need be.

    Attributes:
        folder: theirs.
        state: the last snapshot that an earlier process took, or ``None``.
        spent: seconds that the search had spent when it was last heard of.
        entries: of the tape since that snapshot.

    Raises:
        InputError: the last snapshot is damaged.
        RunError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tape: FileTape | None = None
        try:
            folder.mkdir(exist_ok=True)
            self._number, self.state = self._latest()
            self.entries = self._tape_entries() if self.state else []
        except OSError as error:
            raise unwritable(folder, error) from error
        last = self.entries[-1]["at"] if self.entries else 0.0
        self.spent = max(last, self.state["spent"] if self.state else 0.0)
        self._due = time.monotonic() + _LEAST_PAUSE

    def tape(self, clock: Callable[[], float]) -> FileTape:
        """Return the tape, which first tells what it heard since the last snapshot.

        Args:
            clock: seconds that the search has spent.
        """
        self._tape = FileTape(self._path("tape"), self.entries, clock)
        return self._tape

    def close(self) -> None:
        """Close the tape."""
        if self._tape is not None:
            self._tape.close()

    @property
    def evaluations(self) -> int:
        """Strings that were encoded after the last snapshot."""
        return sum(len(entry["vectors"]) for entry in self.entries if "vectors" in entry)

    def is_due(self) -> bool:
        """Tell whether it is time for a snapshot."""
        return time.monotonic() >= self._due

    def keep(self, state: State, tape: FileTape) -> None:
        """Replace the last snapshot, and let the tape begin anew.

        Args:
            state: of the search between two steps; ``spent`` holds the seconds.
            tape: of this search.

        Raises:
            RunError: the disk does not take it; the last snapshot and the tape are whole.
        """
        began = time.monotonic()
        self._number += 1
        path = self._path("state")
        try:
            write_atomically(path, dump(state))
        except OSError as error:
            raise unwritable(path, error) from error
        self.state = None
        tape.restart(self._path("tape"))
        self._discard_older()
        took = time.monotonic() - began
        self._due = time.monotonic() + max(_LEAST_PAUSE, took / _SHARE)

    def _latest(self) -> tuple[int, State | None]:
        numbers = [int(found[1]) for path in self.folder.iterdir() if (found := _is_state(path))]
        if not numbers:
            return 0, None
        number = max(numbers)
        path = self.folder / f"state-{number:06}.bin"
        try:
            return number, load(path.read_bytes())
        except ValueError as error:
            raise InputError(
                f"a snapshot must be whole to go on from: {path} is damaged; begin a new run"
            ) from error

    def _tape_entries(self) -> list[State]:
        """Return what the tape holds; what a crash tore off its end is cut away."""
        path = self._path("tape")
        if not path.exists():
            return []
        data = path.read_bytes()
        whole = list(frames(data))
        end = whole[-1][1] if whole else 0
        if end < len(data):
            with path.open("rb+") as file:
                file.truncate(end)
        return [entry for entry, _ in whole]

    def _path(self, kind: str) -> Path:
        return self.folder / f"{kind}-{self._number:06}.bin"

    def _discard_older(self) -> None:
        kept = {self._path("state").name, self._path("tape").name}
        for path in self.folder.glob("*-*.bin"):
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _is_state(path: Path) -> re.Match[str] | None:
    return _STATE.fullmatch(path.name)
