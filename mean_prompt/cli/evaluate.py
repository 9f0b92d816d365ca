"""``mean-prompt evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli import llm_options as llm_cli
from mean_prompt.cli.model_options import Trust


def evaluate(
    triples: Annotated[
        Path,
        typer.Argument(help="Known rows: id, original_text, rewritten_text, rewrite_prompt."),
    ],
    prompt: Annotated[
        str,
        typer.Option(
            metavar="RUN|STRING",
            help="The universal string, or the folder of the run that found it.",
        ),
    ],
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
            help="Hand the predictions of this share of the rows round among each other first, as "
            "from a predictor that is often wrong.",
        ),
    ] = 0.0,
    model: Annotated[str | None, typer.Option(help="As for search.", show_default=False)] = None,
    trust_model: Trust = False,
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="As for predict.", show_default=False),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(metavar="RUN|STRING", help="As for predict.", show_default=False),
    ] = None,
    suffix: Annotated[
        str | None,
        typer.Option(metavar="RUN|STRING", help="As for predict.", show_default=False),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of an answer.")] = 64,
    trials: Annotated[int, typer.Option(min=1, help="Settings that each fit tries.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="Write a page of it, row by row; one that is there is replaced.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare ways of answering known rows: cross-validated, grouped by prompt."""
    import json

    from mean_prompt.cli.hybrid_display import choose_progress, print_evaluation
    from mean_prompt.cli.warnings import one_line_warnings
    from mean_prompt.hybrid import Comparison, compare
    from mean_prompt.system import user_path

    page = None if report is None else _checked(user_path(report))
    plan = Comparison(
        triples=user_path(triples),
        prompt=prompt,
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
        model=model,
        trust=trust_model,
        corpus=tuple(corpus or ()),
        prefix=prefix,
        suffix=suffix,
        max_tokens=max_tokens,
        trials=trials,
        seed=seed,
    )
    with one_line_warnings(), choose_progress() as progress:
        evaluation = compare(plan, listener=progress)
    if page is not None:
        from mean_prompt.report import write_evaluation_report

        write_evaluation_report(page, evaluation, plan)
    if as_json:
        typer.echo(json.dumps(evaluation.as_dict(), ensure_ascii=False, indent=2))
    else:
        print_evaluation(evaluation)
        if page is not None:
            typer.echo(f"saved {page}")


def _checked(page: Path) -> Path:
    """Refuse a page that cannot be written, before minutes are spent on it."""
    from mean_prompt.report import check_page

    check_page(page, "--report")
    return page
