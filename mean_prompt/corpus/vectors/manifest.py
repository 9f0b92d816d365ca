"""The manifest of a folder of embeddings: its model, its corpus and its shards' hashes.

A folder holds ``manifest.json``, and for every shard a file of prompts (Parquet: prompt, number of
rows that hold it) and a file of embeddings (safetensors: float16, one unit row per prompt). The
names of these files follow from the shard's number, and are never read from anywhere.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MANIFEST: Final = "manifest.json"
FORMAT: Final = "mean-prompt vectors"
VERSION: Final = 1

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


def shard_files(number: int) -> tuple[str, str]:
    """Return the names of a shard's file of prompts and of its file of embeddings."""
    return f"prompts-{number:05}.parquet", f"vectors-{number:05}.safetensors"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelEntry(_Part):
    """A folder's embedding model; see :class:`~mean_prompt.encoder.identity.ModelIdentity`."""

    name: str
    revision: str | None
    content_hash: str
    dtype: str


class SourceEntry(_Part):
    """A file or folder of the corpus, with row counts; duplicates are counted within shards."""

    name: str
    path: str
    rows: Count
    stripped: Count
    empty: Count
    duplicates: Count


class ShardFiles(_Part):
    """SHA-256 of an embedded shard's file of prompts and file of embeddings (``vectors``).

    Attributes:
        rounding: largest absolute error of the embeddings' numbers from float16.
        cut: number of prompts that the model truncated.
    """

    prompts: Hash
    vectors: Hash
    rounding: Annotated[float, Field(ge=0)]
    cut: Count


class ShardEntry(_Part):
    """A shard's number of prompts and the hash of their texts; its files once it is embedded."""

    prompts: Annotated[int, Field(ge=1)]
    texts: Hash
    files: ShardFiles | None = None


class Manifest(_Part):
    """Content of ``manifest.json``: model, sources and all shards, embedded or not yet.

    Attributes:
        column: name of the prompts' column in the files; ``None`` if it was guessed.
    """

    format: Literal["mean-prompt vectors"] = FORMAT
    version: Literal[1] = VERSION
    model: ModelEntry
    dimension: Annotated[int, Field(ge=1)]
    precision: Literal["float16"] = "float16"
    column: str | None
    shard_prompts: Annotated[int, Field(ge=1)]
    sources: tuple[SourceEntry, ...]
    shards: tuple[ShardEntry, ...]

    @property
    def unfinished(self) -> list[int]:
        """The numbers of the shards that are not embedded yet."""
        return [number for number, shard in enumerate(self.shards) if shard.files is None]

    @property
    def prompts(self) -> int:
        """Number of prompts in all shards; a prompt in several shards counts in each."""
        return sum(shard.prompts for shard in self.shards)

    def with_files(self, number: int, files: ShardFiles | None) -> Manifest:
        """Return a copy with a shard's files set; ``None`` marks the shard as not embedded."""
        shard = self.shards[number].model_copy(update={"files": files})
        shards = (*self.shards[:number], shard, *self.shards[number + 1 :])
        return self.model_copy(update={"shards": shards})

    def difference(self, asked: Manifest) -> str | None:
        """Return in words how this manifest differs from ``asked``; ``None`` if they agree."""
        ours, theirs = self.model, asked.model
        if ours.content_hash != theirs.content_hash:
            return f"its model is {_described(ours)}, and {_described(theirs)} is asked"
        if self.column != asked.column:
            return f"it was begun with {_option(self.column)}, not with {_option(asked.column)}"
        if self.shard_prompts != asked.shard_prompts:
            return (
                f"its shards are of {self.shard_prompts:,} prompts, and {asked.shard_prompts:,} "
                "are asked"
            )
        return self._other_texts(asked)

    def _other_texts(self, asked: Manifest) -> str | None:
        first = 1
        for before, now in zip(self.shards, asked.shards, strict=False):
            if before.texts != now.texts:
                last = first + max(before.prompts, now.prompts) - 1
                return f"the corpus is another from within prompts {first:,} to {last:,} on"
            first += before.prompts
        if len(self.shards) != len(asked.shards):
            return f"the corpus had {self.prompts:,} prompts, and has {asked.prompts:,} now"
        return None


def _described(model: ModelEntry) -> str:
    return f"{model.name} ({model.content_hash[:12]})"


def _option(column: str | None) -> str:
    return "the column guessed" if column is None else f"--column {column}"
