"""Cache an LLM's predictions on disk row by row, so that no question is asked and paid for twice.

Each predictor has one SQLite file, named by the hash of its identity. A row is written as it
arrives, so that a killed run loses none. Faults are not kept: the next run asks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from mean_prompt.corpus import Rows
from mean_prompt.encoder import cache_folder
from mean_prompt.llm.base import Examples, Prediction, Predictor
from mean_prompt.system import Deadline, KeyedStore

#: Part of a file's name: to be raised when the format of stored values changes, so that older
#: files are not read.
_SCHEMA: Final = 3


class CachedPredictor:
    """Wraps a predictor, which is asked only about rows without a cached prediction.

    The key of a prediction is the row's texts and examples, not its id, so that it serves any
    file with that row. The folder is the user's cache by default.

    Raises:
        InputError: the cache cannot be written, is broken, or is on a network file system.
    """

    def __init__(self, predictor: Predictor, folder: Path | None = None) -> None:
        self._predictor = predictor
        self.identity = predictor.identity  # caching changes no prediction
        self._cached = 0
        key = hashlib.sha256(f"schema {_SCHEMA} {predictor.identity}".encode()).hexdigest()[:24]
        self.path = (folder or cache_folder()) / "predictions" / f"{key}.sqlite"
        self._open().close()  # a cache that cannot be used is refused before any work

    def predict(
        self, rows: Rows, examples: Examples | None = None, *, deadline: Deadline | None = None
    ) -> Iterator[Prediction]:
        """Yield the cached predictions first, then those that the wrapped predictor makes."""
        keys = _keys(rows, examples)
        with self._open() as store:
            kept = dict(store.get(keys))
            for row, key in enumerate(keys):
                if deadline is not None and deadline.expired:
                    return
                if key in kept:
                    self._cached += 1
                    texts, raw = json.loads(kept[key])
                    yield Prediction(row, tuple(texts), raw=tuple(raw))
            missing = [row for row, key in enumerate(keys) if key not in kept]
            if not missing:
                return
            shown = None if examples is None else [examples[row] for row in missing]
            for found in self._predictor.predict(rows.take(missing), shown, deadline=deadline):
                row = missing[found.row]
                if found.fault is None:
                    store.put({keys[row]: json.dumps([found.texts, found.raw]).encode()})
                yield replace(found, row=row)

    def notes(self) -> list[str]:
        """Return a line on the rows found in the cache, and the wrapped predictor's notes."""
        kept = [f"from the cache: {self._cached:,} rows"] if self._cached else []
        return [*kept, *self._predictor.notes()]

    def _open(self) -> KeyedStore:
        return KeyedStore(self.path, "the cache of predictions")


def _keys(rows: Rows, examples: Examples | None) -> list[bytes]:
    """Return each row's key in the cache: a hash of its texts and of its examples in order."""
    keys = []
    for row in range(len(rows)):
        texts = [rows.originals[row], rows.rewritten[row]]
        for shown in examples[row] if examples is not None else ():
            texts += [shown.original, shown.rewritten, shown.prompt]
        digest = hashlib.sha256()
        for text in texts:  # lengths keep "ab", "c" and "a", "bc" apart
            digest.update(f"{len(text)}\0{text}\n".encode("utf-8", "surrogatepass"))
        keys.append(digest.digest())
    return keys
