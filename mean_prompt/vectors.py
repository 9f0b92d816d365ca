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
from typing import Final

import numpy as np
import platformdirs

from mean_prompt.errors import InputError
from mean_prompt.objective import Vectors

#: Strings encoded between two writes.
_CHUNK: Final = 512
#: SQLite's limit on the variables of one statement is 999 in old builds.
_LOOKUP: Final = 900

Encode = Callable[[Sequence[str]], Vectors]
Progress = Callable[[int, int], None]


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
        InputError: the cache cannot be written or is broken.
    """

    def __init__(self, key: str, folder: Path | None = None) -> None:
        self.path = (folder or cache_folder()) / "vectors" / f"{key}.sqlite"
        with self._guarded():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connect() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors "
                    "(text_hash BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
                )

    def encode(
        self, texts: Sequence[str], encode: Encode, *, progress: Progress | None = None
    ) -> Vectors:
        """Return (n, d) vectors of n >= 1 strings, from the cache where it has them.

        Args:
            texts: the strings.
            encode: computes the missing ones, (m,) strings -> (m, d).
            progress: called with strings done and n after every chunk; whatever it raises ends
                the work, and what was computed stays in the cache.
        """
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        with self._connect() as connection:
            with self._guarded():
                known = _look_up(connection, keys)
            # Long strings last: equal lengths share a batch.
            missing = sorted(
                {
                    key: text for key, text in zip(keys, texts, strict=True) if key not in known
                }.items(),
                key=lambda item: len(item[1]),
            )
            for start in range(0, len(missing), _CHUNK):
                if progress:
                    progress(len(texts) - len(missing) + start, len(texts))
                chunk = missing[start : start + _CHUNK]
                vectors = encode([text for _, text in chunk])
                rows = [(key, row.tobytes()) for (key, _), row in zip(chunk, vectors, strict=True)]
                with self._guarded():
                    connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
                    connection.commit()
                known.update(rows)
        if progress:
            progress(len(texts), len(texts))
        return np.stack([np.frombuffer(known[key], np.float32) for key in keys])

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            connection = sqlite3.connect(self.path, timeout=60)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            raise InputError(
                f"the cache of vectors must be a writable, whole file: {self.path}: {error}; "
                "delete it, or set MEAN_PROMPT_CACHE to another folder"
            ) from error


def _look_up(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    known: dict[bytes, bytes] = {}
    for start in range(0, len(keys), _LOOKUP):
        part = keys[start : start + _LOOKUP]
        marks = ",".join("?" * len(part))
        query = f"SELECT text_hash, vector FROM vectors WHERE text_hash IN ({marks})"  # noqa: S608
        known.update(connection.execute(query, part))
    return known
