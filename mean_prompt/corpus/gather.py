"""Get the embeddings of a corpus's prompts, read from folders of precomputed ones if it has any.

Precomputed embeddings are copied into one memory-mapped file in the cache, in the order that a
search needs: the process itself holds none of them, and several processes share the pages that
the system keeps in memory.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus.corpus import Corpus
from mean_prompt.encoder import Encode, VectorCache, cache_folder, need_half
from mean_prompt.objective import StoredVectors
from mean_prompt.system import (
    Deadline,
    FolderLock,
    InputError,
    Listener,
    ProgressEvent,
    cache_fault,
    ignore,
)

if TYPE_CHECKING:
    from mean_prompt.corpus.vectors.folder import VectorFolder
    from mean_prompt.encoder import Encoder

#: Memory-mapped files kept in the cache, the last used: each seed and hold-out has its own.
_KEPT: Final = 4
#: Prompts outside of the folders that are encoded at once.
_CHUNK: Final = 8_192
_MAP: Final = ".float16"
_PHASE: Final = "embedding"
_UNIT: Final = "prompts"


def check_model(corpus: Corpus, encoder: Encoder) -> None:
    """Raise if a corpus has precomputed embeddings of a model other than the encoder's."""
    for folder in corpus.folders:
        theirs, ours = folder.manifest.model, encoder.identity
        if theirs.content_hash != ours.content_hash:
            raise InputError(
                f"vectors must be of the model that is used: {folder.path} has those of "
                f"{theirs.name} ({theirs.content_hash[:12]}), and the model is {ours.name} "
                f"({ours.content_hash[:12]}); name it with --model, or embed the corpus again"
            )


def corpus_vectors(
    corpus: Corpus,
    rows: NDArray[np.int64],
    encoder: Encoder,
    *,
    encode: Encode | None = None,
    listener: Listener = ignore,
    deadline: Deadline | None = None,
) -> StoredVectors:
    """Return the (n, d) embeddings of a corpus's prompts at the indices ``rows``, in that order.

    ``encode`` embeds strings in the encoder's place, if given. The listener receives the prompts
    done and n; the deadline is checked between chunks, and what was encoded by then stays in the
    cache.

    Raises:
        InputError: a folder's vectors are of another model or damaged, or the cache fails.
    """
    prompts = [corpus.prompts[row] for row in rows]
    cache, encode = VectorCache(encoder.identity.key), encode or encoder.encode
    if not corpus.folders:
        half = need_half(len(prompts), encoder.dimension)
        return cache.encode(
            prompts, encode, listener=listener, unit=_UNIT, deadline=deadline, half=half
        )
    check_model(corpus, encoder)
    maps = cache_folder() / "maps"
    path = maps / f"{_key(corpus.folders, prompts)}{_MAP}"
    shape = (len(prompts), encoder.dimension)
    try:
        with FolderLock(maps, wait=math.inf):
            if not path.exists():
                _sweep(maps)
                with _new(path) as file:
                    pieces = _pieces(corpus.folders, prompts, encode, cache, deadline)
                    _write(file, pieces, shape, listener, deadline)
            path.touch()
            # Copy on write: torch takes no array that cannot be written, and it is never written.
            vectors = np.memmap(path, np.float16, "c", shape=shape)
    except OSError as error:
        raise cache_fault("the cache of vectors", path, error) from error
    listener(ProgressEvent(_PHASE, len(prompts), len(prompts), _UNIT))
    return vectors


def _pieces(
    folders: Sequence[VectorFolder],
    prompts: Sequence[str],
    encode: Encode,
    cache: VectorCache,
    deadline: Deadline | None,
) -> Iterator[tuple[NDArray[np.int64], StoredVectors]]:
    """Yield indices of prompts with their embeddings: read from the folders, then encoded."""
    place_of = {prompt: place for place, prompt in enumerate(prompts)}
    missing = np.ones(len(prompts), bool)
    for folder in folders:
        for number in range(len(folder.manifest.shards)):
            found, _ = folder.prompts(number)
            places = np.array([place_of.get(prompt, -1) for prompt in found], np.int64)
            chosen = np.flatnonzero((places >= 0) & missing[places])
            missing[places[chosen]] = False
            yield places[chosen], folder.vectors(number)[chosen]
    rest = np.flatnonzero(missing)
    for start in range(0, len(rest), _CHUNK):
        places = rest[start : start + _CHUNK]
        texts = [prompts[place] for place in places]
        yield places, cache.encode(texts, encode, deadline=deadline, half=True)


def _write(
    file: BinaryIO,
    pieces: Iterable[tuple[NDArray[np.int64], StoredVectors]],
    shape: tuple[int, int],
    listener: Listener,
    deadline: Deadline | None,
) -> None:
    """Write each embedding to its row of a file, consecutive rows at once.

    Not through a memory map: if the disk is full, a write raises, but a map kills the process.
    """
    total, dimension = shape
    done = 0
    for places, vectors in pieces:
        order = np.argsort(places, kind="stable")
        for run in np.split(order, np.flatnonzero(np.diff(places[order]) != 1) + 1):
            if len(run):
                file.seek(int(places[run[0]]) * dimension * np.dtype(np.float16).itemsize)
                file.write(vectors[run].tobytes())
        done += len(places)
        listener(ProgressEvent(_PHASE, done, total, _UNIT))
        if deadline is not None and done < total:
            deadline.check()


def _key(folders: Sequence[VectorFolder], prompts: Sequence[str]) -> str:
    digest = hashlib.sha256("".join(folder.content_hash for folder in folders).encode())
    for prompt in prompts:
        data = prompt.encode()
        digest.update(b"%d\n%b\n" % (len(data), data))
    return digest.hexdigest()[:32]


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """Yield a temporary file, moved to ``path`` when the block ends, removed if it raises."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_MAP)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _sweep(maps: Path) -> None:
    """Delete temporary files of killed processes and the least recently used cached files."""
    for path in maps.glob(f".*{_MAP}"):
        path.unlink()
    found = sorted(maps.glob(f"*{_MAP}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[_KEPT - 1 :]:
        try:
            path.unlink()
        except PermissionError:  # Windows keeps a file that a process has mapped
            continue
