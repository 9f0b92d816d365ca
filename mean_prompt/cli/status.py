"""``mean-prompt status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.storage_options import Storage


def status(
    run: Annotated[Path | None, typer.Argument(help="A run's folder.", show_default=False)] = None,
    storage: Storage = None,
    study: Annotated[
        str | None,
        typer.Option(help="Name of the run in the storage.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Tell where a search stands: its workers, live and dead, their rates, the best string."""
    import json

    from mean_prompt.cli.status_display import print_status
    from mean_prompt.system import user_path
    from mean_prompt.workers import find_status

    found = find_status(user_path(run) if run else None, storage, study)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_status(found)
