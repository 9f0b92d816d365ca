"""Write the HTML page at the end of a prediction run, without delaying or failing the run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mean_prompt.hybrid import PAGE
from mean_prompt.system import MeanPromptError

#: Seconds that a page may take: to load the plotting code, and for each row. 1,400 rows took 0.8 s
#: of CPU time, and 2.4 s when eight processes shared two cores.
_SECONDS: Final = 2.0
_SECONDS_A_ROW: Final = 0.5e-3


def write_last_page(out: Path, rows: int, left: float) -> tuple[Path | None, str | None]:
    """Write the page of a complete submission; return its path, or ``None`` and the reason.

    ``rows`` is the number of rows, ``left`` the seconds until the time limit, infinite without one.
    """
    page = out.with_suffix(PAGE)
    again = f"mean-prompt report {out} writes it"
    if left < _SECONDS + _SECONDS_A_ROW * rows:
        return None, f"the time limit left no time for {page}: {again}"
    try:
        return _write(out), None
    except MeanPromptError as error:
        return None, f"{page} was not written: {error}; the submission is whole"
    except Exception as error:  # noqa: BLE001  a fault in a page must not fail a submission
        fault = f"{type(error).__name__}: {error}"
        return None, f"{page} was not written, by a fault of this program: {fault}; {again}"


def _write(out: Path) -> Path:
    # Imported only here: the plotting code loads slowly, and a first submission is urgent.
    from mean_prompt.report.page.submission_files import SubmissionFiles
    from mean_prompt.report.write import write_submission_report

    return write_submission_report(SubmissionFiles.read(out))
