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
from typing import Any

from mean_prompt.errors import unwritable
from mean_prompt.objective import Vectors
from mean_prompt.state import Tree, frames, pack


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
    """Keeps what it hears in a file, and first tells what the file holds.

    A crash of the program costs the last answer at most, and a power cut what the system had not
    written yet: the file is not synced, since a search waits for each answer.

    Args:
        path: made if need be; what a crash tore off its end is cut away.

    Raises:
        RunError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._kept = self._read()
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise unwritable(path, error) from error

    @property
    def replaying(self) -> bool:  # type: ignore[override]
        """Whether the next answer comes from the file."""
        return bool(self._kept)

    def value(self, make: Callable[[], Any]) -> Any:  # noqa: ANN401
        """Return a value from the file, or make it and write it down.

        Raises:
            ReplayError: the file goes on with vectors.
            RunError: the file can no longer be written.
        """
        if self._kept:
            return self._next("value")["value"]
        made = make()
        self._write({"value": made})
        return made

    def vectors(self, texts: Sequence[str], make: Callable[[], Vectors]) -> Vectors:
        """Return vectors from the file, or make them and write them down.

        Raises:
            ReplayError: the file holds those of other strings.
            RunError: the file can no longer be written.
        """
        named = zlib.crc32("\0".join(texts).encode("utf-8", "surrogatepass"))
        if self._kept:
            entry = self._next("vectors")
            if entry["of"] != named:
                raise ReplayError
            found: Vectors = entry["vectors"].numpy()
            return found
        made = make()
        self._write({"of": named, "vectors": made})
        return made

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> deque[Tree]:
        if not self._path.exists():
            return deque()
        data = self._path.read_bytes()
        whole = list(frames(data))
        end = whole[-1][1] if whole else 0
        if end < len(data):
            with self._path.open("rb+") as file:
                file.truncate(end)
        return deque(entry for entry, _ in whole)

    def _next(self, kind: str) -> Tree:
        entry = self._kept.popleft()
        if kind not in entry:
            raise ReplayError
        return entry

    def _write(self, entry: Tree) -> None:
        data = memoryview(pack(entry))
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise unwritable(self._path, error) from error
