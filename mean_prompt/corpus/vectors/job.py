"""``embed``: write a corpus's embeddings to a folder shard by shard, resumable when killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mean_prompt.corpus.sources import Source, default_corpus_folder, parse_source
from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.corpus.vectors.manifest import (
    MANIFEST,
    Manifest,
    ModelEntry,
    ShardEntry,
    SourceEntry,
)
from mean_prompt.corpus.vectors.shards import Encoded, Shard, Stream, encode_halves
from mean_prompt.encoder import load_encoder
from mean_prompt.system import (
    LOCK,
    Cluster,
    Deadline,
    FolderLock,
    InputError,
    Listener,
    ProgressEvent,
    RunError,
    ignore,
    os_errors,
    path_exists,
    stopping,
    user_path,
)

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

#: Prompts in a shard: the most that a kill loses (two minutes of sentence-t5-base on two cores),
#: and that is held in memory.
SHARD: Final = 8_192

_OUT: Final = "--out must be a folder that can be written"

#: A function that embeds shards, and yields each with its embeddings, in any order.
Encode = Callable[[Iterable[Shard]], Generator[tuple[Shard, Encoded]]]


@dataclass(frozen=True, slots=True)
class Embedding:
    """The result of a call of :func:`embed`: the folder, its manifest, and the work done.

    Attributes:
        made: number of shards that this call embedded.
        damaged: number of finished shards that it found missing or damaged.
    """

    out: Path
    sources: tuple[Source, ...]
    manifest: Manifest
    made: int
    damaged: int
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether all shards are embedded, so that the folder can be used as a corpus."""
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
    listener: Listener = ignore,
) -> Embedding:
    """Write a corpus's embeddings to a folder, which a search accepts in place of the corpus.

    The corpus is read twice, row by row: once to count it and to find its faults, once to embed
    it. Memory holds a shard or two, and the model. If the folder holds some of the same shards,
    only the others are embedded; Ctrl-C (or SIGTERM) ends the work after the current shard.

    Files and folders of ``corpus`` are given as for :func:`~mean_prompt.api.search`, without
    weights; ``shard`` is the number of distinct prompts in a shard. The listener receives the
    phases ``reading the corpus``, ``checking what is there`` and ``embedding``, in prompts.
    If ``trust`` is true, the model may run code of its own.

    Raises:
        InputError: something given cannot be used, or the folder holds other work.
        RunError: the folder stopped being writable, or the model's vectors cannot be used.
    """
    began = time.monotonic()
    target = user_path(out)
    sources = _sources(corpus)
    _check_places(sources, target)
    if cluster:
        cluster.check()
    shards, counted = _survey(Stream(sources, column, shard), listener)
    identity, dimension, encode = _encoding(model, device, trust, cluster)
    asked = Manifest(
        model=identity,
        dimension=dimension,
        column=column,
        shard_prompts=shard,
        sources=tuple(SourceEntry.model_validate(s, from_attributes=True) for s in counted),
        shards=shards,
    )
    deadline = Deadline()
    with _locked(target), stopping(deadline):
        folder = _opened(target, asked)
        damaged = _mark_damaged(folder, listener, deadline)
        missing = Stream(sources, column, shard).some(folder.manifest.unfinished)
        made = _embed_missing(folder, encode(missing), listener, deadline)
    return Embedding(target, counted, folder.manifest, made, damaged, time.monotonic() - began)


def _sources(corpus: str | Path | Sequence[str | Path] | None) -> tuple[Source, ...]:
    specs = [corpus] if isinstance(corpus, (str, Path)) else list(corpus or ())
    sources = tuple(parse_source(str(spec)) for spec in specs or [default_corpus_folder()])
    for source in sources:
        if source.weight is not None:
            raise InputError(
                f"a corpus is weighted when it is searched: found {source.path}:{source.weight:g}; "
                "embed each corpus into a folder of its own, and give a search NAME=FOLDER:WEIGHT"
            )
    return sources


def _check_places(sources: Sequence[Source], out: Path) -> None:
    """Raise if a source holds embeddings, or if ``out`` is in a source or holds other files."""
    for source in sources:
        path = user_path(source.path)
        if VectorFolder.open(path):
            raise InputError(f"a corpus to embed must be of prompts: {path} is a folder of vectors")
        if path_exists(path) and out.resolve().is_relative_to(path.resolve()):
            raise InputError(
                f"--out must be outside of the corpus: {out} is in {path}, and would be read as a "
                "part of it; choose another"
            )
    if VectorFolder.open(out) is not None or not path_exists(out):
        return
    with os_errors(_OUT, out, "choose another"):
        # A kill may have come while the very first file was written.
        ours = (f".{MANIFEST}.", LOCK)
        if not (out.is_dir() and all(path.name.startswith(ours) for path in out.iterdir())):
            raise InputError(
                f"--out must be a new folder, an empty one, or one that was begun: {out} holds "
                "something else; choose another"
            )


