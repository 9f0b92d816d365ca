"""The manifest of a folder of vectors; without one no such folder is used.

A folder holds ``manifest.json``, and for every shard a file of prompts (Parquet: the prompt, and
the rows that held it) and a file of vectors (safetensors: float16, a unit row a prompt). The names
of these files follow from the shard's number, and are never read from anywhere.
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
    """Return the names of a shard's files of prompts and of vectors."""
    return f"prompts-{number:05}.parquet", f"vectors-{number:05}.safetensors"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ModelEntry(_Part):
    """The model that made the vectors; see :class:`~mean_prompt.encoder.identity.ModelIdentity`."""

    name: str
    revision: str | None
    content_hash: str
    dtype: str


class SourceEntry(_Part):
    """A part of the corpus; a row is a duplicate here if its text stood before in its shard."""

    name: str
    path: str
    rows: Count
    stripped: Count
    empty: Count
    duplicates: Count


class ShardFiles(_Part):
    """The files of a finished shard, by their SHA-256.

    Attributes:
        rounding: largest difference between a number in half precision and the model's.
        cut: prompts that the model read only the beginning of.
    """

    prompts: Hash
    vectors: Hash
    rounding: Annotated[float, Field(ge=0)]
    cut: Count


class ShardEntry(_Part):
    """A shard's number of prompts and its digest; and its files, once it is finished."""

    prompts: Annotated[int, Field(ge=1)]
    texts: Hash
    files: ShardFiles | None = None


class Manifest(_Part):
    """What a folder holds, or will hold when it is complete.

    Attributes:
        column: name of the prompts' column in the files; ``None`` if it was guessed.
        shard_prompts: distinct prompts that end a shard.
        shards: all of them, in the order of the corpus.
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
        """The numbers of the shards that are yet to be made."""
        return [number for number, shard in enumerate(self.shards) if shard.files is None]

    @property
    def prompts(self) -> int:
        """All prompts; one that stands in several shards counts in each."""
        return sum(shard.prompts for shard in self.shards)

    def with_files(self, number: int, files: ShardFiles | None) -> Manifest:
        """Return the manifest with a shard finished, or unfinished again."""
        shard = self.shards[number].model_copy(update={"files": files})
        shards = (*self.shards[:number], shard, *self.shards[number + 1 :])
        return self.model_copy(update={"shards": shards})

    def difference(self, asked: Manifest) -> str | None:
        """Return how the work that was begun differs from what is asked, or ``None``."""
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
