"""``mean-prompt worker``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import Storage, Study, argument, option


def worker(
    corpus: Annotated[
        list[str] | None,
        argument(
            help="The study's corpus, if this machine has it elsewhere. Default: that of the "
            "search."
        ),
    ] = None,
    storage: Storage = None,
    study: Study = None,
    out: Annotated[
        Path | None,
        option(
            help="Folder of the worker's own files; one of a worker that died takes up its climb. "
            "Default: a free one under results/workers/STUDY/."
        ),
    ] = None,
    model: Annotated[
        str | None, option(help="The study's model, where this machine has it elsewhere.")
    ] = None,
    trust_model: Annotated[
        bool, typer.Option("--trust-model", help="Let the model run code, as for search.")
    ] = False,
    threads: Annotated[
        int | None, option(min=1, help="Cores to use. Default: all of them.")
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only the worker's best string.")
    ] = False,
) -> None:
    """Join a search that shares its storage: climb, and exchange what is found."""
    import os

    from mean_prompt.report import progress_display
    from mean_prompt.system import InputError, user_path
    from mean_prompt.workers import StorageURL

    if storage is None or study is None:
        raise InputError(
            "a worker needs the storage and the study that the search names as it begins: give "
            "--storage and --study"
        )
    url = StorageURL.parse(storage)

    import torch

    from mean_prompt.workers import TETHER_VARIABLE, Assignment, Worker

    if threads is not None:
        torch.set_num_threads(threads)
    assignment = Assignment(
        url=url,
        study=study,
        folder=user_path(out) if out else None,
        corpus=tuple(corpus or ()),
        model=model,
        trust=trust_model,
        tethered=TETHER_VARIABLE in os.environ,
    )
    with progress_display(quiet=quiet) as display:
        result = Worker(assignment, listener=display).run()
    typer.echo(result.text if quiet else result.line())
