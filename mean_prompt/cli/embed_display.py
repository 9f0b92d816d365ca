"""What ``embed`` looks like in a terminal, in a log file, and at its end."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.text import Text

from mean_prompt.cli.hybrid_display import StageProgress
from mean_prompt.system import format_duration

if TYPE_CHECKING:
    from mean_prompt.corpus import Embedding

#: Seconds between two log lines.
_LOG_EVERY: Final = 10.0


def choose_listener() -> AbstractContextManager[StageProgress | StageLog]:
    """Return a live bar on a terminal, log lines elsewhere; either goes to standard error."""
    console = Console(stderr=True, highlight=False)
    return StageProgress(console) if console.is_terminal else StageLog(console)


class StageLog:
    """Plain lines, few enough to read: stages as they begin, and signs of life."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._last = -_LOG_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Print a line where there is something to say."""
        now = time.monotonic()
        if what == self._stage and now - self._last < _LOG_EVERY:
            return
        self._stage, self._last = what, now
        of = "" if total is None else f" of {total:,}"
        self._console.print(Text(f"{what}: {done:,}{of} prompts"), soft_wrap=True)


def print_embedding(found: Embedding, console: Console | None = None) -> None:
    """Print what there is now, and how to go on where it is not all, to standard output."""
    console = console or Console(highlight=False)
    for line in embedding_lines(found):
        console.print(Text(line), soft_wrap=True)


def embedding_lines(found: Embedding) -> list[str]:
    """Return what is printed at the end."""
    manifest = found.manifest
    shards = len(manifest.shards)
    lines = [source.describe() for source in found.sources]
    if found.damaged:
        lines.append(f"{found.damaged:,} shards were missing or damaged, to be made anew")
    took = format_duration(found.seconds)
    if not found.complete:
        done = shards - len(manifest.unfinished)
        lines.append(
            f"stopped after {done:,} of {shards:,} shards ({found.made:,} made in {took}); the "
            "same command goes on"
        )
        return lines
    finished = [shard.files for shard in manifest.shards if shard.files]
    cut = sum(files.cut for files in finished)
    rounding = max(files.rounding for files in finished)
    if cut:
        lines.append(f"{cut:,} prompts are longer than the model reads, and were cut by it")
    made = f"{found.made:,} of them made in {took}" if found.made else "none left to make"
    lines.append(
        f"{shards:,} shards, {made}: {manifest.prompts:,} vectors of {manifest.dimension} numbers "
        f"in half precision, off by {rounding:.2g} at most; saved {found.out}"
    )
    return lines
