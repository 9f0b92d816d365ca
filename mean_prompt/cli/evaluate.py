"""``mean-prompt evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli import blend_options as blend_cli, llm_options as llm_cli
from mean_prompt.cli.model_options import Trust


def evaluate(
    triples: Annotated[
        Path,
        typer.Argument(help="Known rows: id, original_text, rewritten_text, rewrite_prompt."),
    ],
    prompt: blend_cli.Prompt,
    llm: llm_cli.LLM = "none",
    llm_shots: llm_cli.Shots = 3,
    llm_samples: llm_cli.Samples = None,
    llm_temperature: llm_cli.Temperature = None,
    llm_max_tokens: llm_cli.NewTokens = None,
    llm_batch: llm_cli.Batch = None,
    llm_dtype: llm_cli.Dtype = None,
    llm_4bit: llm_cli.FourBit = False,
    llm_timeout: llm_cli.Timeout = None,
    llm_concurrency: llm_cli.Concurrency = None,
    llm_retries: llm_cli.Retries = None,
    swap: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="First exchange the predictions of this share of the rows among each other, as "
            "from a predictor that is often wrong.",
        ),
    ] = 0.0,
    model: blend_cli.Model = None,
    trust_model: Trust = False,
    corpus: blend_cli.CorpusFiles = None,
    prefix: blend_cli.Prefix = None,
    suffix: blend_cli.Suffix = None,
    max_tokens: blend_cli.MaxTokens = 64,
    trials: blend_cli.Trials = 24,
    seed: blend_cli.Seed = 0,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page of it, row by row; a page that is there is replaced.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare ways of answering known rows: cross-validated, grouped by prompt."""
    import json

    from mean_prompt.cli.hybrid_display import print_evaluation
    from mean_prompt.cli.warnings import one_line_warnings
    from mean_prompt.hybrid import Comparison, compare
    from mean_prompt.report import progress_display
    from mean_prompt.system import user_path

    page = None if report is None else user_path(report)
    if page is not None:  # refused before minutes are spent on it
        from mean_prompt.report import check_page, write_evaluation_report

        check_page(page, "--report")
    plan = Comparison(
        triples=user_path(triples),
        prompt=prompt,
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
        swap=swap,
    )
    with one_line_warnings(), progress_display(log=False) as listener:
        evaluation = compare(plan, listener=listener)
    if page is not None:
        write_evaluation_report(page, evaluation, plan)
    if as_json:
        typer.echo(json.dumps(evaluation.as_dict(), ensure_ascii=False, indent=2))
        return
    print_evaluation(evaluation)
    if page is not None:
        typer.echo(f"saved {page}")
