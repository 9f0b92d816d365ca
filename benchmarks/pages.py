"""Measure the time to write the HTML report of a search on many prompts, and the report's size.

    python -m benchmarks.pages --work work --out pages.json

The prompts are synthetic and the model is tiny, with vectors as wide as all-MiniLM-L6-v2's: the
cost of a report depends only on the number of prompts and the vectors. The search is real.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from benchmarks.figures import save_tiny_bert, write_figures
from benchmarks.grammar import generate, to_jsonl
from mean_prompt.api import search
from mean_prompt.report import CorpusSpace, open_run, write_analysis, write_report
from mean_prompt.runs import RESULT
from mean_prompt.system import write_atomically

_COMMAND: Final = "python -m benchmarks.pages"
_WIDTH: Final = 384


@dataclass(frozen=True, slots=True)
class PageCost:
    """The time to write the HTML report at the end of a search, and the report's size.

    Attributes:
        prompts: number of prompts of the corpus.
        analysis_seconds: time to analyse the string in its corpus's space.
        page_seconds: time to draw the page and write it.
        bytes: size of the page.
    """

    prompts: int
    analysis_seconds: float
    page_seconds: float
    bytes: int


def main(
    work: Annotated[Path, typer.Option(help="Folder for corpus, model and run.")],
    out: Annotated[Path, typer.Option(help="JSON file for the figures.")],
    prompts: Annotated[int, typer.Option(help="How many.")] = 100_000,
    evaluations: Annotated[int, typer.Option(help="Of the search.")] = 2_000,
) -> None:
    """Search over synthetic prompts, then write the run's HTML report again and time it."""
    run = _searched(work, prompts, evaluations)
    cost = measure(run)
    write_figures(out, _COMMAND, asdict(cost))
    Console().print(
        f"{cost.prompts:,} prompts: analysis {cost.analysis_seconds:.1f} s, page "
        f"{cost.page_seconds:.1f} s, {cost.bytes / 1e6:.1f} MB",
        highlight=False,
    )


def measure(run: Path) -> PageCost:
    """Write the HTML report of a finished search, as the search itself does, and time it."""
    opened = open_run(run)
    began = time.perf_counter()
    write_analysis(run, CorpusSpace.of_problem(opened.problem, opened.encoder), opened.best)
    analysed = time.perf_counter()
    page = write_report(run)
    written = time.perf_counter()
    return PageCost(
        prompts=len(opened.problem.prompts),
        analysis_seconds=analysed - began,
        page_seconds=written - analysed,
        bytes=page.stat().st_size,
    )


def _searched(work: Path, prompts: int, evaluations: int) -> Path:
    """Return the folder of a finished search; run the search if the folder does not exist."""
    work.mkdir(parents=True, exist_ok=True)
    corpus, model, run = (
        work / f"prompts-{prompts}.jsonl",
        work / "tiny-bert",
        work / f"run-{prompts}-{evaluations}",
    )
    if not corpus.exists():
        write_atomically(corpus, to_jsonl(generate(prompts, seed=5)).encode())
    if not model.exists():
        save_tiny_bert(model, width=_WIDTH)
    if not (run / RESULT).exists():
        search(corpus, model=str(model), max_evaluations=evaluations, max_tokens=32, out=run)
    return run


if __name__ == "__main__":
    typer.run(main)
