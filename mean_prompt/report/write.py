"""Writing the pages of runs, submissions and evaluations, and the analyses beside a run's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mean_prompt.report.page.page import PageParts, render
from mean_prompt.runs import ANALYSIS, REPORT, ROWS
from mean_prompt.system import (
    InputError,
    RunError,
    check_target,
    os_errors,
    unwritable,
    write_atomically,
)

if TYPE_CHECKING:
    from mean_prompt.hybrid import Comparison, Evaluation
    from mean_prompt.report.analysis.data import AffixAnalysis
    from mean_prompt.report.analysis.space import CorpusSpace
    from mean_prompt.report.page.submission_files import SubmissionFiles
    from mean_prompt.report.page.truth import Truth

_SUFFIX: Final = ".html"


def write_analysis(run: Path, space: CorpusSpace, string: str) -> None:
    """Analyse a run's string in its corpus's space, and write the analysis into its folder."""
    _write(run / ANALYSIS, space.analyse(string).model_dump_json() + "\n")


def write_affix_analysis(run: Path, analysis: AffixAnalysis) -> None:
    """Write what an affix changes row by row into its run's folder."""
    _write(run / ROWS, analysis.model_dump_json() + "\n")


def write_report(run: Path) -> Path:
    """Write the page of a run into its folder, and return its path.

    Raises:
        InputError: it is no run's folder, or a file in it is damaged.
        RunError: the page cannot be written.
    """
    from mean_prompt.report.page.run_report import run_parts

    page = run / REPORT
    _write(page, render(run_parts(run)))
    return page


def write_submission_report(files: SubmissionFiles, truth: Truth | None = None) -> Path:
    """Write the page of a submission beside it, and return its path."""
    from mean_prompt.report.page.hybrid_report import submission_parts

    write_page(files.page, submission_parts(files, truth))
    return files.page


def write_evaluation_report(path: Path, evaluation: Evaluation, plan: Comparison) -> None:
    """Write the page of an evaluation."""
    from mean_prompt.hybrid import universal_string
    from mean_prompt.report.page.hybrid_report import evaluation_parts

    write_page(path, evaluation_parts(evaluation, plan, universal_string(plan.prompt)))


def write_page(path: Path, parts: PageParts) -> None:
    """Write a page as a whole.

    Raises:
        RunError: it cannot be written; what was there before is whole.
    """
    remedy = "give room, or another folder"
    with os_errors("a page must be written", path, remedy, raises=RunError):
        write_atomically(path, render(parts).encode())


def check_page(path: Path, option: str) -> None:
    """Refuse a path that no page can be written to; leave nothing behind.

    A page that is there will be replaced, and nothing else will.

    Raises:
        InputError: its name is not that of a page, or it cannot be written.
    """
    if path.suffix.lower() != _SUFFIX:
        raise InputError(f"{option} must be a page, whose name ends in {_SUFFIX}: found {path}")
    check_target(path, option)


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise unwritable(path, error) from error
