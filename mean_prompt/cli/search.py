"""``mean-prompt search``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mean_prompt.cli import STARTED
from mean_prompt.cli.live_page import Live, LiveAt, live_page
from mean_prompt.cli.options import Column, Trust, argument, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from mean_prompt.runs import SearchResult


def search(
    corpus: Annotated[
        list[str] | None,
        argument(
            help="Files or folders of prompts: PATH, or NAME=PATH:WEIGHT. Default: corpora/ of "
            "the working directory, else the packaged corpora. With --resume: the run's folder."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        option(
            help="Time for the whole run, such as 90s, 10m, 2h or 1h30m; a resumed run counts what "
            "it spent before. Default: the recipe's, else 2m."
        ),
    ] = None,
    max_evaluations: Annotated[
        int | None,
        option(
            help="Number of strings to encode at most; without --budget, the run repeats exactly."
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, option(help="Most tokens of the string. Default: the recipe's, else 64.")
    ] = None,
    alphabet: Annotated[
        Literal["ascii", "words", "unicode"] | None,
        option(
            help="Characters allowed; words allows dictionary words only. Default: the recipe's, "
            "else ascii."
        ),
    ] = None,
    model: Annotated[
        str | None,
        option(
            help="A folder, or a name on the hub. Default: sentence-t5-base if it can be loaded, "
            "else the packaged all-MiniLM-L6-v2."
        ),
    ] = None,
    trust_model: Trust = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"] | None,
        option(help="Device of the model. Default: the fastest there is."),
    ] = None,
    recipe: Annotated[
        str | None,
        option(
            help="A TOML file, or a packaged recipe: quick, kaggle, readable. Other options take "
            "precedence over it."
        ),
    ] = None,
    column: Column = None,
    holdout: Annotated[
        float | None,
        option(
            help="Share of the prompts kept out of the search to test the result. Default: 0.2."
        ),
    ] = None,
    context: Annotated[
        str | None,
        option(
            metavar="TRIPLES",
            help="Search for an affix for the predictions in this file of rows with true prompts, "
            "instead of a string for a corpus.",
        ),
    ] = None,
    context_column: Annotated[
        str | None, option(help="The predictions' column. Default: llm_prediction.")
    ] = None,
    position: Annotated[
        Literal["suffix", "prefix"] | None,
        option(help="Whether the affix comes after or before the prediction. Default: suffix."),
    ] = None,
    seed: Annotated[int | None, option(help="Seed of every random choice. Default: 0.")] = None,
    out: Annotated[
        Path | None,
        option(help="Folder of the run's files. Default: a new one under results/runs/."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume a run, however it ended: search --resume RUN, or the command it was begun "
            "with.",
        ),
    ] = False,
    workers: Annotated[
        int | None,
        option(
            min=1,
            help="Climbers, each a process of one thread; 1 climbs in this process. Default: one "
            "a physical core; 1 on a GPU, or without a --budget. With --ray: one per CPU, or GPU.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        option(
            metavar="[ADDRESS]",
            help="Climb on a Ray cluster. Without ADDRESS on this machine alone; with auto or "
            "HOST:PORT on a cluster that this machine is part of.",
        ),
    ] = None,
    live: Live = False,
    live_at: LiveAt = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only the string found.")
    ] = False,
) -> None:
    """Search for the one string that scores best against a corpus of prompts.

    With --context, search for the affix that improves predictions most.
    """
    from mean_prompt.corpus import check_sources

    if resume:
        out, corpus = _run_and_corpus(out, corpus)
    check_sources(corpus or ())

    from mean_prompt import api
    from mean_prompt.cli.display import print_affix, print_result
    from mean_prompt.report import progress_display
    from mean_prompt.runs import Recipe, begun_recipe
    from mean_prompt.system import InputError, user_path

    begun = begun_recipe(out) if resume and out else Recipe()
    asked = (Recipe.load(recipe) if recipe else begun).override(
        corpus={"column": column, "holdout": holdout},
        model={"device": device, "trust": trust_model or None},
        constraints={"alphabet": alphabet},
        context={"triples": context, "column": context_column, "position": position},
    )
    asks_affix = asked.context.triples is not None
    if not asks_affix and (context_column or position):
        raise InputError(
            "--context-column and --position belong to an affix: give --context TRIPLES"
        )
    if asks_affix and corpus:
        raise InputError(
            f"an affix is searched in a context alone, without a corpus: found "
            f"{', '.join(corpus)}; leave out the one or the other"
        )
    if asks_affix and (workers or ray is not None):
        found = f"--workers {workers}" if workers else "--ray"
        raise InputError(
            f"an affix is searched by one process: found {found} with --context; leave out the one "
            "or the other"
        )
    find: Callable[..., SearchResult]
    find = partial(api.search, corpus, workers=workers, ray=ray)
    if asks_affix:
        find = api.search_affix
    run = user_path(out or _new_folder())
    with (
        progress_display(quiet=quiet) as display,
        live_page(run, display, live=live, at=live_at) as listener,
    ):
        result = find(
            budget=budget,
            max_evaluations=max_evaluations,
            max_tokens=max_tokens,
            seed=seed,
            model=model,
            recipe=asked,
            out=run,
            resume=resume,
            listener=listener,
            started=STARTED,
        )
    if quiet:
        typer.echo(result.string)
    elif asks_affix:
        print_affix(result)
    else:
        print_result(result)


def _run_and_corpus(out: Path | None, corpus: list[str] | None) -> tuple[Path, list[str] | None]:
    """Return the folder of the run to resume, and its corpus if it is named again."""
    from mean_prompt.system import InputError, user_path

    if out is not None:
        return user_path(out), corpus
    if not corpus or len(corpus) > 1:
        found = "none" if not corpus else ", ".join(corpus)
        raise InputError(
            f"--resume needs the folder of one run, here or as --out: found {found}; name one"
        )
    return user_path(corpus[0]), None


def _new_folder() -> Path:
    """Return a folder named after the time, which sorts by it."""
    from datetime import datetime

    return Path("results") / "runs" / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
