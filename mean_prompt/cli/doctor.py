"""``mean-prompt doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli.model_options import Trust
from mean_prompt.cli.storage_options import Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mean_prompt.doctor import Diagnosis, RunSettings


def doctor(
    model: Annotated[str | None, typer.Option(help="As for search.", show_default=False)] = None,
    trust_model: Trust = False,
    storage: Storage = None,
    study: Annotated[
        str | None,
        typer.Option(help="Name of a run in the storage.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write runs into. Default: results/runs.", show_default=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings as a JSON list.")
    ] = False,
) -> None:
    """Check everything that a run needs, and say how to fix it; exit code 1 if a run would fail.

    Nothing is fetched, changed or left behind.
    """
    import json
    from dataclasses import asdict

    from mean_prompt.doctor import RUNS, RunSettings
    from mean_prompt.system import InputError

    if study is not None and storage is None:
        raise InputError("--study must be in a storage: found none; give --storage too")
    settings = RunSettings(model, trust_model, storage, study, RUNS if out is None else out)
    if as_json:
        findings = list(_findings(settings))
        typer.echo(json.dumps([asdict(one) for one in findings], indent=2, ensure_ascii=False))
    else:
        findings = _printed(_findings(settings))
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)


def _findings(settings: RunSettings) -> Iterator[Diagnosis]:
    """Yield what is found, each text on one line and without secrets."""
    from dataclasses import replace

    from mean_prompt.cli.warnings import one_line_warnings
    from mean_prompt.doctor import examine
    from mean_prompt.system import one_line

    with one_line_warnings():
        for one in examine(settings):
            remedy = None if one.remedy is None else one_line(one.remedy)
            yield replace(one, found=one_line(one.found), remedy=remedy)


def _printed(findings: Iterator[Diagnosis]) -> list[Diagnosis]:
    """Print what is found as it is found, and a verdict at the end."""
    from rich.console import Console

    from mean_prompt.cli.doctor_display import print_finding, print_verdict

    console = Console(highlight=False)
    printed = []
    for finding in findings:
        print_finding(finding, console)
        printed.append(finding)
    print_verdict(printed, console)
    return printed
