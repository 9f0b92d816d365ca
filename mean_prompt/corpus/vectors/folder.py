"""Read and write a folder of embeddings shard by shard, and check it against its manifest."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from mean_prompt.corpus.tables import TableFile, parquet_rows
from mean_prompt.corpus.vectors.manifest import FORMAT, MANIFEST, Manifest, ShardFiles, shard_files
from mean_prompt.corpus.vectors.shards import Encoded, Halves, Shard, are_unit
from mean_prompt.system import (
    InputError,
    RunError,
    os_errors,
    path_exists,
    preview_name,
    write_atomically,
    write_together,
)

#: Bytes at the start of a file that identify even a broken manifest, by the format's name.
_HEAD: Final = 200
_VECTORS: Final = "vectors"
_VECTOR_FILES: Final = "vectors-*.safetensors"
_SHARD_RULE: Final = "a shard must be what its manifest says"
_RESUME: Final = "give the same embed command again, which resumes and embeds damaged shards again"


@dataclass(eq=False)
class VectorFolder:
    """A folder of a corpus's embeddings in shards, with a manifest of the shards' hashes.

    A broken or missing manifest, or a shard that differs from it, raises an
    :class:`InputError`; a folder that cannot be written raises a :class:`RunError`.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> VectorFolder | None:
        """Open a folder of embeddings, complete or not; ``None`` if the path is no such folder."""
        if not (path_exists(path) and path.is_dir()):
            return None
        rule, remedy = "a folder of vectors must be readable", "check its name and its rights"
        with os_errors(rule, path, remedy):
            manifest = _read_manifest(path)
            if manifest is None and any(path.glob(_VECTOR_FILES)):
                raise InputError(
                    f"a folder of vectors must have its manifest: {path} has no {MANIFEST}; "
                    "embed the corpus again into another folder"
                )
        return None if manifest is None else cls(path, manifest)

    @classmethod
    def open_complete(cls, path: Path) -> VectorFolder | None:
        """Open a folder of embeddings like :meth:`open`, but raise if shards are missing."""
        folder = cls.open(path)
        if folder and folder.manifest.unfinished:
            missing, all_shards = len(folder.manifest.unfinished), len(folder.manifest.shards)
            raise InputError(
                f"a folder of vectors must be complete: {path} lacks {missing:,} of its "
                f"{all_shards:,} shards; {_RESUME}"
            )
        return folder

    @property
    def content_hash(self) -> str:
        """SHA-256 of the hashes of the model, the shards' texts and the files of embeddings."""
        digest = hashlib.sha256(self.manifest.model.content_hash.encode())
        for shard in self.manifest.shards:
            digest.update(f"{shard.texts} {shard.files and shard.files.vectors}\n".encode())
        return digest.hexdigest()

    def prompts(self, number: int) -> tuple[list[str], list[int]]:
        """Read a shard's prompts, and for each the number of corpus rows that hold it."""
        entry = self.manifest.shards[number]
        assert entry.files
        path, _ = self._files(number)
        data = io.BytesIO(_checked(path, entry.files.prompts))
        rows = parquet_rows(data, TableFile(path, "a shard"), lambda names: _columns(names, path))
        cells = [cells for _, cells in rows.cells]
        if len(cells) != entry.prompts or not all(
            type(prompt) is str and type(count) is int and count > 0 for prompt, count in cells
        ):
            raise _damaged(path, f"must hold {entry.prompts:,} prompts with their counts")
        prompts, counts = zip(*cells, strict=True)
        if Shard(number, prompts, counts).digest != entry.texts:
            raise _damaged(path, "holds other prompts than its manifest says")
        return list(prompts), list(counts)

    def vectors(self, number: int) -> Halves:
        """Read a shard's (n, d) float16 embeddings, a unit row for each prompt."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        entry = self.manifest.shards[number]
        assert entry.files
        _, path = self._files(number)
        try:
            vectors: Halves | None = load(_checked(path, entry.files.vectors)).get(_VECTORS)
        except SafetensorError as error:
            raise _damaged(path, str(error)) from error
        shape = (entry.prompts, self.manifest.dimension)
        if vectors is None or vectors.dtype != np.float16 or vectors.shape != shape:
            raise _damaged(path, f"holds no {shape} vectors in half precision")
        if not are_unit(vectors).all():
            raise _damaged(path, "holds vectors that are not of unit length")
        return vectors

    def all_prompts(self) -> Iterator[tuple[str, int]]:
        """Yield each prompt of all shards with the number of corpus rows that hold it."""
        for number in range(len(self.manifest.shards)):
            yield from zip(*self.prompts(number), strict=True)

    def is_whole(self, number: int) -> bool:
        """Return whether an embedded shard's files exist and match the manifest's hashes."""
        try:
            self.prompts(number)
            self.vectors(number)
        except InputError:
            return False
        return True

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the folder's manifest file atomically."""
        with self._writing():
            write_atomically(self.path / MANIFEST, manifest.model_dump_json(indent=1).encode())
        self.manifest = manifest

    def write_shard(self, shard: Shard, encoded: Encoded) -> None:
        """Write a shard's files of prompts and embeddings, and add their hashes to the manifest."""
        import pyarrow as pa
        from pyarrow import parquet
        from safetensors.numpy import save

        buffer = io.BytesIO()
        counts = pa.array(shard.counts, pa.int64())
        table = pa.table({"prompt": pa.array(shard.prompts, pa.string()), "count": counts})
        parquet.write_table(table, buffer, compression="zstd")
        prompts = buffer.getvalue()
        vectors = save({_VECTORS: np.ascontiguousarray(encoded.vectors)})
        with self._writing():
            places = self._files(shard.number)
            write_together(dict(zip(places, (prompts, vectors), strict=True)))
        files = ShardFiles(
            prompts=hashlib.sha256(prompts).hexdigest(),
            vectors=hashlib.sha256(vectors).hexdigest(),
            rounding=encoded.rounding,
            cut=encoded.cut,
        )
        self.write_manifest(self.manifest.with_files(shard.number, files))

    def sweep(self) -> None:
        """Delete the temporary files that a killed process left in the folder."""
        with self._writing():
            for name in (MANIFEST, "prompts-*", "vectors-*"):
                for path in self.path.glob(f".{name}.*"):
                    path.unlink()

    def _files(self, number: int) -> list[Path]:
        return [self.path / name for name in shard_files(number)]

    def _writing(self) -> AbstractContextManager[None]:
        remedy = "what was written before is kept, and the same command resumes"
        return os_errors("--out must stay writable", self.path, remedy, raises=RunError)


def _checked(path: Path, expected: str) -> bytes:
    """Read a file's bytes, or raise if their SHA-256 is not the expected one."""
    with os_errors(_SHARD_RULE, path, _RESUME):
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != expected:
        raise _damaged(path, "is not what was written")
    return data


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{_SHARD_RULE}: {path}: {reason}; {_RESUME}")


def _columns(names: Sequence[str], path: Path) -> tuple[str, str]:
    if sorted(names) != ["count", "prompt"]:
        raise _damaged(path, "must have the columns prompt and count")
    return "prompt", "count"


def _read_manifest(folder: Path) -> Manifest | None:
    """Read a folder's manifest; ``None`` if there is none, or only another program's file."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        is_ours = FORMAT.encode() in data[:_HEAD] or any(folder.glob(_VECTOR_FILES))
        if not is_ours:  # another program's file of the same name
            return None
        fault = error.errors()[0]
        place = preview_name(".".join(map(str, fault["loc"])))
        raise InputError(
            f"a manifest must be whole: {path}: {place + ': ' if place else ''}{fault['msg']}; "
            "embed the corpus again into another folder"
        ) from error
