"""The result of ``embed`` in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from mean_prompt.system import format_duration

if TYPE_CHECKING:
    from mean_prompt.corpus import Embedding


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
