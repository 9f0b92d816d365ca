"""The options of ``predict`` and ``evaluate`` for the blend."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli.options import Model, Trust, option
from mean_prompt.system import InputError, preview

if TYPE_CHECKING:
    from mean_prompt.hybrid import BlendOptions

Prompt = Annotated[
    str,
    typer.Option(
        metavar="RUN|STRING",
        help="The universal string, or the folder of the run that found it.",
    ),
]


def blend_options(
    model: Model = None,
    trust_model: Trust = False,
    corpus: Annotated[
        list[str] | None,
        option(
            help="Prompts that stand for the hidden ones beside the known ones, as for search; "
            "repeat for several. Default: none."
        ),
    ] = None,
    prefix: Annotated[
        str | None,
        option(
            metavar="RUN|STRING",
            help="A string tried before predictions, as search --context finds it.",
        ),
    ] = None,
    suffix: Annotated[
        str | None, option(metavar="RUN|STRING", help="The same, tried after them.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 64,
    trials: Annotated[int, typer.Option(min=1, help="Number of settings that a fit tries.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    vector: Annotated[
        Path | None,
        option(
            metavar="FOLDER",
            help="A predictor made by train vector. Default: train one on the known rows.",
        ),
    ] = None,
    row_search: Annotated[
        str,
        typer.Option(
            metavar="none|auto|N",
            help="Strings to encode in a search for each row; auto: as many as fit the time limit, "
            "none without one.",
        ),
    ] = "none",
) -> "BlendOptions":
    """Return the options, with the affixes read from the folders of their runs."""
    from mean_prompt.hybrid import BlendOptions, universal_string
    from mean_prompt.system import user_path

    return BlendOptions(
        model=model,
        trust=trust_model,
        corpus=tuple(corpus or ()),
        prefix=universal_string(prefix, "--prefix") if prefix else None,
        suffix=universal_string(suffix, "--suffix") if suffix else None,
        max_tokens=max_tokens,
        trials=trials,
        seed=seed,
        vector=None if vector is None else user_path(vector),
        row_search=_evaluations(row_search),
    )


def _evaluations(asked: str) -> int | None:
    """Return the evaluations of a row search; 0 for none, ``None`` for as many as fit."""
    named = {"none": 0, "auto": None}
    if asked in named:
        return named[asked]
    if not (asked.isdecimal() and asked.isascii()):
        raise InputError(
            f"--row-search must be none, auto or a number of strings: found {preview(asked)}"
        )
    return int(asked)
