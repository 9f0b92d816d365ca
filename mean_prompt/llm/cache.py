"""Predictions kept on disk, row by row, so that none is paid for twice.

One SQLite file a predictor: its name holds the hash of the predictor's identity. A row is written
as it arrives, so that a run that is killed leaves all that it had. Faults are not kept: the next
run asks again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from mean_prompt.corpus import Rows
from mean_prompt.encoder import cache_folder
from mean_prompt.llm.base import Example, Prediction, Predictor
from mean_prompt.system import cache_fault, check_local

#: To be raised when what is kept of a prediction changes: files from before it are left alone.
_SCHEMA: Final = 2


class CachedPredictor:
    """Asks a predictor only what it was not asked before.

    A prediction is kept under the row's texts and the examples shown, not under its id, so that
    it serves any file with that row. A predictor that goes by ids needs no cache.

    Args:
        predictor: the one that is asked.
        folder: of the cache; the user's when left out.

    Raises:
        InputError: the cache cannot be written, is broken, or is on a network file system.
    """

    def __init__(self, predictor: Predictor, folder: Path | None = None) -> None:
        self._predictor = predictor
        self._cached = 0
        key = hashlib.sha256(f"schema {_SCHEMA} {predictor.identity}".encode()).hexdigest()[:24]
        self.path = (folder or cache_folder()) / "predictions" / f"{key}.sqlite"
        remedy = "set MEAN_PROMPT_CACHE to a folder on a local disk"
        check_local(self.path, "the cache of predictions", remedy)
        with self._guarded():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._connect() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS predictions "
                    "(question BLOB PRIMARY KEY, texts TEXT NOT NULL, raw TEXT NOT NULL) "
                    "WITHOUT ROWID"
                )

    @property
    def identity(self) -> str:
        """That of the predictor: where its predictions lie changes nothing about them."""
        return self._predictor.identity

    def predict(
        self,
        rows: Rows,
        examples: Sequence[Sequence[Example]] | None = None,
        *,
        deadline: float | None = None,
    ) -> Iterator[Prediction]:
        """Yield the kept predictions first, then those of the predictor.

        See :class:`~mean_prompt.llm.base.Predictor`.

        Raises:
            InputError: as the predictor does, or the cache cannot be read or written.
        """
        keys = _keys(rows, examples)
        missing = []
        with self._connect() as connection:
            for row, key in enumerate(keys):
                if deadline is not None and time.monotonic() >= deadline:
                    return
                kept = self._look_up(connection, key)
                if kept is None:
                    missing.append(row)
                else:
                    self._cached += 1
                    yield replace(kept, row=row)
            if not missing:
                return
            shown = None if examples is None else [examples[row] for row in missing]
            for found in self._predictor.predict(rows.take(missing), shown, deadline=deadline):
                row = missing[found.row]
                if found.fault is None:
                    self._keep(connection, keys[row], found)
                yield replace(found, row=row)

    def notes(self) -> list[str]:
        """Return the predictor's notes, and how many rows the cache answered."""
        kept = [f"from the cache: {self._cached:,} rows"] if self._cached else []
        return [*kept, *self._predictor.notes()]

    def _look_up(self, connection: sqlite3.Connection, key: bytes) -> Prediction | None:
        """Return what is kept of a question, as if of row 0."""
        with self._guarded():
            query = "SELECT texts, raw FROM predictions WHERE question = ?"
            found = connection.execute(query, (key,)).fetchone()
            if found is None:
                return None
            texts, raw = (tuple(json.loads(column)) for column in found)
            return Prediction(0, texts, raw=raw)

    def _keep(self, connection: sqlite3.Connection, key: bytes, found: Prediction) -> None:
        with self._guarded():
            connection.execute(
                "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)",
                (key, json.dumps(found.texts), json.dumps(found.raw)),
            )
            connection.commit()

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            # A generator may be resumed, and ended, by another thread than began it.
            connection = sqlite3.connect(self.path, timeout=60, check_same_thread=False)
        try:
            with self._guarded():
                # A killed run loses nothing by it; only a power cut can cost the last few rows.
                connection.execute("PRAGMA synchronous=NORMAL")
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError, json.JSONDecodeError) as error:
            raise cache_fault("the cache of predictions", self.path, error) from error


def _keys(rows: Rows, examples: Sequence[Sequence[Example]] | None) -> list[bytes]:
    """Return a hash of what is asked about each row: its texts, and the examples in order."""
    shown = examples if examples is not None else [()] * len(rows)
    questions = zip(rows.originals, rows.rewritten, shown, strict=True)
    return [
        _key([original, rewritten, *(text for e in known for text in _texts(e))])
        for original, rewritten, known in questions
    ]


def _texts(example: Example) -> tuple[str, str, str]:
    return example.original, example.rewritten, example.prompt


def _key(texts: list[str]) -> bytes:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)}\0{text}\n".encode("utf-8", "surrogatepass"))
    return digest.digest()
