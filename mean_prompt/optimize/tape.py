"""What a search learned from outside itself, kept so that it can be told again.

A search is a function of its seed but for three things: what the encoder says, what the clock
says, and what other workers say. A tape hears all of them. After a crash the search goes back to
its last snapshot and is run again from there with the tape's answers instead of the encoder's, the
clock's and the others', until the tape ends; from there on it goes on live, with nothing paid for
twice.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from mean_prompt.objective import Vectors
from mean_prompt.system import State, dump, unwritable


class ReplayError(Exception):
    """The search asks something else than it asked when the tape was made."""


class Tape:
    """Hears what comes from outside, and keeps none of it."""

    #: Whether answers come from an earlier process.
    replaying: bool = False

    def value(self, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """Return a plain value that depends on more than the seed."""
        return make()

    def vectors(self, texts: Sequence[str], make: Callable[[], Vectors]) -> Vectors:
        """Return the vectors of some strings: (n,) -> (n, d)."""
        del texts
        return make()


class FileTape(Tape):
    """Keeps what it hears in a file, and first tells what was heard before.

    A crash of the program costs the last answer at most, and a power cut what the system had not
    written yet: the file is not synced, since a search waits for each answer.

    Args:
        path: appended to, and made if need be.
        heard: entries of the file, to be told first.
        clock: seconds that the search has spent, kept with each answer.

    Raises:
        RunError: the file cannot be written.
    """

    def __init__(self, path: Path, heard: Sequence[State], clock: Callable[[], float]) -> None:
        self._heard = deque(heard)
        self._clock = clock
        self._open(path, "ab")

    @property
    def replaying(self) -> bool:  # type: ignore[override]
        """Whether the next answer was heard before."""
        return bool(self._heard)

    def value(self, make: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Return a value heard before, or make it and write it down.

        Raises:
            ReplayError: vectors were heard here.
            RunError: the file can no longer be written.
        """
        if self._heard:
            return self._next("value")["value"]
        made = make()
        self._write({"value": made})
        return made

    def vectors(self, texts: Sequence[str], make: Callable[[], Vectors]) -> Vectors:
        """Return vectors heard before, or make them and write them down.

        Raises:
            ReplayError: those of other strings were heard here.
            RunError: the file can no longer be written.
        """
        named = zlib.crc32("\0".join(texts).encode("utf-8", "surrogatepass"))
        if self._heard:
            entry = self._next("vectors")
            if entry["of"] != named:
                raise ReplayError
            found: Vectors = entry["vectors"].numpy()
            return found
        made = make()
        self._write({"of": named, "vectors": made})
        return made

    def forget(self) -> None:
        """Tell nothing more of what was heard before, and keep none of it.

        Raises:
            RunError: the file cannot be written.
        """
        self.restart(self._path)

    def restart(self, path: Path) -> None:
        """Go over to an empty file, and forget what was heard.

        Raises:
            RunError: it cannot be written.
        """
        self._file.close()
        self._heard.clear()
        self._open(path, "wb")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self, path: Path, mode: Literal["ab", "wb"]) -> None:
        self._path = path
        try:
            self._file = path.open(mode, buffering=0)
        except OSError as error:
            raise unwritable(path, error) from error

    def _next(self, kind: str) -> State:
        entry = self._heard.popleft()
        if kind not in entry:
            raise ReplayError
        return entry

    def _write(self, entry: State) -> None:
        data = memoryview(dump({**entry, "at": self._clock()}))
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise unwritable(self._path, error) from error
