"""The command line as a whole."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mean_prompt.cli.bench import bench
from mean_prompt.cli.check import check
from mean_prompt.cli.doctor import doctor
from mean_prompt.cli.embed import embed
from mean_prompt.cli.evaluate import evaluate
from mean_prompt.cli.explore import explore
from mean_prompt.cli.invert import invert
from mean_prompt.cli.live import live
from mean_prompt.cli.options import RayCommand
from mean_prompt.cli.predict import predict
from mean_prompt.cli.report import report
from mean_prompt.cli.score import score
from mean_prompt.cli.search import search
from mean_prompt.cli.status import status
from mean_prompt.cli.train import train
from mean_prompt.system import masked_urls


class _Commands(TyperGroup):
    """The commands, whose usage errors show no credentials of a URL in a wrong place."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - a private class of Typer's
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            error.message = masked_urls(error.message)
            raise


app = typer.Typer(
    name="mean-prompt",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find the one string whose sentence embedding is closest to a whole corpus of prompts.",
)
app.command(cls=RayCommand)(search)
app.command()(status)
app.command()(score)
app.command(cls=RayCommand)(embed)
app.command()(report)
app.command()(live)
app.command()(explore)
app.command()(invert)
app.command()(predict)
app.command()(evaluate)
app.command()(check)
app.command()(doctor)
app.add_typer(bench, name="bench")
app.add_typer(train, name="train")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mean-prompt {version('mean-prompt')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the options before a command."""
