"""``mean-prompt embed``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli.options import Column, Device, Model, Trust, argument, option
from mean_prompt.system import InputError

if TYPE_CHECKING:
    from mean_prompt.corpus import Embedding


def embed(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the vectors: a new one, or one in which the same work was begun, "
            "which is then resumed."
        ),
    ],
    corpus: Annotated[
        list[str] | None,
        argument(
            help="Files or folders of prompts, as for search but without weights. Default: as "
            "for search."
        ),
    ] = None,
    model: Model = None,
    trust_model: Trust = False,
    device: Device = "auto",
    column: Column = None,
    shard: Annotated[
        int,
        typer.Option(
            min=1, help="Prompts in a shard: what a kill costs at most, and what memory holds."
        ),
    ] = 8_192,
    ray: Annotated[
        str | None,
        option(
            metavar="[ADDRESS]",
            help="Embed on a Ray cluster, one actor per GPU. Without ADDRESS on this machine "
            "alone; with auto or HOST:PORT on a cluster that this machine is part of.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        option(min=1, help="Actors of --ray. Default: one per GPU; without GPUs, one per machine."),
    ] = None,
) -> None:
    """Embed a corpus of any size into a folder that search and score accept as a corpus.

    Memory does not grow with the corpus. After a kill or Ctrl-C the same command resumes.
    """
    from mean_prompt.corpus import embed as embed_corpus
    from mean_prompt.report import progress_display
    from mean_prompt.system import Cluster

    if workers and ray is None:
        raise InputError("--workers is for a cluster: give --ray, or leave it out")
    with progress_display() as listener:
        found = embed_corpus(
            corpus,
            out,
            model=model,
            device=device,
            trust=trust_model,
            column=column,
            shard=shard,
            cluster=None if ray is None else Cluster(ray, workers),
            listener=listener,
        )
    for line in _lines(found):
        typer.echo(line)


def _lines(found: Embedding) -> Iterator[str]:
    """Yield what the folder holds now, and how to resume if it is incomplete."""
    from mean_prompt.system import format_duration

    manifest = found.manifest
    shards = len(manifest.shards)
    yield from (source.describe() for source in found.sources)
    if found.damaged:
        yield f"{found.damaged:,} shards were missing or damaged, and are embedded again"
    took = format_duration(found.seconds)
    if not found.complete:
        done = shards - len(manifest.unfinished)
        yield (
            f"stopped after {done:,} of {shards:,} shards ({found.made:,} made in {took}); the "
            "same command resumes"
        )
        return
    finished = [shard.files for shard in manifest.shards if shard.files]
    if cut := sum(files.cut for files in finished):
        yield f"{cut:,} prompts are longer than the model reads, and were truncated by it"
    made = f"{found.made:,} of them made in {took}" if found.made else "none left to make"
    rounding = max(files.rounding for files in finished)
    yield (
        f"{shards:,} shards, {made}: {manifest.prompts:,} vectors of {manifest.dimension} numbers "
        f"in half precision, off by {rounding:.2g} at most; saved {found.out}"
    )
