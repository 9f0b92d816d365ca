"""``mean-prompt doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli.options import Model, Trust, option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mean_prompt.doctor import Diagnosis, RunSettings


def doctor(
    model: Model = None,
    trust_model: Trust = False,
    out: Annotated[
        Path | None, option(help="Folder to write runs into. Default: results/runs.")
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

    from mean_prompt.cli.doctor_display import print_findings
    from mean_prompt.doctor import RUNS, RunSettings

    settings = RunSettings(model, trust_model, RUNS if out is None else out)
    if as_json:
        findings = list(_findings(settings))
        typer.echo(json.dumps([asdict(one) for one in findings], indent=2, ensure_ascii=False))
    else:
        findings = print_findings(_findings(settings))
    if any(finding.state == "fault" for finding in findings):
        raise typer.Exit(1)


def _findings(settings: RunSettings) -> Iterator[Diagnosis]:
    """Yield what is found, each text on one line and without secrets."""
    from dataclasses import replace

    from mean_prompt.doctor import examine
    from mean_prompt.system import one_line

    for one in examine(settings):
        remedy = None if one.remedy is None else one_line(one.remedy)
        yield replace(one, found=one_line(one.found), remedy=remedy)
