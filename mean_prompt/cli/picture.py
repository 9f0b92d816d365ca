"""The picture in the README: what a finished search shows, as SVG.

Run as ``python -m mean_prompt.cli.picture RUN OUT.svg``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mean_prompt.cli.display import print_result
from mean_prompt.display.progress import highlight_edit, search_panel
from mean_prompt.result import SearchResult
from mean_prompt.tracker import Progress

_WIDTH = 100


def draw(run: Path, target: Path) -> None:
    """Draw the last state of the live display and the closing table of a run's folder."""
    result = SearchResult.load(run)
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), highlight=False)
    console.print(Text("$ make search", style="bold"))
    console.print(search_panel(_last_progress(result), highlight_edit("", result.string)))
    print_result(result, console)
    console.save_svg(str(target), title="mean-prompt")


def _last_progress(result: SearchResult) -> Progress:
    return Progress(
        "searching",
        result.evaluations,
        None,
        result.seconds,
        0.0,
        rate=result.evaluations_per_second,
        score=result.train_score,
        fraction=result.fraction,
        holdout=result.holdout_score,
        text=result.string,
    )


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
