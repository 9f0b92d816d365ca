"""Progress and result of ``embed``, in a terminal and in a log file."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.text import Text

from mean_prompt.cli.hybrid_display import PhaseProgress
from mean_prompt.system import ProgressEvent, format_duration

if TYPE_CHECKING:
    from mean_prompt.corpus import Embedding

#: Seconds between two log lines.
_LOG_EVERY: Final = 10.0


def choose_listener() -> AbstractContextManager[PhaseProgress | PhaseLog]:
    """Return a live bar on a terminal, log lines elsewhere; either goes to standard error."""
    console = Console(stderr=True, highlight=False)
    return PhaseProgress(console) if console.is_terminal else PhaseLog(console)


class PhaseLog:
    """Prints a line when a phase begins, and then at most every ten seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._last = -_LOG_EVERY

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def __call__(self, event: ProgressEvent) -> None:
        """Print the event, unless its phase was printed a moment ago."""
        now = time.monotonic()
        if event.phase == self._phase and now - self._last < _LOG_EVERY:
            return
        self._phase, self._last = event.phase, now
        of = "" if event.total is None else f" of {event.total:,}"
        text = Text(f"{event.phase}: {event.done:,}{of} {event.unit}")
        self._console.print(text, soft_wrap=True)


def print_embedding(found: Embedding) -> None:
    """Print what the folder holds now, and how to resume if it is incomplete."""
    console = Console(highlight=False)
    for line in embedding_lines(found):
        console.print(Text(line), soft_wrap=True)


def embedding_lines(found: Embedding) -> list[str]:
    """Return the lines that are printed at the end."""
    manifest = found.manifest
    shards = len(manifest.shards)
    lines = [source.describe() for source in found.sources]
    if found.damaged:
        lines.append(f"{found.damaged:,} shards were missing or damaged, and are embedded again")
    took = format_duration(found.seconds)
    if not found.complete:
        done = shards - len(manifest.unfinished)
        lines.append(
            f"stopped after {done:,} of {shards:,} shards ({found.made:,} made in {took}); the "
            "same command resumes"
        )
        return lines
    finished = [shard.files for shard in manifest.shards if shard.files]
    cut = sum(files.cut for files in finished)
    rounding = max(files.rounding for files in finished)
    if cut:
        lines.append(f"{cut:,} prompts are longer than the model reads, and were truncated by it")
    made = f"{found.made:,} of them made in {took}" if found.made else "none left to make"
    lines.append(
        f"{shards:,} shards, {made}: {manifest.prompts:,} vectors of {manifest.dimension} numbers "
        f"in half precision, off by {rounding:.2g} at most; saved {found.out}"
    )
    return lines