def _locked(path: Path) -> FolderLock:
    """Create the output folder if it does not exist, and lock it for this process."""
    with os_errors(_OUT, path, "choose another"):
        try:
            return FolderLock(path)
        except BlockingIOError as error:
            raise InputError(
                f"--out must be written by one process at a time: another one embeds into {path}; "
                "wait for it, or choose another folder"
            ) from error


def _opened(path: Path, asked: Manifest) -> VectorFolder:
    """Open the output folder of an earlier call, or start one; delete temporary files in it."""
    folder = VectorFolder.open(path)
    if folder is None:
        folder = VectorFolder(path, asked)
        folder.write_manifest(asked)
    elif difference := folder.manifest.difference(asked):
        raise InputError(
            f"--out must be a folder of the same work: {path} is not: {difference}; choose "
            "another, or delete it"
        )
    folder.sweep()
    return folder


def _survey(
    stream: Stream, listener: Listener
) -> tuple[tuple[ShardEntry, ...], tuple[Source, ...]]:
    """Read the corpus; return entries for the shards to embed, and sources with row counts."""
    shards: list[ShardEntry] = []
    prompts = 0
    for shard in stream:
        shards.append(ShardEntry(prompts=len(shard.prompts), texts=shard.digest))
        prompts += len(shard.prompts)
        listener(ProgressEvent("reading the corpus", prompts, unit="prompts"))
    if not shards:
        found = ", ".join(f"{source.path} has {source.rows:,} rows" for source in stream.sources)
        raise InputError(f"a corpus must hold prompts: {found}, none with text; give more text")
    return tuple(shards), stream.sources


def _encoding(
    model: str | Encoder | None, device: str, trust: bool, cluster: Cluster | None
) -> tuple[ModelEntry, int, Encode]:
    """Return the model's identity, its embedding dimension, and a function to embed shards."""
    encoder = model
    if encoder is None or isinstance(encoder, str):
        # The cluster's machines may have other devices than this one.
        here = "cpu" if cluster else device
        encoder = load_encoder(encoder, device=here, screening="float32", trust=trust)
    elif device == "auto":
        device = encoder.device
    identity = ModelEntry(**asdict(encoder.identity))
    if cluster is None:
        return (
            identity,
            encoder.dimension,
            lambda shards: ((shard, encode_halves(encoder, shard.prompts)) for shard in shards),
        )
    from mean_prompt.corpus.vectors.ray import encode_on

    return (
        identity,
        encoder.dimension,
        lambda shards: encode_on(cluster, encoder, shards, device),
    )


def _mark_damaged(folder: VectorFolder, listener: Listener, deadline: Deadline) -> int:
    """Mark finished shards with missing or damaged files as unfinished; return their number."""
    manifest, total = folder.manifest, folder.manifest.prompts
    done = damaged = 0
    for number, shard in enumerate(folder.manifest.shards):
        if shard.files is None or deadline.expired:
            continue
        done += shard.prompts
        listener(ProgressEvent("checking what is there", done, total, "prompts"))
        if not folder.is_whole(number):
            manifest = manifest.with_files(number, None)
            damaged += 1
    if damaged:
        folder.write_manifest(manifest)
    return damaged


def _embed_missing(
    folder: VectorFolder,
    results: Generator[tuple[Shard, Encoded]],
    listener: Listener,
    deadline: Deadline,
) -> int:
    """Write shards to the folder as they are embedded, until the deadline; return how many."""
    made = 0

    def report() -> None:
        done = sum(shard.prompts for shard in folder.manifest.shards if shard.files)
        listener(ProgressEvent("embedding", done, folder.manifest.prompts, "prompts"))

    report()
    if deadline.expired or not folder.manifest.unfinished:
        return 0
    with closing(results):
        for shard, encoded in results:
            if shard.digest != folder.manifest.shards[shard.number].texts:
                break
            folder.write_shard(shard, encoded)
            made += 1
            report()
            if deadline.expired:
                return made
    if folder.manifest.unfinished:
        raise RunError(
            "a corpus must stay as it is while it is embedded: it was changed; put it back, or "
            "embed it into another folder"
        )
    return made
