"""Write the HTML pages of runs, submissions and evaluations, and the analyses of runs as JSON."""

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
    """Compare a run's best string with its corpus, and write the analysis into the run's folder."""
    _write(run / ANALYSIS, space.analyse(string).model_dump_json() + "\n")


def write_affix_analysis(run: Path, analysis: AffixAnalysis) -> None:
    """Write the per-row effects of a run's affix (prefix or suffix) into the run's folder."""
    _write(run / ROWS, analysis.model_dump_json() + "\n")


def write_report(run: Path) -> Path:
    """Write the HTML page of a search run into the run's folder, and return the page's path.

    Raises:
        InputError: ``run`` is no run's folder, or a file in it is damaged.
        RunError: the page cannot be written.
    """
    from mean_prompt.report.page.run_report import run_parts

    page = run / REPORT
    _write(page, render(run_parts(run)))
    return page


def write_submission_report(files: SubmissionFiles, truth: Truth | None = None) -> Path:
    """Write the HTML page of a submission next to its file, and return the page's path."""
    from mean_prompt.report.page.hybrid_report import submission_parts

    write_page(files.page, submission_parts(files, truth))
    return files.page


def write_evaluation_report(path: Path, evaluation: Evaluation, plan: Comparison) -> None:
    """Write the HTML page of an evaluation: predictors compared under cross-validation."""
    from mean_prompt.hybrid import universal_string
    from mean_prompt.report.page.hybrid_report import evaluation_parts

    write_page(path, evaluation_parts(evaluation, plan, universal_string(plan.prompt)))


def write_page(path: Path, parts: PageParts) -> None:
    """Write an HTML page atomically.

    Raises:
        RunError: the page cannot be written; the file that was there before is unchanged.
    """
    remedy = "give room, or another folder"
    with os_errors("a page must be written", path, remedy, raises=RunError):
        write_atomically(path, render(parts).encode())


def check_page(path: Path, option: str) -> None:
    """Check that an HTML page can be written to a path, and leave no file behind.

    Only an existing page may be replaced later, never another kind of file.

    Raises:
        InputError: the path does not end in ``.html``, or cannot be written to.
    """
    if path.suffix.lower() != _SUFFIX:
        raise InputError(f"{option} must be a page, whose name ends in {_SUFFIX}: found {path}")
    check_target(path, option)


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise unwritable(path, error) from error
