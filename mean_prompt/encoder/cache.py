"""An on-disk cache of sentence vectors, and of other arrays that are costly to compute.

Vectors are stored in one SQLite file per model and dtype. The file's name holds the hash of the
model's files, so that vectors of one model are never used with another. Rows are written chunk by
chunk: vectors computed before an interruption are not computed again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import platformdirs
from numpy.typing import NDArray

from mean_prompt.encoder.shipped import shipped_vectors, text_key
from mean_prompt.objective import Vectors
from mean_prompt.system import (
    Deadline,
    KeyedStore,
    Listener,
    ProgressEvent,
    cache_fault,
    ignore,
    write_atomically,
)

#: Most strings, and most characters, encoded between two writes: half a second on two cores for
#: long strings, so that a deadline is kept, and large batches of short ones.
_CHUNK: Final = 512
_CHARACTERS: Final = 24_000
#: Count of floats (rows x dimension) above which vectors are kept as float16: 1 GiB in float32.
_HALF_ABOVE: Final = 2**28

Encode = Callable[[Sequence[str]], Vectors]


def need_half(rows: int, dimension: int) -> bool:
    """Return whether an array of that many floats must be held as float16 to save memory."""
    return rows * dimension > _HALF_ABOVE


def cache_folder() -> Path:
    """Return the folder of all caches: ``$MEAN_PROMPT_CACHE``, else one in the user's cache."""
    chosen = os.environ.get("MEAN_PROMPT_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("mean-prompt"))


class VectorCache:
    """A cache of one model's vectors on disk: looks strings up and encodes the missing ones.

    ``key`` is the identity and dtype of the model, as :attr:`ModelIdentity.key` gives it. Vectors
    that come with the package under the name ``shipped``, by default the key, are taken from there.
    """

    def __init__(self, key: str, folder: Path | None = None, *, shipped: str | None = None) -> None:
        self._shipped = shipped or key
        self.path = (folder or cache_folder()) / "vectors" / f"{key}.sqlite"
        KeyedStore(self.path, "the cache of vectors").close()

    def encode(
        self,
        texts: Sequence[str],
        encode: Encode,
        *,
        listener: Listener = ignore,
        phase: str = "embedding",
        unit: str = "strings",
        deadline: Deadline | None = None,
        half: bool = False,
    ) -> NDArray[Any]:
        """Return (n, d) float32 vectors of n >= 1 strings, from the cache if it has them.

        ``encode`` computes the (m, d) vectors of m missing strings. If ``half`` is true, the result
        is float16; the cache holds float32 all the same.

        Raises:
            OutOfTimeError: the deadline expired; vectors computed so far stay in the cache.
        """
        keys = [text_key(text) for text in texts]
        first: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            first.setdefault(key, row)
        table = _Table(len(texts), np.float16 if half else np.float32)
        with KeyedStore(self.path, "the cache of vectors") as store:
            for key, vector in self._kept(store, list(first)):
                table.fill(first[key], vector)
            missing = [row for row in first.values() if not table.filled[row]]
            done = len(texts) - len(missing)
            for chunk in _chunks(texts, missing):
                listener(ProgressEvent(phase, done, len(texts), unit))
                if deadline is not None:
                    deadline.check()
                vectors = encode([texts[row] for row in chunk])
                store.put({keys[row]: v.tobytes() for row, v in zip(chunk, vectors, strict=True)})
                for row, vector in zip(chunk, vectors, strict=True):
                    table.fill(row, vector)
                done += len(chunk)
        listener(ProgressEvent(phase, len(texts), len(texts), unit))
        return table.repeated([first[key] for key in keys])

    def _kept(self, store: KeyedStore, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Vectors]]:
        """Yield the vectors that need not be computed, of the package before those of the store."""
        if shipped := shipped_vectors(self._shipped):
            yield from ((key, shipped[key]) for key in keys if key in shipped)
            keys = [key for key in keys if key not in shipped]
        for key, vector in store.get(keys):
            yield key, np.frombuffer(vector, np.float32)


def _chunks(texts: Sequence[str], rows: Sequence[int]) -> Iterator[list[int]]:
    """Yield row numbers in chunks, sorted by text length so that equal lengths share a batch."""
    chunk: list[int] = []
    characters = 0
    for row in sorted(rows, key=lambda row: len(texts[row])):
        chunk.append(row)
        characters += len(texts[row])
        if len(chunk) == _CHUNK or characters >= _CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


class _Table:
    """An (n, d) array of vectors that is filled in place row by row, never copied."""

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
        """Return the array; each row not yet filled is copied from its row in ``sources``."""
        assert self._vectors is not None
        for row in np.flatnonzero(~self.filled):
            self._vectors[row] = self._vectors[sources[int(row)]]
        return self._vectors


def cached_arrays(
    key: str, compute: Callable[[], Sequence[NDArray[Any]]]
) -> Sequence[NDArray[Any]]:
    """Return the arrays cached on disk under a key, or compute and cache them.

    The key is a file name that identifies everything the arrays depend on.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load, save

    path = cache_folder() / "arrays" / f"{key}.safetensors"
    try:
        kept = load(path.read_bytes())
        return [kept[name] for name in sorted(kept)]
    except (FileNotFoundError, NotADirectoryError, SafetensorError):
        pass  # No file yet, or one torn by a crash: compute the arrays.
    except OSError as error:
        raise cache_fault("the cache of arrays", path, error) from error
    arrays = list(compute())
    named = {f"{number:04}": np.ascontiguousarray(array) for number, array in enumerate(arrays)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(named))
    except OSError as error:
        raise cache_fault("the cache of arrays", path, error) from error
    return arrays
