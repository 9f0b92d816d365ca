"""``mean-prompt predict``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli import STARTED
from mean_prompt.cli.blend_options import Prompt, blend_options
from mean_prompt.cli.llm_options import LLM, llm_options
from mean_prompt.cli.options import option, takes

if TYPE_CHECKING:
    from mean_prompt.hybrid import BlendOptions
    from mean_prompt.llm import LLMOptions


@takes(asked=llm_options, options=blend_options)
def predict(
    test: Annotated[
        Path, typer.Argument(help="Rows to answer: id, original_text, rewritten_text.")
    ],
    triples: Annotated[Path, typer.Option(help="Known rows: the same columns and rewrite_prompt.")],
    prompt: Prompt,
    out: Annotated[Path, typer.Option(help="The submission, a new CSV file.")],
    asked: "LLMOptions",
    options: "BlendOptions",
    llm: LLM = "none",
    llm_shots: Annotated[
        int | None,
        option(
            min=0,
            help="Known rows that an LLM is shown with each row. Default: 3; none if the time "
            "limit is under 10m.",
        ),
    ] = None,
    calibrate: Annotated[
        int | None,
        option(
            min=0,
            help="Known rows that an LLM is asked about, to learn how far to trust it; at least "
            "24, or 0 to trust it. Recorded predictions are looked up for all. Default: 64; none "
            "if the time limit is under 10m.",
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        option(
            help="Time for the whole run: 30s, 8h30m. Rows that do not fit keep the answer they "
            "have. Default: none.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was ended.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Answer the rows of a test file, in a submission that is valid at every moment."""
    import json

    from mean_prompt.api import predict as answer_rows
    from mean_prompt.cli.hybrid_display import print_summary
    from mean_prompt.hybrid import Request
    from mean_prompt.report import progress_display
    from mean_prompt.system import parse_duration, user_path

    request = Request(
        test=user_path(test),
        triples=user_path(triples),
        prompt=prompt,
        out=user_path(out),
        options=options,
        llm=llm,
        llm_options=asked,
        shots=llm_shots,
        calibrate=calibrate,
        time_limit=None if time_limit is None else parse_duration(time_limit),
        resume=resume,
    )
    with progress_display(log=False) as listener:
        summary = answer_rows(request, listener=listener, started=STARTED)
    if as_json:
        typer.echo(json.dumps(summary.as_dict(), ensure_ascii=False, indent=2))
    else:
        print_summary(summary)
