"""Benchmark embedding a million prompts, with kills and resumption, on Ray, and a search on them.

    python -m benchmarks.embed --work DIR --out embed.json

Time, memory and exactness are measured. Every step is a separate process, started as a user would,
so that its peak memory is measured alone.
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
#: Shares of the output's shards after which the embedding process is killed.
_KILLS: Final = (0.3, 0.7)
#: The share of the prompts whose embedding's peak memory is compared with that of all prompts.
_PART: Final = 10
_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """The measurements of one process of the benchmark: its work, time, memory and end.

    Attributes:
        name: the task.
        prompts: number of prompts of the process's corpus.
        made: number of shards that the process finished.
        seconds: time from the process's start to its end.
        peak_mib: the process's highest memory, without a cluster's other processes; ``None`` if
            the system does not report it.
        ended: ``done``, or the signal that ended the process.
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
    """Embed synthetic prompts in one process and on Ray, compare the vectors, and run a search."""
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
    """Runs the benchmark's steps: embed in one process and on a cluster, search, and compare.

    Args:
        work: folder of all files; a corpus and a model in it are reused.
        prompts: number of prompts to embed.
        workers: number of the cluster's workers.
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
        """Embed a part of the corpus, then all of it in a process that is killed and resumed."""
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
        """Embed the whole corpus on a Ray cluster that runs on this machine."""
        options = ("--ray", "--workers", str(self._workers))
        name = f"all, on Ray ({self._workers} actors)"
        return self._embed(name, self._corpus, self._cluster, self._prompts, options=options)

    def search(self, evaluations: int) -> Step:
        """Run a search over the embedded corpus, and return its time and memory."""
        command = ("search", str(self._whole), "--model", str(self._model), "--quiet")
        limits = ("--max-evaluations", str(evaluations), "--max-tokens", "16")
        out = ("--out", str(self._work / f"run-{time.time_ns()}"))
        process = _Process([*command, *limits, *out])
        return Step("search over all", self._prompts, 0, *process.wait())

    def compare(self) -> dict[str, Any]:
        """Return the differences between the cluster's vectors and those of one process."""
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
    """A ``mean-prompt`` command in a process of its own, whose arithmetic uses one thread."""

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
        """Kill the process (SIGKILL) as soon as a condition holds."""
        while self._is_running() and not condition():
            time.sleep(_PAUSE)
        os.kill(self._process.pid, signal.SIGKILL)

    def wait(self) -> tuple[float, float | None, str]:
        """Wait for the process to end; return its seconds, peak memory in MiB and kind of end."""
        while self._is_running():
            time.sleep(_PAUSE)
        code = self._process.wait()
        if code > 0:
            raise RunError(f"a step must succeed: {' '.join(self._command)} ended with {code}")
        seconds = time.perf_counter() - self._began
        return seconds, self._peak, signal.Signals(-code).name if code else "done"

    def _is_running(self) -> bool:
        """Return whether the process runs, without reaping it, and record its peak memory."""
        self._peak = _highest_memory(self._process.pid) or self._peak
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is None


def _highest_memory(pid: int) -> float | None:
    """Return a process's peak memory in MiB, as Linux reports it, or ``None``.

    ``wait4`` would give the memory of the parent process, if that was larger.
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
