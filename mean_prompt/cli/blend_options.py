"""The options of ``predict`` and ``evaluate`` for the blend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mean_prompt.hybrid import BlendOptions

Prompt = Annotated[
    str,
    typer.Option(
        metavar="RUN|STRING",
        help="The universal string, or the folder of the run that found it.",
    ),
]
Model = Annotated[str | None, typer.Option(help="As for search.", show_default=False)]
CorpusFiles = Annotated[
    list[str] | None,
    typer.Option(
        help="Prompts that stand for the hidden ones beside the known ones, as for search; "
        "repeat for several. Default: none.",
        show_default=False,
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        metavar="RUN|STRING",
        help="A string tried before predictions, as search --context finds it.",
        show_default=False,
    ),
]
Suffix = Annotated[
    str | None,
    typer.Option(metavar="RUN|STRING", help="The same, tried after them.", show_default=False),
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")]
Trials = Annotated[int, typer.Option(min=1, help="Number of settings that a fit tries.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]


def blend_options(
    *,
    model: str | None,
    trust: bool,
    corpus: Sequence[str] | None,
    prefix: str | None,
    suffix: str | None,
    max_tokens: int,
    trials: int,
    seed: int,
) -> BlendOptions:
    """Return the options with the affixes read from the folders of their runs.

    Raises:
        InputError: an affix is a path that leads to no string.
    """
    from mean_prompt.hybrid import BlendOptions, universal_string

    return BlendOptions(
        model=model,
        trust=trust,
        corpus=tuple(corpus or ()),
        prefix=universal_string(prefix, "--prefix") if prefix else None,
        suffix=universal_string(suffix, "--suffix") if suffix else None,
        max_tokens=max_tokens,
        trials=trials,
        seed=seed,
    )
