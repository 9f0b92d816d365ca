"""``embed``: a corpus of any size -> a folder of vectors, shard by shard, and on after any kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mean_prompt.corpus.sources import Source
from mean_prompt.corpus.vectors.begin import begun, check_places, corpus_sources
from mean_prompt.corpus.vectors.cluster import ActorModel, Cluster
from mean_prompt.corpus.vectors.encoding import Encoded, encode_halves
from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.corpus.vectors.manifest import (
    Manifest,
    ModelEntry,
    ShardEntry,
    SourceEntry,
)
from mean_prompt.corpus.vectors.stream import Shard, Stream, Work
from mean_prompt.encoder import load_encoder
from mean_prompt.system import InputError, RunError, path_exists, stopping, user_path

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: Prompts of a shard: what a kill costs at most (two minutes of sentence-t5-base on two cores),
#: and what is held in memory.
SHARD: Final = 8_192

#: Hears of the stage that work is in, prompts done, and all prompts where they are known.
Listener = Callable[[str, int, int | None], None]
#: Makes the vectors of some shards, in whatever order.
Encode = Callable[[Work], Generator[tuple[Shard, Encoded]]]


@dataclass(frozen=True, slots=True)
class Embedding:
    """What a call of :func:`embed` left.

    Attributes:
        out: the folder.
        sources: the corpus, with what cleaning did.
        manifest: what the folder holds.
        made: shards that this call made.
        damaged: finished shards that it found missing or damaged.
        seconds: that it took.
    """

    out: Path
    sources: tuple[Source, ...]
    manifest: Manifest
    made: int
    damaged: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether the folder can be used as a corpus."""
        return not self.manifest.unfinished


def embed(
    corpus: str | Path | Sequence[str | Path] | None,
    out: str | Path,
    *,
    model: str | Encoder | None = None,
    device: str = "auto",
    trust: bool = False,
    column: str | None = None,
    shard: int = SHARD,
    cluster: Cluster | None = None,
    listener: Listener | None = None,
) -> Embedding:
    """Embed a corpus into a folder that a search takes for it.

    The corpus is read twice, row by row: once to count it and to find its faults, once to embed
    it. Memory holds a shard or two, and the model. Where the folder holds a part of the same
    work it goes on, however that ended; Ctrl-C (or SIGTERM) ends it after the shard in hand.

    Args:
        corpus: files and folders as for :func:`~mean_prompt.api.search`, without weights.
        out: a new folder, an empty one, or one in which the same work was begun.
        model: a name, a folder or a loaded :class:`Encoder`; as for a search.
        device: where it runs.
        trust: whether the model may run code.
        column: of the prompts; guessed when left out.
        shard: distinct prompts that end a shard.
        cluster: a Ray cluster to embed on, instead of this process.
        listener: called at every shard.

    Raises:
        InputError: something given cannot be used, or the folder holds other work.
        RunError: the folder stopped being writable, or the model's vectors are of no use.
    """
    began = time.monotonic()
    listen = listener or (lambda *_: None)
    target = user_path(out)
    sources = corpus_sources(corpus)
    check_places(sources, target)
    if cluster:
        cluster.check()
    shards, counted = _survey(Stream(sources, column, shard), listen)
    identity, dimension, encode = _encoding(model, device, trust, cluster)
    asked = Manifest(
        model=identity,
        dimension=dimension,
        column=column,
        shard_prompts=shard,
        sources=tuple(map(_entry, counted)),
        shards=shards,
    )
    with begun(target, asked) as folder:
        job = _Job(folder, Work(sources, column, shard, frozenset()), encode, listen)
        with stopping(job):
            made, damaged = job.run()
    return Embedding(target, counted, folder.manifest, made, damaged, time.monotonic() - began)


