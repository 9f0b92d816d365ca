"""``mean-prompt report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, finished or not.")],
) -> None:
    """Write a run's report anew: one page that shows it all, and opens offline.

    Every search writes one at its end. What it lacks is computed: the string in its corpus's
    space, where that was not written down.
    """
    from mean_prompt.paths import user_path
    from mean_prompt.report.write import write_report

    typer.echo(write_report(user_path(run)))
