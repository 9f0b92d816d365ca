"""Check that a search killed and resumed many times gives the same result as an undisturbed one.

    python -m benchmarks.kills CORPUS --evaluations 5000 --kills 20 --out kills.json

Both searches run in separate processes, started as a user would. Kills are SIGKILL, at moments
drawn at random from the time that the undisturbed search took.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import optuna
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.figures import finish, start, write_figures
from mean_prompt.runs import (
    BEST,
    CHECKPOINT,
    EVENTS,
    RESULT,
    STUDY,
    STUDY_NAME,
    Checkpoint,
    read_events,
)

_COMMAND: Final = "python -m benchmarks.kills"
_PAUSE: Final = 0.02
#: Share of the search's time within which kills happen: otherwise a machine that is less busy the
#: second time would end the search before the last kill.
_MOST: Final = 0.85


@dataclass(frozen=True, slots=True)
class Life:
    """One process of the search that is killed and resumed: its time, progress and end.

    Attributes:
        seconds: time from the process's start to its end.
        saved: evaluations at the process's last checkpoint, from which the next process resumes.
        ended: ``done``, or the signal that ended the process.
    """

    seconds: float
    saved: int
    ended: str


def main(
    corpus: Annotated[Path, typer.Argument(help="Prompts, as for search.")],
    out: Annotated[Path, typer.Option(help="JSON file for the figures.")],
    evaluations: Annotated[int, typer.Option(help="Of either search.")] = 5_000,
    kills: Annotated[int, typer.Option(help="How often one is killed.")] = 20,
    max_tokens: Annotated[int, typer.Option(help="Tokens of the strings.")] = 32,
    model: Annotated[str, typer.Option(help="As for search.")] = "all-MiniLM-L6-v2",
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Run a search undisturbed and with kills, and compare the two runs' results."""
    with tempfile.TemporaryDirectory() as work:
        options = ["--model", model, "--max-tokens", str(max_tokens), "--quiet"]
        command = ["search", str(corpus), "--max-evaluations", str(evaluations), *options]
        whole, broken = Path(work) / "whole", Path(work) / "broken"
        began = time.monotonic()
        finish(start([*command, "--out", str(whole)]))
        undisturbed = time.monotonic() - began
        searching = json.loads((whole / RESULT).read_text("utf-8"))["search_seconds"]
        pauses = _pauses(kills, searching, seed)
        lives = _disturbed([*command, "--out", str(broken)], broken, pauses)
        figures = {
            "undisturbed seconds": undisturbed,
            "lives": [asdict(life) for life in lives],
            "kills": sum(life.ended != "done" for life in lives),
            "same": _compare(whole, broken),
        }
    write_figures(out, _COMMAND, figures)
    _print(figures)


def _pauses(kills: int, seconds: float, seed: int) -> list[float]:
    """Return the seconds between kills, at random moments within most of a search's time."""
    rng = random.Random(seed)
    moments = sorted(rng.uniform(0.0, _MOST * seconds) for _ in range(kills))
    return [after - before for before, after in itertools.pairwise([0.0, *moments])]


def _disturbed(first: list[str], run: Path, pauses: Sequence[float]) -> list[Life]:
    """Run a search, kill its process after each pause and resume it; describe every process."""
    lives: list[Life] = []
    command = first
    resumed = ["search", "--resume", str(run), "--quiet"]
    for pause in [*pauses, None]:
        began = time.monotonic()
        process = start(command)
        if pause is not None:
            # Pauses begin at the first evaluation, or most kills would hit the model's loading.
            _wait_for_work(process, run)
            _wait(process, pause)
            process.kill()
        ended, _ = finish(process)
        lives.append(_life(run, time.monotonic() - began, ended))
        if ended == "done":
            break
        command = resumed if (run / "recipe.toml").exists() else first
    return lives


def _wait_for_work(process: subprocess.Popen[bytes], run: Path) -> None:
    """Wait until a search process starts or resumes its search, when it writes an event."""
    before = _written(run)
    while process.poll() is None and _written(run) == before:
        time.sleep(_PAUSE)


def _written(run: Path) -> int | None:
    """Return the time at which a run's event log was last written, in nanoseconds, if any."""
    path = run / EVENTS
    return path.stat().st_mtime_ns if path.exists() else None


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def _life(run: Path, seconds: float, ended: str) -> Life:
    saved = Checkpoint(run / CHECKPOINT).saved
    return Life(seconds, saved["evaluations"] if saved else 0, ended)


def _compare(whole: Path, broken: Path) -> dict[str, Any]:
    """Return which results of two runs are equal, and how many trials the second left running."""
    one, other = (json.loads((run / RESULT).read_text("utf-8")) for run in (whole, broken))
    trials, others = (_trials(run) for run in (whole, broken))
    return {
        "string": (whole / BEST).read_bytes() == (broken / BEST).read_bytes(),
        "score": one["score"] == other["score"],
        "evaluations": one["evaluations"] == other["evaluations"],
        "events": _events(whole) == _events(broken),
        "climbs": trials == others,
        "trials left running": sum(state == "RUNNING" for state, *_ in others),
        "fraction": other["fraction"],
    }


def _events(run: Path) -> list[dict[str, Any]]:
    """Return a run's logged events without their times, leaving out those of resumptions."""
    return [
        {name: value for name, value in event.items() if name != "time"}
        for event in read_events(run / EVENTS)
        if event["event"] != "resume"
    ]


def _trials(run: Path) -> list[tuple[str, dict[str, Any], float | None]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{run / STUDY}")
    return [(trial.state.name, trial.params, trial.value) for trial in study.trials]


def _print(figures: dict[str, Any]) -> None:
    table = Table("process", "seconds", "evaluations saved", "ended")
    for number, life in enumerate(figures["lives"]):
        seconds, saved = f"{life['seconds']:.1f}", f"{life['saved']:,}"
        table.add_row(str(number), seconds, saved, life["ended"])
    console = Console()
    console.print(table)
    console.print(f"undisturbed: {figures['undisturbed seconds']:.1f} s")
    for name, value in figures["same"].items():
        console.print(f"{name}: {value}" if isinstance(value, (int, float)) else name)


if __name__ == "__main__":
    typer.run(main)
