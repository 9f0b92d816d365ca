"""Benchmark parallel search: several worker processes against one, mass start, and scaling.

    python -m benchmarks.crew quality CORPUS --budget 120s --seeds 0,1,2 --out quality.json
    python -m benchmarks.crew crowd CORPUS --workers 32 --out crowd.json
    python -m benchmarks.crew scaling CORPUS --evaluations 3000 --out scaling.json

``quality`` runs one worker that has all cores, and workers of a core each, in turn; ``pooled``
combines result files of several seeds, which may have run at the same time on other cores.
``crowd`` starts many workers on a fresh study. ``scaling`` simulates up to 64 workers of a core
each: their search steps are real, taken in turn in one process, so that all workers have spent
equally many evaluations whenever they exchange results.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.figures import finish, start, write_figures
from mean_prompt.runs import EVENTS, RESULT, read_events
from mean_prompt.system import RunError, format_duration, parse_duration

_COMMAND: Final = "python -m benchmarks.crew"
app = typer.Typer(no_args_is_help=True, add_completion=False)

_Corpus = Annotated[Path, typer.Argument(help="Prompts, as for search.")]
_Out = Annotated[Path, typer.Option(help="JSON file for the figures.")]
_Model = Annotated[str, typer.Option(help="As for search.")]
_Tokens = Annotated[int, typer.Option(help="Tokens of the strings.")]


@app.command()
def quality(
    corpus: _Corpus,
    out: _Out,
    budget: Annotated[str, typer.Option(help="Of one worker's runs.")] = "120s",
    slack: Annotated[float, typer.Option(help="The workers' budget, as a multiple of it.")] = 1.1,
    seeds: Annotated[str, typer.Option(help="Integers, separated by commas.")] = "0,1,2",
    workers: Annotated[int, typer.Option(help="That share the cores.")] = 2,
    model: _Model = "all-MiniLM-L6-v2",
    max_tokens: _Tokens = 32,
) -> None:
    """Compare one search worker that has all cores with workers that share the cores."""
    runs, seconds = [], parse_duration(budget)
    for seed in map(int, seeds.split(",")):
        for count, share in ((None, 1.0), (workers, slack)):
            options = ["--budget", format_duration(share * seconds), "--seed", str(seed)]
            runs.append(_run(corpus, model, max_tokens, options, count))
    figures = {"slack": slack, "budget": seconds, "runs": runs, **_compared(runs, seconds)}
    write_figures(out, _COMMAND, figures)
    _show_quality(figures)


@app.command()
def pooled(
    files: Annotated[list[Path], typer.Argument(help="Files that quality wrote.")], out: _Out
) -> None:
    """Combine several result files of ``quality``, made with one budget, into one comparison."""
    parts = [json.loads(path.read_text("utf-8")) for path in files]
    [(slack, seconds)] = {(part["slack"], part["budget"]) for part in parts}
    runs = [run for part in parts for run in part["runs"]]
    figures = {"slack": slack, "budget": seconds, "runs": runs, **_compared(runs, seconds)}
    machines = [part["machine"] for part in parts]
    write_figures(out, _COMMAND, {"machines": machines, **figures})
    _show_quality(figures)


def _show_quality(figures: dict[str, Any]) -> None:
    table = Table("seed", "workers", "fraction", "evaluations", "seconds")
    for run in figures["runs"]:
        kind = str(run["workers"] or "one process")
        cells = (f"{run['fraction']:.4f}", f"{run['evaluations']:,}", f"{run['seconds']:.0f}")
        table.add_row(str(run["seed"]), kind, *cells)
    Console().print(table)
    ratio = figures["time ratio"]
    shown = "never reached" if ratio is None else f"after {ratio:.3f} of its time"
    Console().print(f"the one worker's final median: {shown}")


@app.command()
def crowd(
    corpus: _Corpus,
    out: _Out,
    workers: Annotated[int, typer.Option(help="That begin at once.")] = 32,
    budget: Annotated[str, typer.Option(help="Of the run.")] = "10m",
    max_evaluations: Annotated[int, typer.Option(help="Of all workers.")] = 20_000,
    storage: Annotated[
        str | None, typer.Option(help="URL; a file in the run's folder when left out.")
    ] = None,
    model: _Model = "all-MiniLM-L6-v2",
    max_tokens: _Tokens = 16,
) -> None:
    """Start many search workers at once on one study, and count how many worked, ended and died."""
    options = ["--budget", budget, "--max-evaluations", str(max_evaluations)]
    run = _run(corpus, model, max_tokens, options, workers, storage)
    working = [worker for worker in run["crew"] if worker["evaluations"]]
    figures = {
        "workers": workers,
        "worked": len(working),
        "ended": sum(worker["phase"] == "ended" for worker in run["crew"]),
        "died": run["died"],
        **run,
    }
    write_figures(out, _COMMAND, figures)
    for name in ("workers", "worked", "ended", "died", "evaluations", "seconds"):
        Console().print(f"{name}: {figures[name]}")


@app.command()
def scaling(
    corpus: _Corpus,
    out: _Out,
    evaluations: Annotated[int, typer.Option(help="Of each worker.")] = 3_000,
    sizes: Annotated[str, typer.Option(help="Numbers of workers, separated by commas.")] = (
        "1,2,4,8,16,32,64"
    ),
    seeds: Annotated[str, typer.Option(help="Integers, separated by commas.")] = "0",
    apart: Annotated[
        bool, typer.Option("--apart", help="Let the workers exchange nothing.")
    ] = False,
    device: Annotated[str, typer.Option(help="As for search.")] = "cpu",
    model: _Model = "all-MiniLM-L6-v2",
    max_tokens: _Tokens = 32,
) -> None:
    """Simulate parallel search workers in one process, to measure quality by number of workers."""
    from benchmarks.virtual import VirtualCrew

    crew = VirtualCrew(corpus, model, max_tokens, device)
    rows: list[dict[str, Any]] = []
    table = Table("workers", "seed", "share of the ceiling", "of the way to one's final string")
    for seed in map(int, seeds.split(",")):
        goal: float | None = None
        for size in map(int, sizes.split(",")):
            curve = crew.run(size, evaluations, seed, together=not apart)
            goal = curve[-1] if goal is None else goal
            reached = next((at for at, best in enumerate(curve, 1) if best >= goal), None)
            share = None if reached is None else reached / len(curve)
            row = {"workers": size, "seed": seed, "fraction": curve[-1], "time to one's": share}
            rows.append(row | {"curve": [round(best, 5) for best in curve]})
            shown = "never" if share is None else f"{share:.2f}"
            table.add_row(str(size), str(seed), f"{curve[-1]:.4f}", shown)
            setup = {"evaluations": evaluations, "together": not apart}
            write_figures(out, _COMMAND, setup | {"rows": rows}, device=device)
    Console().print(table)


def _compared(runs: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Return both kinds' median scores, and how soon workers reach the score of one process.

    Args:
        runs: figures of all runs; ``workers`` is ``None`` for a run of one process.
        seconds: budget of a run of one process.
    """
    alone = [run for run in runs if run["workers"] is None]
    crew = [run for run in runs if run["workers"] is not None]
    goal = float(np.median([run["train_fraction"] for run in alone]))
    times = [_time_to(run["bests"], goal) for run in crew]
    median = float(np.median([math.inf if when is None else when for when in times]))
    own = [_time_to(run["bests"], goal) for run in alone]
    return {
        "median of one": float(np.median([run["fraction"] for run in alone])),
        "median of workers": float(np.median([run["fraction"] for run in crew])),
        "goal": goal,
        "seconds to the goal": {"one": own, "workers": times},
        # JSON knows no infinity.
        "time ratio": None if math.isinf(median) else median / seconds,
    }


