"""The vectors of a corpus's prompts, from its folders of vectors if it has any.

They are brought together in one memory-mapped file of the cache, in the order that a search needs
them in: nothing of them is held by the process, and several processes share what the system keeps
of the file in memory.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus.corpus import Corpus
from mean_prompt.encoder import VectorCache, cache_folder, need_half
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

#: Maps kept in the cache, those used last: each seed and hold-out has one of its own.
_KEPT: Final = 4
#: Prompts outside of the folders that are encoded at once.
_CHUNK: Final = 8_192
_MAP: Final = ".float16"
_PHASE: Final = "embedding"
_UNIT: Final = "prompts"


def check_model(corpus: Corpus, encoder: Encoder) -> None:
    """Refuse vectors of another model than the one that is to be used with them.

    Raises:
        InputError: a folder of the corpus has such.
    """
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
    listener: Listener = ignore,
    deadline: Deadline | None = None,
) -> StoredVectors:
    """Return the (n, d) vectors of some of a corpus's prompts, in the order of ``rows``.

    Args:
        corpus: the prompts.
        rows: (n,) numbers of prompts, each at most once.
        encoder: the model.
        listener: receives the prompts done and n.
        deadline: checked between chunks.

    Raises:
        InputError: a folder's vectors are of another model or damaged, or the cache fails.
        OutOfTimeError: the deadline expired; the prompts that were encoded stay in the cache.
    """
    prompts = [corpus.prompts[row] for row in rows]
    cache = VectorCache(encoder.identity.key)
    if not corpus.folders:
        half = need_half(len(prompts), encoder.dimension)
        return cache.encode(
            prompts,
            encoder.encode,
            listener=listener,
            unit=_UNIT,
            deadline=deadline,
            half=half,
        )
    check_model(corpus, encoder)
    maps = cache_folder() / "maps"
    path = maps / f"{_key(corpus.folders, prompts)}{_MAP}"
    shape = (len(prompts), encoder.dimension)
    with _guarded(path), FolderLock(maps, wait=math.inf):
        if not path.exists():
            _sweep(maps)
            with _new(path) as file:
                gathering = _Gathering(file, prompts, encoder.dimension, listener, deadline)
                gathering.take_folders(corpus.folders)
                gathering.encode_others(cache, encoder)
        path.touch()
        # Copy on write: torch takes no array that cannot be written, and it is never written.
        vectors = np.memmap(path, np.float16, "c", shape=shape)
    listener(ProgressEvent(_PHASE, len(prompts), len(prompts), _UNIT))
    return vectors


class _Gathering:
    """Writes vectors to their places in a file.

    Through the file and not the map: where the disk is full, a write fails and a map kills.
    """

    def __init__(
        self,
        file: BinaryIO,
        prompts: Sequence[str],
        dimension: int,
        listener: Listener,
        deadline: Deadline | None,
    ) -> None:
        self._file = file
        self._prompts = prompts
        self._places = {prompt: place for place, prompt in enumerate(prompts)}
        self._filled = np.zeros(len(prompts), bool)
        self._bytes = dimension * np.dtype(np.float16).itemsize
        self._listener = listener
        self._deadline = deadline

    def take_folders(self, folders: Sequence[VectorFolder]) -> None:
        """Write the vectors that folders have, each shard read once."""
        for folder in folders:
            for number in range(len(folder.manifest.shards)):
                found, _ = folder.prompts(number)
                places = np.array([self._places.get(prompt, -1) for prompt in found], np.int64)
                chosen = np.flatnonzero(places >= 0)
                self._write(places[chosen], folder.vectors(number)[chosen])

    def encode_others(self, cache: VectorCache, encoder: Encoder) -> None:
        """Write the vectors of the prompts that no folder has."""
        missing = np.flatnonzero(~self._filled)
        for start in range(0, len(missing), _CHUNK):
            places = missing[start : start + _CHUNK]
            texts = [self._prompts[place] for place in places]
            self._write(
                places, cache.encode(texts, encoder.encode, deadline=self._deadline, half=True)
            )

    def _write(self, places: NDArray[np.int64], vectors: StoredVectors) -> None:
        """Write rows to their places, those next to each other together."""
        order = np.argsort(places, kind="stable")
        for run in np.split(order, np.flatnonzero(np.diff(places[order]) != 1) + 1):
            if len(run):
                self._file.seek(int(places[run[0]]) * self._bytes)
                self._file.write(vectors[run].tobytes())
        self._filled[places] = True
        done = int(self._filled.sum())
        self._listener(ProgressEvent(_PHASE, done, len(self._prompts), _UNIT))
        if self._deadline is not None and done < len(self._prompts):
            self._deadline.check()


def _key(folders: Sequence[VectorFolder], prompts: Sequence[str]) -> str:
    digest = hashlib.sha256("".join(folder.content_hash for folder in folders).encode())
    for prompt in prompts:
        data = prompt.encode()
        digest.update(b"%d\n%b\n" % (len(data), data))
    return digest.hexdigest()[:32]


@contextmanager
def _new(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes its place when it is whole and on the disk, and goes otherwise."""
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
    """Make room for another map: what a kill left goes, and those that were used longest ago."""
    for path in maps.glob(f".*{_MAP}"):
        path.unlink()
    found = sorted(maps.glob(f"*{_MAP}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[_KEPT - 1 :]:
        try:
            path.unlink()
        except PermissionError:  # Windows keeps a file that a process has mapped
            continue


@contextmanager
def _guarded(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cache_fault("the cache of vectors", path, error) from error
