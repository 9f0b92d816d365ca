"""``mean-prompt check``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import Trust, option

_NOT_COUNTED = "tokens were not counted: give --max-tokens or --model to find over-long answers"


def check(
    submission: Annotated[Path, typer.Argument(help="The CSV file to check.")],
    test: Annotated[
        Path, typer.Option(help="The file that it answers: CSV, JSONL, Parquet with a column id.")
    ],
    max_tokens: Annotated[
        int | None,
        option(
            min=1, help="Most tokens of an answer; counted with the model. Default: any number."
        ),
    ] = None,
    model: Annotated[
        str | None,
        option(
            help="As for search, to count tokens and to find answers that it cuts. Loaded only if "
            "this or --max-tokens is given."
        ),
    ] = None,
    trust_model: Trust = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print faults and warnings as a JSON list.")
    ] = False,
) -> None:
    """Find what is wrong with a submission; exit code 2 if it is not valid."""
    from dataclasses import asdict

    from mean_prompt.corpus import read_ids
    from mean_prompt.hybrid import check_submission
    from mean_prompt.system import user_path

    submission, test = user_path(submission), user_path(test)
    rows = len(read_ids(test))
    # Without the model first: files that are not there are found before seconds of loading.
    findings = check_submission(submission, test)
    counts_tokens = model is not None or max_tokens is not None
    if counts_tokens:
        from mean_prompt.encoder import load_encoder

        encoder = load_encoder(model, screening="float32", trust=trust_model)
        findings = check_submission(submission, test, encoder=encoder, max_tokens=max_tokens)
    faults = sum(finding.severity == "fault" for finding in findings)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.severity}: {finding.message}")
        kinds = f"{faults} kind{'s' if faults > 1 else ''} of fault"
        typer.echo(f"not valid: {kinds}" if faults else f"valid: {rows:,} rows")
    if not counts_tokens:
        typer.echo(_NOT_COUNTED, err=as_json)
    if faults:
        raise typer.Exit(2)