def _time_to(bests: Sequence[tuple[float, float]], goal: float) -> float | None:
    """Return when a run reached a score (a share of the ceiling); ``None`` if it never did."""
    return next((when for when, fraction in bests if fraction >= goal - 1e-9), None)


def _run(
    corpus: Path,
    model: str,
    max_tokens: int,
    options: Sequence[str],
    workers: int | None,
    storage: str | None = None,
) -> dict[str, Any]:
    """Run one search in a process of its own, and return its scores, times and worker reports."""
    with tempfile.TemporaryDirectory() as work:
        run = Path(work) / f"run-{time.time_ns()}"
        crew = [] if workers is None else ["--workers", str(workers)]
        shared = {} if storage is None else {"MEAN_PROMPT_STORAGE": storage}
        command = ["search", str(corpus), "--model", model, "--max-tokens", str(max_tokens)]
        ended, printed = finish(start([*command, *options, *crew, "--out", str(run)], shared))
        if ended != "done":
            raise RunError(f"a search must not be killed: it ended by {ended}")
        result = json.loads((run / RESULT).read_text("utf-8"))
        bests = [event for event in read_events(run / EVENTS) if event["event"] == "best"]
    return {
        "workers": workers,
        "seed": result["seed"],
        "fraction": result["fraction"],
        "train_fraction": bests[-1]["fraction"],
        "evaluations": result["evaluations"],
        "seconds": result["seconds"],
        "bests": [(event["time"], event["fraction"]) for event in bests],
        "crew": result.get("workers", []),
        "died": sum(" died " in line for line in printed.splitlines()),
    }


if __name__ == "__main__":
    app()
