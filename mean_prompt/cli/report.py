"""``mean-prompt report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, finished or not.")],
) -> None:
    """Write a run's report anew: one page that shows it all, and opens offline.

    Every search writes one at its end. Of a run that has not finished, or whose string was not
    looked at in its corpus's space, that is done first, which loads its corpus and its model.
    """
    from rich.console import Console

    from mean_prompt.paths import user_path
    from mean_prompt.report.write import write_report

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    folder = user_path(run)
    with console.status("reading the run"):
        note = _look_again(folder)
        page = write_report(folder)
    if note:
        console.print(note, markup=False)
    typer.echo(page)


def _look_again(run: Path) -> str | None:
    """Look at the run's string in its corpus's space where that is lacking, or say why not."""
    from mean_prompt.cli.warnings import one_line_warnings
    from mean_prompt.errors import InputError
    from mean_prompt.report.files import RunFiles

    files = RunFiles.read(run)
    is_affix = files.result is not None and files.result.context is not None
    if files.analysis or files.string is None or is_affix:
        return None
    from mean_prompt.analysis.opening import open_run
    from mean_prompt.report.write import write_analysis

    try:
        with one_line_warnings():
            opened = open_run(run)
    except InputError as error:
        return f"the report shows nothing of the string in its corpus's space: {error}"
    write_analysis(run, opened.space, files.string)
    return None
