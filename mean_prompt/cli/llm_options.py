"""The options of ``predict`` and ``evaluate`` for the LLM and its predictions."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mean_prompt.cli.options import option

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


def llm_options(
    llm_samples: Annotated[
        int | None, option(help="Predictions drawn for each row. Default: 1.")
    ] = None,
    llm_temperature: Annotated[
        float | None, option(help="Temperature of an LLM's sampling. Default: 0, the likeliest.")
    ] = None,
    llm_max_tokens: Annotated[
        int | None, option(help="Most tokens that an LLM answers with. Default: 64.")
    ] = None,
    llm_batch: Annotated[
        int | None, option(help="Rows a local LLM answers at once. Default: 8.")
    ] = None,
    llm_dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"] | None,
        option(help="Precision of a local LLM's weights. Default: auto."),
    ] = None,
    llm_4bit: Annotated[
        bool, typer.Option("--llm-4bit", help="Quantize a local LLM's weights to four bits.")
    ] = False,
    llm_timeout: Annotated[
        float | None, option(help="Seconds that a server has for an answer. Default: 60.")
    ] = None,
    llm_concurrency: Annotated[
        int | None, option(help="Requests that a server gets at once. Default: 8.")
    ] = None,
    llm_retries: Annotated[
        int | None, option(help="Number of times that a busy server is asked again. Default: 3.")
    ] = None,
    seed: int = 0,
) -> "LLMOptions":
    """Return the options given, with defaults for the others; the seed is the command's."""
    from mean_prompt.llm import LLMOptions

    given = {
        "samples": llm_samples,
        "temperature": llm_temperature,
        "max_new_tokens": llm_max_tokens,
        "batch": llm_batch,
        "dtype": llm_dtype,
        "four_bit": llm_4bit,
        "timeout": llm_timeout,
        "concurrency": llm_concurrency,
        "retries": llm_retries,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    return LLMOptions(seed=seed, **chosen)  # type: ignore[arg-type]
