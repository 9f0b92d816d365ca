"""A million prompts embedded, killed and resumed, on Ray, and searched: time, memory, exactness.

    python -m benchmarks.embed --work DIR --out embed.json

Every step is a process of its own, started as a user would, so that its peak memory is measured
alone.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.figures import save_tiny_bert, write_figures
from benchmarks.grammar import generate, to_jsonl
from mean_prompt.corpus import SHARD, VectorFolder
from mean_prompt.system import RunError, write_atomically

_COMMAND: Final = "python -m benchmarks.embed"
#: Shares of the shards after which the process is killed.
_KILLS: Final = (0.3, 0.7)
#: The part of the prompts whose embedding the memory of all is compared with.
_PART: Final = 10
_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """The work of one process.

    Attributes:
        name: the task.
        prompts: number of prompts of its corpus.
        made: number of shards that it finished.
        seconds: time from its start to its end.
        peak_mib: its highest memory, without a cluster's other processes; ``None`` if the system
            does not report it.
        ended: ``done``, or the signal that ended it.
    """

    name: str
    prompts: int
    made: int
    seconds: float
    peak_mib: float | None
    ended: str


def main(
    work: Annotated[Path, typer.Option(help="Folder for corpus, model and vectors.")],
    out: Annotated[Path, typer.Option(help="JSON file for the figures.")],
    prompts: Annotated[int, typer.Option(help="How many.")] = 1_000_000,
    workers: Annotated[int, typer.Option(help="Actors of the cluster, a thread each.")] = 2,
    evaluations: Annotated[int, typer.Option(help="Of the search over the folder.")] = 500,
) -> None:
    """Embed made-up prompts in every way, compare, and search."""
    bench = EmbedBench(work, prompts, workers)
    steps = [*bench.embed(), bench.embed_on_cluster(), bench.search(evaluations)]
    comparison = bench.compare()
    figures = {
        "prompts": prompts,
        "shard": SHARD,
        "threads": 1,
        "workers": workers,
        "steps": [asdict(step) for step in steps],
        "cluster against one process": comparison,
    }
    write_figures(out, _COMMAND, figures)
    _print(steps, comparison)


class EmbedBench:
    """The steps, in one folder.

    Args:
        work: the folder; a corpus and a model in it are used again.
        prompts: how many.
        workers: of the cluster.
    """

    def __init__(self, work: Path, prompts: int, workers: int) -> None:
        self._work = work
        self._prompts = prompts
        self._workers = workers
        work.mkdir(parents=True, exist_ok=True)
        self._model = work / "tiny-bert"
        if not self._model.exists():
            save_tiny_bert(self._model)
        self._corpus = self._write("prompts", prompts)

    def embed(self) -> list[Step]:
        """Embed a part, and then all of it, killed twice on the way."""
        part = max(1, self._prompts // _PART)
        corpus = self._write("part", part)
        steps = [self._embed("a part", corpus, self._work / "part", part)]
        for number, share in enumerate(_KILLS, 1):
            steps.append(
                self._embed(
                    f"all, killed ({number})", self._corpus, self._whole, self._prompts, share
                )
            )
        return [*steps, self._embed("all, resumed", self._corpus, self._whole, self._prompts)]

    def embed_on_cluster(self) -> Step:
        """Embed all of it on a cluster of this machine."""
        options = ("--ray", "--workers", str(self._workers))
        name = f"all, on Ray ({self._workers} actors)"
        return self._embed(name, self._corpus, self._cluster, self._prompts, options=options)

    def search(self, evaluations: int) -> Step:
        """Search over the folder, end to end."""
        command = ("search", str(self._whole), "--model", str(self._model), "--quiet")
        limits = ("--max-evaluations", str(evaluations), "--max-tokens", "16")
        out = ("--out", str(self._work / f"run-{time.time_ns()}"))
        process = _Process([*command, *limits, *out])
        return Step("search over all", self._prompts, 0, *process.wait())

    def compare(self) -> dict[str, Any]:
        """Return how far the cluster's vectors are from those of one process."""
        one, other = (VectorFolder.open_complete(path) for path in (self._whole, self._cluster))
        assert one is not None
        assert other is not None
        equal, numbers, gap = 0, 0, 0.0
        for number in range(len(one.manifest.shards)):
            ours, theirs = one.vectors(number), other.vectors(number)
            equal += int((ours == theirs).sum())
            numbers += ours.size
            gap = max(gap, float(np.abs(ours.astype(np.float32) - theirs).max()))
        files = [shard.files for shard in one.manifest.shards if shard.files]
        return {
            "numbers": numbers,
            "share equal": equal / numbers,
            "largest difference": gap,
            "rounding to half precision": max(shard.rounding for shard in files),
        }

    @property
    def _whole(self) -> Path:
        return self._work / "whole"

    @property
    def _cluster(self) -> Path:
        return self._work / "cluster"

    def _write(self, name: str, count: int) -> Path:
        path = self._work / f"{name}-{count}.jsonl"
        if not path.exists():
            write_atomically(path, to_jsonl(generate(count, seed=5)).encode())
        return path

    def _embed(
        self,
        name: str,
        corpus: Path,
        out: Path,
        prompts: int,
        until: float | None = None,
        options: Sequence[str] = (),
    ) -> Step:
        before = _finished(out)
        process = _Process(
            ["embed", str(corpus), "--out", str(out), "--model", str(self._model), *options]
        )
        if until is not None:
            process.kill_when(lambda: _finished(out) >= until * prompts / SHARD)
        ended = process.wait()
        return Step(name, prompts, _finished(out) - before, *ended)


