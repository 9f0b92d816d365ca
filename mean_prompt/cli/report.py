"""``mean-prompt report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mean_prompt.cli.options import Trust, option
from mean_prompt.system import InputError


def report(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|SUBMISSION",
            help="The folder of a run, finished or not; or a submission that predict wrote.",
        ),
    ],
    truth: Annotated[
        Path | None,
        option(
            metavar="TRIPLES",
            help="The true prompts of a submission's rows, joined on id: what it really earns.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        option(help="What the truth is scored with. Default: the model that predict was given."),
    ] = None,
    trust_model: Trust = False,
) -> None:
    """Write the report of a run or of a submission again: one page that opens offline.

    Every search and every prediction writes one at its end. If a run's string was not analysed,
    it is analysed first, which loads the run's corpus and model.
    """
    from mean_prompt.system import user_path

    target = user_path(target)
    if target.suffix.lower() in {".csv", ".parquet"} and not target.is_dir():
        found = _of_submission(target, truth and user_path(truth), model, trust=trust_model)
    else:
        options = {"--truth": truth, "--model": model, "--trust-model": trust_model}
        if given := [name for name, value in options.items() if value]:
            raise InputError(
                f"{given[0]} is of a submission, a .csv or .parquet file: found {target}; leave it "
                "out, or name a submission"
            )
        found = _of_run(target)
    typer.echo(found)


def _of_submission(target: Path, truth: Path | None, model: str | None, *, trust: bool) -> Path:
    from mean_prompt.report import SubmissionFiles, write_submission_report

    if truth is None and (model or trust):
        option = "--model" if model else "--trust-model"
        raise InputError(f"{option} is for scoring with the truth: give --truth, or leave it out")
    files = SubmissionFiles.read(target)
    if truth is None:
        return write_submission_report(files)

    from mean_prompt.encoder import load_encoder
    from mean_prompt.report import find_truth, joined_triples

    answers, triples = joined_triples(files, truth)
    encoder = load_encoder(model or files.job.get("model"), trust=trust)
    return write_submission_report(files, find_truth(files, answers, triples, encoder))


def _of_run(folder: Path) -> Path:
    from rich.console import Console

    from mean_prompt.report import write_report

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status("reading the run"):
        note = _analyse_again(folder)
        page = write_report(folder)
    if note:
        console.print(note, markup=False)
    return page


def _analyse_again(run: Path) -> str | None:
    """Analyse the run's string in its corpus's space if it was not analysed, or return why not."""
    from mean_prompt.report import RunFiles

    files = RunFiles.read(run)
    is_affix = files.result is not None and files.result.context is not None
    if files.analysis or files.status.string is None or is_affix:
        return None
    from mean_prompt.report import open_run, write_analysis

    try:
        opened = open_run(run)
    except InputError as error:
        return f"the report shows nothing of the string in its corpus's space: {error}"
    write_analysis(run, opened.space, files.status.string)
    return None
