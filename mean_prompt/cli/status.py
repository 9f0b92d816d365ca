"""``mean-prompt status``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import argument


def status(
    run: Annotated[Path, argument(help="A run's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show the status of a search: its state, its best string, what it has spent and has left."""
    import json

    from mean_prompt.cli.status_display import print_status
    from mean_prompt.runs import RunStatus
    from mean_prompt.system import user_path

    found = RunStatus.read(user_path(run))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_status(found)
