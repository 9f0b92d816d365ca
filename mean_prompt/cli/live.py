"""``mean-prompt live``."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import Host, option

#: By how much the server gives way to the search, which works beside it.
_NICENESS = 10


def live(
    run: Annotated[Path, typer.Argument(help="A run's folder, of a search that runs or ended.")],
    host: Host = "127.0.0.1",
    port: Annotated[
        int | None,
        option(
            min=1,
            max=65_535,
            help="Default: the port that the run's page had before, else a free one.",
        ),
    ] = None,
    idle: Annotated[
        str | None,
        option(
            metavar="DURATION",
            help="End this long after the search is over and the page was last open. Default: "
            "only Ctrl-C ends it.",
        ),
    ] = None,
) -> None:
    """Serve a run's page while the search goes on, until Ctrl-C."""
    from mean_prompt.report import live_server
    from mean_prompt.system import Address, parse_duration, user_path

    folder = user_path(run)
    seconds = None if idle is None else parse_duration(idle)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    with live_server(folder, Address(host.lower(), port or 0)) as server:
        if server.moved_from:
            typer.echo(
                f"the page was at {server.moved_from.url} before, which is taken: a page that is "
                "still open must be opened again"
            )
        if not server.address.is_private:
            typer.echo(f"the page is open to everyone who reaches {server.address.host}")
        typer.echo(f"live page: {server.address.url}")
        with suppress(KeyboardInterrupt):
            server.serve(folder, seconds)
