"""Writing the page of a submission, or of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mean_prompt.report.page.page import Parts, render
from mean_prompt.system import InputError, RunError, check_target, write_atomically

if TYPE_CHECKING:
    from mean_prompt.hybrid import Comparison, Evaluation
    from mean_prompt.report.page.submission_files import SubmissionFiles
    from mean_prompt.report.page.truth import Truth

_SUFFIX: Final = ".html"


def write_submission_report(files: SubmissionFiles, truth: Truth | None = None) -> Path:
    """Write the page of a submission beside it, and return its path.

    Raises:
        RunError: it cannot be written.
    """
    from mean_prompt.report.page.hybrid_report import submission_parts

    write_page(files.page, submission_parts(files, truth))
    return files.page


def write_evaluation_report(path: Path, evaluation: Evaluation, plan: Comparison) -> None:
    """Write the page of an evaluation.

    Raises:
        RunError: it cannot be written.
    """
    from mean_prompt.hybrid import universal_string
    from mean_prompt.report.page.hybrid_report import evaluation_parts

    write_page(path, evaluation_parts(evaluation, plan, universal_string(plan.prompt)))


def write_page(path: Path, parts: Parts) -> None:
    """Write a page as a whole.

    Raises:
        RunError: it cannot be written; what was there before is whole.
    """
    try:
        write_atomically(path, render(parts).encode())
    except OSError as error:
        raise RunError(
            f"a page must be written: {path}: {error.strerror or error}; give room, or another "
            "folder"
        ) from error


def check_page(path: Path, option: str) -> None:
    """Refuse a path that no page can be written to; leave nothing behind.

    A page that is there will be replaced, and nothing else will.

    Args:
        path: of the page that is to be.
        option: that it was given by.

    Raises:
        InputError: it is no name of a page, or cannot be written.
    """
    if path.suffix.lower() != _SUFFIX:
        raise InputError(f"{option} must be a page, whose name ends in {_SUFFIX}: found {path}")
    check_target(path, option)
