"""The options of ``predict`` and ``evaluate`` for the LLM and its predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from mean_prompt.llm import LLMOptions

LLM = Annotated[
    str,
    typer.Option(
        metavar="SPEC",
        help="Where predictions come from: none, column:NAME, file:PATH[#COLUMN] (joined on id), "
        "transformers:FOLDER_OR_NAME, server:MODEL@http://HOST:PORT/v1.",
    ),
]
Shots = Annotated[int, typer.Option(min=0, help="Known rows that an LLM is shown with each row.")]
Samples = Annotated[
    int | None,
    typer.Option(help="Predictions drawn for each row. Default: 1.", show_default=False),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        help="Temperature of an LLM's sampling. Default: 0, the likeliest.", show_default=False
    ),
]
NewTokens = Annotated[
    int | None,
    typer.Option(help="Most tokens that an LLM answers with. Default: 64.", show_default=False),
]
Batch = Annotated[
    int | None,
    typer.Option(help="Rows a local LLM answers at once. Default: 8.", show_default=False),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"] | None,
    typer.Option(help="Precision of a local LLM's weights. Default: auto.", show_default=False),
]
FourBit = Annotated[
    bool, typer.Option("--llm-4bit", help="Quantize a local LLM's weights to four bits.")
]
Timeout = Annotated[
    float | None,
    typer.Option(help="Seconds that a server has for an answer. Default: 60.", show_default=False),
]
Concurrency = Annotated[
    int | None,
    typer.Option(help="Requests that a server gets at once. Default: 8.", show_default=False),
]
Retries = Annotated[
    int | None,
    typer.Option(
        help="Number of times that a busy server is asked again. Default: 3.", show_default=False
    ),
]


def llm_options(*, seed: int, **given: object) -> LLMOptions:
    """Return the options given, with defaults for the others."""
    from mean_prompt.llm import LLMOptions

    return LLMOptions(seed=seed, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
