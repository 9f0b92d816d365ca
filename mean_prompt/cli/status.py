"""``mean-prompt status``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import Storage, Study, argument


def status(
    run: Annotated[Path | None, argument(help="A run's folder.")] = None,
    storage: Storage = None,
    study: Study = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show how a search is: its state, what it has spent, its best string, and any workers."""
    import json

    from mean_prompt.cli.status_display import print_crew, print_run
    from mean_prompt.runs import WORKERS, RunStatus
    from mean_prompt.system import user_path

    folder = user_path(run) if run else None
    if folder and not storage and not (folder / WORKERS).is_dir():
        run_status = RunStatus.read(folder)
        data, show = run_status.as_dict(), partial(print_run, run_status)
    else:
        from mean_prompt.workers import find_status

        crew_status = find_status(folder, storage, study)
        data, show = crew_status.as_dict(), partial(print_crew, crew_status)
    if as_json:
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        show()
