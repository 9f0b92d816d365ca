"""``mean-prompt evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli.blend_options import Prompt, blend_options
from mean_prompt.cli.llm_options import LLM, llm_options
from mean_prompt.cli.options import option, takes

if TYPE_CHECKING:
    from mean_prompt.hybrid import BlendOptions
    from mean_prompt.llm import LLMOptions


@takes(asked=llm_options, options=blend_options)
def evaluate(
    triples: Annotated[
        Path,
        typer.Argument(help="Known rows: id, original_text, rewritten_text, rewrite_prompt."),
    ],
    prompt: Prompt,
    asked: "LLMOptions",
    options: "BlendOptions",
    llm: LLM = "none",
    llm_shots: Annotated[
        int, typer.Option(min=0, help="Known rows that an LLM is shown with each row.")
    ] = 3,
    swap: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="First exchange the predictions of this share of the rows among each other, as "
            "from a predictor that is often wrong.",
        ),
    ] = 0.0,
    report: Annotated[
        Path | None,
        option(
            metavar="FILE.html",
            help="Write a page of it, row by row; a page that is there is replaced.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare ways of answering known rows: cross-validated, grouped by prompt."""
    import json

    from mean_prompt.cli.hybrid_display import print_evaluation
    from mean_prompt.hybrid import Comparison, compare
    from mean_prompt.report import check_page, progress_display, write_evaluation_report
    from mean_prompt.system import user_path

    page = None if report is None else user_path(report)
    if page is not None:  # refused before minutes are spent on it
        check_page(page, "--report")
    plan = Comparison(
        triples=user_path(triples),
        prompt=prompt,
        options=options,
        llm=llm,
        llm_options=asked,
        shots=llm_shots,
        swap=swap,
    )
    with progress_display(log=False) as listener:
        evaluation = compare(plan, listener=listener)
    if page is not None:
        write_evaluation_report(page, evaluation, plan)
    if as_json:
        typer.echo(json.dumps(evaluation.as_dict(), ensure_ascii=False, indent=2))
        return
    print_evaluation(evaluation)
    if page is not None:
        typer.echo(f"saved {page}")
