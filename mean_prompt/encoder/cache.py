"""Vectors of strings, kept on disk between runs.

One SQLite file a model and dtype: its name holds the hash of the model's files, so that vectors
of one model are never taken for another's. Rows are written chunk by chunk; what was computed
before an interruption is not computed again.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, overload

import numpy as np
import platformdirs
from numpy.typing import NDArray

from mean_prompt.objective import StoredVectors, Vectors
from mean_prompt.system import cache_fault, check_local

#: Strings encoded between two writes.
_CHUNK: Final = 512
#: SQLite's limit on the variables of one statement is 999 in old builds.
_LOOKUP: Final = 900

#: Numbers of all vectors above which they are kept in half precision: 1 GiB in float32.
_HALF_ABOVE: Final = 2**28

Encode = Callable[[Sequence[str]], Vectors]
Progress = Callable[[int, int], None]


def need_half(rows: int, dimension: int) -> bool:
    """Tell whether so many vectors are to be kept in half precision, for the memory's sake."""
    return rows * dimension > _HALF_ABOVE


def cache_folder() -> Path:
    """Return the folder of all caches: ``MEAN_PROMPT_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("MEAN_PROMPT_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("mean-prompt"))


class VectorCache:
    """Looks vectors up by text and computes the missing ones.

    Args:
        key: model identity and dtype, as :attr:`ModelIdentity.key` gives it.
        folder: of the cache; the user's when left out.

    Raises:
        InputError: the cache cannot be written, is broken, or is on a network file system.
    """

    def __init__(self, key: str, folder: Path | None = None) -> None:
        self.path = (folder or cache_folder()) / "vectors" / f"{key}.sqlite"
        remedy = "set MEAN_PROMPT_CACHE to a folder on a local disk"
        check_local(self.path, "the cache of vectors", remedy)
        with self._guarded():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connect() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                # Vectors are kept in the order they come in and found by an index: in the order
                # of their hashes every write would touch a page of its own for each of them.
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors "
                    "(text_hash BLOB PRIMARY KEY, vector BLOB NOT NULL)"
                )

    @overload
    def encode(
        self,
        texts: Sequence[str],
        encode: Encode,
        *,
        progress: Progress | None = None,
        half: Literal[False] = False,
    ) -> Vectors: ...

    @overload
    def encode(
        self,
        texts: Sequence[str],
        encode: Encode,
        *,
        progress: Progress | None = None,
        half: bool,
    ) -> StoredVectors: ...

    def encode(
        self,
        texts: Sequence[str],
        encode: Encode,
        *,
        progress: Progress | None = None,
        half: bool = False,
    ) -> StoredVectors:
        """Return (n, d) vectors of n >= 1 strings, from the cache where it has them.

        Args:
            texts: the strings.
            encode: computes the missing ones, (m,) strings -> (m, d).
            progress: called with strings done and n after every chunk; whatever it raises ends
                the work, and what was computed stays in the cache.
            half: whether to return them in half precision; the cache holds float32 all the same.
        """
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        first: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        table = _Table(len(texts), np.float16 if half else np.float32)
        with self._connect() as connection:
            with self._guarded():
                for key, vector in _look_up(connection, list(first)):
                    table.fill(first[key], np.frombuffer(vector, np.float32))
            # Long strings last: equal lengths share a batch.
            missing = sorted(
                (row for row in first.values() if not table.filled[row]),
                key=lambda row: len(texts[row]),
            )
            for start in range(0, len(missing), _CHUNK):
                if progress:
                    progress(len(texts) - len(missing) + start, len(texts))
                chunk = missing[start : start + _CHUNK]
                vectors = encode([texts[row] for row in chunk])
                stored = [(keys[row], v.tobytes()) for row, v in zip(chunk, vectors, strict=True)]
                with self._guarded():
                    connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", stored)
                    connection.commit()
                for row, vector in zip(chunk, vectors, strict=True):
                    table.fill(row, vector)
        if progress:
            progress(len(texts), len(texts))
        return table.repeated([first[key] for key in keys])

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            connection = sqlite3.connect(self.path, timeout=60)
            # A kill loses nothing, and what a power cut takes is computed again.
            connection.execute("PRAGMA synchronous=NORMAL")
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise cache_fault("the cache of vectors", self.path, error) from error


class _Table:
    """(n, d) vectors filled row by row, so that no second copy of them is ever held."""

    def __init__(self, rows: int, dtype: type[np.floating]) -> None:
        self.filled = np.zeros(rows, bool)
        self._dtype = dtype
        self._vectors: NDArray[Any] | None = None

    def fill(self, row: int, vector: Vectors) -> None:
        if self._vectors is None:
            self._vectors = np.empty((len(self.filled), len(vector)), self._dtype)
        self._vectors[row] = vector
        self.filled[row] = True

    def repeated(self, sources: Sequence[int]) -> NDArray[Any]:
        """Return all rows, those of repeated strings copied from the string's first."""
        assert self._vectors is not None
        for row in np.flatnonzero(~self.filled):
            self._vectors[row] = self._vectors[sources[int(row)]]
        return self._vectors


def _look_up(
    connection: sqlite3.Connection, keys: Sequence[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    for start in range(0, len(keys), _LOOKUP):
        part = keys[start : start + _LOOKUP]
        marks = ",".join("?" * len(part))
        query = f"SELECT text_hash, vector FROM vectors WHERE text_hash IN ({marks})"  # noqa: S608
        yield from connection.execute(query, part)
