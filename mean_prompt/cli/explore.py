"""``mean-prompt explore``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mean_prompt.cli.options import Host, option

if TYPE_CHECKING:
    from mean_prompt.report import Explorer


def explore(
    run: Annotated[Path, typer.Argument(help="A run's folder; it need not have finished.")],
    host: Host = "127.0.0.1",
    port: Annotated[
        int | None, option(min=1, max=65_535, help="Default: one that is free.")
    ] = None,
    corpus: Annotated[
        list[str] | None,
        option(help="Where the run's corpus is now; repeat for several. Default: where it was."),
    ] = None,
) -> None:
    """Serve a page on which strings are typed and seen in the run's space, until Ctrl-C."""
    import os

    from mean_prompt.system import Address, user_path

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    _need_web()
    # Taken before seconds of loading.
    address, listening = Address(host.lower(), port or 0).listen("--host and --port")
    with listening:
        folder = user_path(run)
        explorer, best = _opened(folder, corpus or [])

        from mean_prompt.report import explorer_app, serve

        served = explorer_app(explorer, best, address)
        typer.echo(f"explore {folder} at {address.url} (Ctrl-C ends)")
        serve(served, listening)


def _need_web() -> None:
    """Raise ``InputError`` if Gradio, which serves the page, is missing, before a run is loaded."""
    from importlib.util import find_spec

    from mean_prompt.system import InputError

    # Looked for and not imported: an import that fails for another reason tells that itself.
    if find_spec("gradio") is None:
        raise InputError(
            "the explorer needs Gradio, which is not installed; run: pip install 'mean-prompt[web]'"
        )


def _opened(folder: Path, corpus: list[str]) -> tuple[Explorer, str]:
    from rich.console import Console

    from mean_prompt.report import Explorer, open_run
    from mean_prompt.system import ProgressEvent

    console = Console(stderr=True, highlight=False)
    with console.status("reading the run") as status:

        def show(event: ProgressEvent) -> None:
            what = "corpus" if event.phase == "embedding" else event.phase
            status.update(f"embedding the {what}: {event.done:,} of {event.total:,}")

        found = open_run(folder, corpus=corpus, listener=show)
        status.update("finding the corpus's clusters")
        explorer = Explorer.of_run(found, show)
    return explorer, found.best
