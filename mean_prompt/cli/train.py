"""``mean-prompt train``: what is learned from known rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli.llm_options import LLM, llm_options
from mean_prompt.cli.options import Model, Trust, takes

if TYPE_CHECKING:
    from mean_prompt.llm import LLMOptions

train = typer.Typer(no_args_is_help=True, help="Learn from rows whose true prompt is given.")


@train.callback()
def _train() -> None:
    """Keep the name of the only command."""


@train.command()
@takes(asked=llm_options)
def vector(
    triples: Annotated[
        Path,
        typer.Argument(help="Known rows: id, original_text, rewritten_text, rewrite_prompt."),
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the predictor.")],
    asked: "LLMOptions",
    llm: LLM = "none",
    llm_shots: Annotated[
        int, typer.Option(min=0, help="Known rows that an LLM is shown with each row.")
    ] = 3,
    model: Model = None,
    trust_model: Trust = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Train a predictor of the vectors of rows' prompts, for predict --vector."""
    from mean_prompt.cli.hybrid_display import print_vector_report
    from mean_prompt.hybrid import BlendOptions, VectorTraining, train_vector
    from mean_prompt.report import progress_display
    from mean_prompt.system import user_path

    plan = VectorTraining(
        triples=user_path(triples),
        out=user_path(out),
        options=BlendOptions(model=model, trust=trust_model, seed=seed),
        llm=llm,
        llm_options=asked,
        shots=llm_shots,
    )
    with progress_display(log=False) as listener:
        report = train_vector(plan, listener=listener)
    if as_json:
        typer.echo(report.as_json())
    else:
        print_vector_report(report)
