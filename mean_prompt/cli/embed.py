"""``mean-prompt embed``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from mean_prompt.cli.model_options import Trust
from mean_prompt.system import InputError


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
        typer.Argument(
            help="Files or folders of prompts, as for search but without weights. Default: as "
            "for search.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="As for search.", show_default=False)] = None,
    trust_model: Trust = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option(help="Where the model runs; auto is the best there is."),
    ] = "auto",
    column: Annotated[
        str | None,
        typer.Option(help="The prompts' column. Default: guessed.", show_default=False),
    ] = None,
    shard: Annotated[
        int,
        typer.Option(
            min=1, help="Prompts in a shard: what a kill costs at most, and what memory holds."
        ),
    ] = 8_192,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Embed on a Ray cluster, one actor per GPU. Without ADDRESS on this machine "
            "alone; with auto or HOST:PORT on a cluster that this machine is part of.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Actors of --ray. Default: one per GPU; without GPUs, one per machine.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Embed a corpus of any size into a folder that search and score accept as a corpus.

    Memory does not grow with the corpus. After a kill or Ctrl-C the same command resumes.
    """
    from mean_prompt.cli.embed_display import print_embedding
    from mean_prompt.cli.warnings import one_line_warnings
    from mean_prompt.corpus import Cluster, embed as embed_corpus
    from mean_prompt.report import progress_display

    if workers and ray is None:
        raise InputError("--workers is for a cluster: give --ray, or leave it out")
    with one_line_warnings(), progress_display() as listener:
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
    print_embedding(found)


class EmbedCommand(TyperCommand):
    """Accepts ``--ray`` without a value, which Typer's own options do not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - Typer's own
        """Parse the arguments, with ``local`` put after a ``--ray`` that stands alone."""
        return super().parse_args(ctx, list(_with_address(args)))


def _with_address(args: Sequence[str]) -> Iterator[str]:
    for word, following in zip(args, [*args[1:], "-"], strict=True):
        yield word
        if word == "--ray" and following.startswith("-"):
            yield "local"
