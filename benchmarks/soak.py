"""Check whether the memory of a long search in one process grows.

    python -m benchmarks.soak --steps 10000 --out soak.json

The model is tiny, so that steps are many; the data kept per step are as large as with any other
model of the same width. The search is saved to disk as every run is.
"""

from __future__ import annotations

import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from benchmarks.figures import save_tiny_bert, write_figures
from mean_prompt.api import search
from mean_prompt.encoder import load_encoder
from mean_prompt.runs import Recipe, SearchProgress
from mean_prompt.system import shipped_folder

_COMMAND: Final = "python -m benchmarks.soak"
#: Steps between two measurements of the memory.
_EVERY: Final = 50
#: Width of the model's vectors, that of all-MiniLM-L6-v2.
_WIDTH: Final = 384


@dataclass(slots=True)
class Watcher:
    """A listener that measures a search's memory at intervals, and ends it after some steps.

    Attributes:
        steps: number of steps after which the search is interrupted.
        memory: MiB in use, by step.
        taken: number of steps so far.
    """

    steps: int
    memory: dict[int, float]
    taken: int = 0

    def __call__(self, progress: SearchProgress) -> None:
        """Count a step of the search, and measure the memory if it is time."""
        if progress.phase != "searching":
            return
        self.taken += 1
        if self.taken % _EVERY == 0:
            self.memory[self.taken] = resident_mib()
        if self.taken == self.steps:
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C: the search ends after this step


def main(
    out: Annotated[Path, typer.Option(help="JSON file for the figures.")],
    steps: Annotated[int, typer.Option(help="Of the search.")] = 10_000,
    warm_up: Annotated[int, typer.Option(help="Steps after which memory should not grow.")] = 2_000,
    max_tokens: Annotated[int, typer.Option(help="Tokens of the strings.")] = 32,
) -> None:
    """Run a search for a number of steps, and record the process's memory."""
    if steps - steps % _EVERY < warm_up:
        raise typer.BadParameter(
            f"--steps must be more than --warm-up, measured every {_EVERY}: found {steps} and "
            f"{warm_up}; give more steps, or a shorter warm-up"
        )
    watcher = Watcher(steps, {})
    with tempfile.TemporaryDirectory() as work:
        model = load_encoder(str(save_tiny_bert(Path(work) / "model", width=_WIDTH)))
        search(
            shipped_folder("corpora"),
            # Rounds as long as in a run of hours, so that many climbs begin and end.
            recipe=Recipe.parse({"study": {"climb_evaluations": 40_000}}, where="the soak"),
            max_evaluations=200 * steps,
            max_tokens=max_tokens,
            model=model,
            out=Path(work) / "run",
            listener=watcher,
        )
    figures = summary(watcher.memory, warm_up)
    write_figures(out, _COMMAND, {"steps": watcher.taken, **figures})
    console = Console()
    for name, value in figures.items():
        if not isinstance(value, dict):
            console.print(f"{name}: {value:.3f}")


def summary(memory: dict[int, float], warm_up: int) -> dict[str, Any]:
    """Return figures of how the process's memory changed after the warm-up.

    Args:
        memory: MiB in use, by step.
        warm_up: number of first steps that are ignored.
    """
    late = {step: used for step, used in memory.items() if step >= warm_up}
    first = next(iter(late.values()))
    return {
        "MiB after the warm-up": first,
        "most MiB afterwards": max(late.values()),
        "growth": max(late.values()) / first - 1,
        "MiB by step": {str(step): round(used, 1) for step, used in memory.items()},
    }


def resident_mib() -> float:
    """Return the memory in use by this process, in MiB, as Linux reports it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 2**10
    raise OSError("the system does not report how much memory is in use")


if __name__ == "__main__":
    typer.run(main)
