"""Writing a run's report: its analysis beside it, and the page."""

from __future__ import annotations

from pathlib import Path

from mean_prompt.report.analysis.data import AffixAnalysis
from mean_prompt.report.analysis.space import Space
from mean_prompt.report.page.page import render
from mean_prompt.report.page.run_report import run_parts
from mean_prompt.runs import ANALYSIS, REPORT, ROWS
from mean_prompt.system import unwritable, write_atomically


def write_analysis(run: Path, space: Space, string: str) -> None:
    """Look at a run's string in its corpus's space, and write down what is seen.

    Raises:
        InputError: the file cannot be written.
    """
    _write(run / ANALYSIS, space.analyse(string).model_dump_json() + "\n")


def write_affix_analysis(run: Path, analysis: AffixAnalysis) -> None:
    """Write down what an affix does row by row.

    Raises:
        RunError: the file cannot be written.
    """
    _write(run / ROWS, analysis.model_dump_json() + "\n")


def write_report(run: Path) -> Path:
    """Write the page of a run's folder into it, and return its path.

    Raises:
        InputError: it is no run's folder, a file in it is damaged, or it cannot be written.
    """
    page = run / REPORT
    _write(page, render(run_parts(run)))
    return page


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise unwritable(path, error) from error
