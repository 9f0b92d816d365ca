"""``mean-prompt invert``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from mean_prompt.cli.options import Model, Trust, option
from mean_prompt.cli.score import texts_of
from mean_prompt.system import InputError


def invert(  # noqa: PLR0913, PLR0917 - an argument an option
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="VECTORS|STRING|FILE...",
            help="A file of vectors (.npy, or .parquet with a column vector or embedding), or "
            "texts as for score, to be said in other words.",
        ),
    ],
    out: Annotated[
        Path | None,
        option(help="Write the strings as JSON lines, a new file. Default: print them."),
    ] = None,
    model: Model = None,
    trust_model: Trust = False,
    corpus: Annotated[
        list[str] | None,
        option(help="Prompts to begin with, whose words are put in. Default: as for search."),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of a string.")] = 32,
    alphabet: Annotated[
        Literal["ascii", "words", "unicode"], typer.Option(help="Characters of the strings.")
    ] = "ascii",
    evaluations: Annotated[
        int, typer.Option(min=1, help="Strings to encode for each vector.")
    ] = 1_000,
    workers: Annotated[
        int | None, option(min=1, help="Processes. Default: one a physical core.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
) -> None:
    """Find strings whose vectors are nearest to given ones, for any model, with no training."""
    from dataclasses import asdict

    from mean_prompt import api
    from mean_prompt.cli.display import print_inversions
    from mean_prompt.corpus import check_sources, holds_vectors, read_vectors
    from mean_prompt.report import progress_display
    from mean_prompt.system import check_target, user_path, write_atomically

    check_sources(corpus or ())
    path = None if out is None else user_path(out)
    if path is not None:  # refused before minutes are spent on it
        if path.exists():
            raise InputError(f"--out must be a new file: {path} is there; give another name")
        check_target(path, "--out")
    is_file = [not any(map(str.isspace, one)) and holds_vectors(Path(one)) for one in given]
    if any(is_file) and len(given) > 1:
        raise InputError(
            f"vectors must be given as one file, without anything else: found {len(given)} "
            "arguments; invert them one after the other"
        )
    asked = read_vectors(user_path(given[0])) if any(is_file) else texts_of(given)
    with progress_display(log=False) as listener:
        found = api.invert(
            asked,
            corpus=corpus or None,
            model=model,
            max_tokens=max_tokens,
            alphabet=alphabet,
            evaluations=evaluations,
            workers=workers,
            seed=seed,
            listener=listener,
            trust=trust_model,
        )
    lines = "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in found)
    if path is not None:
        write_atomically(path, lines.encode())
    if as_json:
        typer.echo(lines, nl=False)
    else:
        print_inversions(found, path)
