"""``mean-prompt predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli import STARTED, blend_options as blend_cli, llm_options as llm_cli
from mean_prompt.cli.model_options import Trust


def predict(
    test: Annotated[
        Path,
        typer.Argument(help="Rows to answer: id, original_text, rewritten_text."),
    ],
    triples: Annotated[
        Path,
        typer.Option(help="Known rows: the same columns and rewrite_prompt."),
    ],
    prompt: blend_cli.Prompt,
    out: Annotated[Path, typer.Option(help="The submission, a new CSV file.")],
    llm: llm_cli.LLM = "none",
    llm_shots: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Known rows that an LLM is shown with each row. Default: 3; none if the time "
            "limit is under 10m.",
            show_default=False,
        ),
    ] = None,
    llm_samples: llm_cli.Samples = None,
    llm_temperature: llm_cli.Temperature = None,
    llm_max_tokens: llm_cli.NewTokens = None,
    llm_batch: llm_cli.Batch = None,
    llm_dtype: llm_cli.Dtype = None,
    llm_4bit: llm_cli.FourBit = False,
    llm_timeout: llm_cli.Timeout = None,
    llm_concurrency: llm_cli.Concurrency = None,
    llm_retries: llm_cli.Retries = None,
    calibrate: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Known rows that an LLM is asked about, to learn how far to trust it; at least "
            "24, or 0 to trust it. Recorded predictions are looked up for all. Default: 64; none "
            "if the time limit is under 10m.",
            show_default=False,
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(
            help="Time for the whole run: 30s, 8h30m. Rows that do not fit keep the answer they "
            "have. Default: none.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a run that was ended.")
    ] = False,
    model: blend_cli.Model = None,
    trust_model: Trust = False,
    corpus: blend_cli.CorpusFiles = None,
    prefix: blend_cli.Prefix = None,
    suffix: blend_cli.Suffix = None,
    max_tokens: blend_cli.MaxTokens = 64,
    trials: blend_cli.Trials = 24,
    seed: blend_cli.Seed = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Answer the rows of a test file, in a submission that is valid at every moment."""
    import json

    from mean_prompt.api import predict as answer_rows
    from mean_prompt.cli.hybrid_display import print_summary
    from mean_prompt.cli.warnings import one_line_warnings
    from mean_prompt.hybrid import Request
    from mean_prompt.report import progress_display
    from mean_prompt.system import parse_duration, user_path

    request = Request(
        test=user_path(test),
        triples=user_path(triples),
        prompt=prompt,
        out=user_path(out),
        options=blend_cli.blend_options(
            model=model,
            trust=trust_model,
            corpus=corpus,
            prefix=prefix,
            suffix=suffix,
            max_tokens=max_tokens,
            trials=trials,
            seed=seed,
        ),
        llm=llm,
        llm_options=llm_cli.llm_options(
            seed=seed,
            samples=llm_samples,
            temperature=llm_temperature,
            max_new_tokens=llm_max_tokens,
            batch=llm_batch,
            dtype=llm_dtype,
            four_bit=llm_4bit,
            timeout=llm_timeout,
            concurrency=llm_concurrency,
            retries=llm_retries,
        ),
        shots=llm_shots,
        calibrate=calibrate,
        time_limit=None if time_limit is None else parse_duration(time_limit),
        resume=resume,
    )
    with one_line_warnings(), progress_display(log=False) as listener:
        summary = answer_rows(request, listener=listener, started=STARTED)
    if as_json:
        typer.echo(json.dumps(summary.as_dict(), ensure_ascii=False, indent=2))
    else:
        print_summary(summary)