class _Job:
    """Makes a folder complete.

    Args:
        folder: as it was begun.
        work: the whole corpus.
        encode: makes the vectors of some of its shards.
        listen: hears of progress.
    """

    def __init__(self, folder: VectorFolder, work: Work, encode: Encode, listen: Listener) -> None:
        self._folder = folder
        self._work = work
        self._encode = encode
        self._listen = listen
        self._stopped = False

    def stop(self) -> None:
        """End after the shard in hand."""
        self._stopped = True

    def run(self) -> tuple[int, int]:
        """Make what is missing; return how many shards were made, and how many were damaged."""
        damaged = self._set_damaged_aside()
        total = self._folder.manifest.prompts
        made = 0
        missing = frozenset(self._folder.manifest.unfinished)
        self._listen("embedding", self._done, total)
        if not missing or self._stopped:
            return 0, damaged
        with closing(self._encode(replace(self._work, numbers=missing))) as results:
            for shard, encoded in results:
                self._check(shard.digest == self._folder.manifest.shards[shard.number].texts)
                self._folder.write_shard(shard, encoded)
                made += 1
                self._listen("embedding", self._done, total)
                if self._stopped:
                    break
        self._check(self._stopped or not self._folder.manifest.unfinished)
        return made, damaged

    def _check(self, is_as_before: bool) -> None:
        if not is_as_before:
            raise RunError(
                "a corpus must stay as it is while it is embedded: it was changed; put it back, or "
                "embed it into another folder"
            )

    @property
    def _done(self) -> int:
        return sum(shard.prompts for shard in self._folder.manifest.shards if shard.files)

    def _set_damaged_aside(self) -> int:
        """Take shards whose files are missing or damaged for unfinished; return how many."""
        manifest = self._folder.manifest
        finished = [number for number, shard in enumerate(manifest.shards) if shard.files]
        done = damaged = 0
        for number in finished:
            if self._stopped:
                break
            done += manifest.shards[number].prompts
            self._listen("checking what is there", done, manifest.prompts)
            if not self._folder.is_whole(number):
                manifest = manifest.with_files(number, None)
                damaged += 1
        if manifest is not self._folder.manifest:
            self._folder.write_manifest(manifest)
        return damaged


def _encoding(
    model: str | Encoder | None, device: str, trust: bool, cluster: Cluster | None
) -> tuple[ModelEntry, int, Encode]:
    """Return what the model is, the width of its vectors, and what makes them.

    On a cluster the model is loaded here all the same, for its faults to be told at once.
    """
    if not (model is None or isinstance(model, str)):
        if cluster:
            raise InputError("a cluster's actors load their own model: give its name or folder")
        return _identity(model), model.dimension, partial(_encode_here, model)
    encoder = load_encoder(model, device=device, screening="float32", trust=trust)
    if cluster is None:
        return _identity(encoder), encoder.dimension, partial(_encode_here, encoder)
    recruit = ActorModel(_findable(model), device, trust)
    identity = _identity(encoder)
    return identity, encoder.dimension, partial(cluster.encode, recruit, identity)


def _identity(encoder: Encoder) -> ModelEntry:
    return ModelEntry(**asdict(encoder.identity))


def _encode_here(encoder: Encoder, work: Work) -> Generator[tuple[Shard, Encoded]]:
    for shard in work.shards():
        yield shard, encode_halves(encoder, shard.prompts)


def _findable(model: str | None) -> str | None:
    """Return a model's name for a process that works in another folder."""
    if model is None:
        return None
    path = user_path(model)
    return str(path.resolve()) if path_exists(path) else model


def _survey(stream: Stream, listen: Listener) -> tuple[tuple[ShardEntry, ...], tuple[Source, ...]]:
    """Read the corpus once; return what its shards will be, and its sources with their counts."""
    shards: list[ShardEntry] = []
    prompts = 0
    for shard in stream:
        shards.append(ShardEntry(prompts=len(shard.prompts), texts=shard.digest))
        prompts += len(shard.prompts)
        listen("reading the corpus", prompts, None)
    if not shards:
        found = ", ".join(f"{source.path} has {source.rows:,} rows" for source in stream.sources)
        raise InputError(f"a corpus must hold prompts: {found}, none with text; give more text")
    return tuple(shards), stream.sources


def _entry(source: Source) -> SourceEntry:
    fields = asdict(source)
    del fields["weight"]
    return SourceEntry(**fields)