class _Process:
    """The command line in a process of its own, with a thread of arithmetic."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._began = time.perf_counter()
        self._command = arguments
        self._peak: float | None = None
        self._process = subprocess.Popen(  # noqa: S603 - our own command line
            [sys.executable, "-c", "from mean_prompt.cli import main; main()", *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )

    def kill_when(self, condition: Callable[[], bool]) -> None:
        """Send SIGKILL as soon as a condition holds."""
        while self._is_running() and not condition():
            time.sleep(_PAUSE)
        os.kill(self._process.pid, signal.SIGKILL)

    def wait(self) -> tuple[float, float | None, str]:
        """Return seconds, peak memory in MiB, and how it ended."""
        while self._is_running():
            time.sleep(_PAUSE)
        code = self._process.wait()
        if code > 0:
            raise RunError(f"a step must succeed: {' '.join(self._command)} ended with {code}")
        seconds = time.perf_counter() - self._began
        return seconds, self._peak, signal.Signals(-code).name if code else "done"

    def _is_running(self) -> bool:
        """Return whether the process runs, and record its memory, without reading its exit."""
        self._peak = _highest_memory(self._process.pid) or self._peak
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is None


def _highest_memory(pid: int) -> float | None:
    """Return the most MiB that a process had, as Linux reports it.

    ``wait4`` gives the memory of the process that started it, if that was larger.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 2**10 if found else None


def _finished(folder: Path) -> int:
    found = VectorFolder.open(folder)
    return 0 if found is None else len(found.manifest.shards) - len(found.manifest.unfinished)


def _print(steps: Sequence[Step], comparison: dict[str, Any]) -> None:
    table = Table("step", "prompts", "shards", "seconds", "peak MiB", "ended")
    for step in steps:
        counts = (f"{step.prompts:,}", f"{step.made:,}", f"{step.seconds:,.0f}")
        peak = "?" if step.peak_mib is None else f"{step.peak_mib:,.0f}"
        table.add_row(step.name, *counts, peak, step.ended)
    console = Console()
    console.print(table)
    for name, value in comparison.items():
        console.print(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value:.3g}")


if __name__ == "__main__":
    typer.run(main)
