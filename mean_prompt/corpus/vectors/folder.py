"""A folder of vectors: found, checked against its manifest, read and written shard by shard."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import ValidationError

from mean_prompt.corpus.tables import TableFile, parquet_rows
from mean_prompt.corpus.vectors.manifest import (
    FORMAT,
    MANIFEST,
    Manifest,
    ShardFiles,
    prompts_name,
    vectors_name,
)
from mean_prompt.corpus.vectors.shards import Encoded, Halves, Shard, are_unit
from mean_prompt.system import (
    InputError,
    RunError,
    path_exists,
    preview_name,
    write_atomically,
    write_together,
)

#: Bytes of a file that are looked at to see whether it is a manifest, broken as it may be.
_HEAD: Final = 200
_VECTORS: Final = "vectors"
_RESUME: Final = "give the same embed command again, which resumes and embeds damaged shards again"


class VectorFolder:
    """A folder with a manifest.

    Attributes:
        path: of the folder.
        manifest: what it holds; the newest that was read or written.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path) -> VectorFolder | None:
        """Return the folder of vectors at a path, complete or not; ``None`` if it is none.

        Raises:
            InputError: it holds vectors without a manifest, or with one that is broken.
        """
        if not (path_exists(path) and path.is_dir()):
            return None
        try:
            manifest = _read_manifest(path)
            if manifest is None and any(path.glob("vectors-*.safetensors")):
                raise InputError(
                    f"a folder of vectors must have its manifest: {path} has no {MANIFEST}; "
                    "embed the corpus again into another folder"
                )
        except OSError as error:
            raise InputError(
                f"a folder of vectors must be readable: {path}: {error.strerror or error}"
            ) from error
        return None if manifest is None else cls(path, manifest)

    @classmethod
    def open_complete(cls, path: Path) -> VectorFolder | None:
        """Return the folder of vectors at a path, as a corpus; ``None`` if it is none.

        Raises:
            InputError: it has no manifest, or a broken one, or is not complete.
        """
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
        """SHA-256 of what makes the vectors: the model, the texts, and the files' own hashes."""
        digest = hashlib.sha256(self.manifest.model.content_hash.encode())
        for shard in self.manifest.shards:
            digest.update(f"{shard.texts} {shard.files and shard.files.vectors}\n".encode())
        return digest.hexdigest()

    # -- reading --------------------------------------------------------------------------------

    def prompts(self, number: int) -> tuple[list[str], list[int]]:
        """Return a shard's prompts and their counts.

        Raises:
            InputError: the file is missing, or not what the manifest says.
        """
        entry = self.manifest.shards[number]
        assert entry.files is not None
        path = self.path / prompts_name(number)
        data = io.BytesIO(self._checked(path, entry.files.prompts))
        rows = parquet_rows(
            data, TableFile(path, "a shard"), lambda names: self._columns(names, path)
        )
        cells = [cells for _, cells in rows.cells]
        if len(cells) != entry.prompts or not all(_is_counted(*pair) for pair in cells):
            raise self._damaged(path, f"must hold {entry.prompts:,} prompts with their counts")
        prompts, counts = zip(*cells, strict=True)
        if Shard(number, prompts, counts).digest != entry.texts:
            raise self._damaged(path, "holds other prompts than its manifest says")
        return list(prompts), list(counts)

    def _columns(self, names: Sequence[str], path: Path) -> tuple[str, str]:
        if sorted(names) != ["count", "prompt"]:
            raise self._damaged(path, "must have the columns prompt and count")
        return "prompt", "count"

    def vectors(self, number: int) -> Halves:
        """Return a shard's (n, d) vectors.

        Raises:
            InputError: the file is missing, or not what the manifest says.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        entry = self.manifest.shards[number]
        assert entry.files is not None
        path = self.path / vectors_name(number)
        try:
            vectors: Halves | None = load(self._checked(path, entry.files.vectors)).get(_VECTORS)
        except SafetensorError as error:
            raise self._damaged(path, str(error)) from error
        shape = (entry.prompts, self.manifest.dimension)
        if vectors is None or vectors.dtype != np.float16 or vectors.shape != shape:
            raise self._damaged(path, f"holds no {shape} vectors in half precision")
        if not are_unit(vectors).all():
            raise self._damaged(path, "holds vectors that are not of unit length")
        return vectors

    def all_prompts(self) -> Iterator[tuple[str, int]]:
        """Yield the prompts of all shards, with their counts."""
        for number in range(len(self.manifest.shards)):
            yield from zip(*self.prompts(number), strict=True)

    def is_whole(self, number: int) -> bool:
        """Return whether a finished shard's files are there, as they were written."""
        files = self.manifest.shards[number].files
        assert files is not None
        try:
            self._checked(self.path / prompts_name(number), files.prompts)
            self._checked(self.path / vectors_name(number), files.vectors)
        except InputError:
            return False
        return True

    def _checked(self, path: Path, expected: str) -> bytes:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise self._damaged(path, error.strerror or str(error)) from error
        if hashlib.sha256(data).hexdigest() != expected:
            raise self._damaged(path, "is not what was written")
        return data

    def _damaged(self, path: Path, reason: str) -> InputError:
        return InputError(f"a shard must be what its manifest says: {path}: {reason}; {_RESUME}")

    # -- writing --------------------------------------------------------------------------------

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest.

        Raises:
            RunError: the folder cannot be written.
        """
        try:
            write_atomically(self.path / MANIFEST, manifest.model_dump_json(indent=1).encode())
        except OSError as error:
            raise self._unwritable(error) from error
        self.manifest = manifest

    def write_shard(self, shard: Shard, encoded: Encoded) -> None:
        """Write a shard's two files, and say so in the manifest.

        Raises:
            RunError: the folder cannot be written.
        """
        from safetensors.numpy import save

        prompts = _parquet(shard)
        vectors = save({_VECTORS: np.ascontiguousarray(encoded.vectors)})
        try:
            write_together(
                {
                    self.path / prompts_name(shard.number): prompts,
                    self.path / vectors_name(shard.number): vectors,
                }
            )
        except OSError as error:
            raise self._unwritable(error) from error
        files = ShardFiles(
            prompts=hashlib.sha256(prompts).hexdigest(),
            vectors=hashlib.sha256(vectors).hexdigest(),
            rounding=encoded.rounding,
            cut=encoded.cut,
        )
        self.write_manifest(self.manifest.with_files(shard.number, files))

    def sweep(self) -> None:
        """Remove what a kill left: files that were not yet in their places.

        Raises:
            RunError: the folder cannot be written.
        """
        try:
            for name in (MANIFEST, "prompts-*", "vectors-*"):
                for path in self.path.glob(f".{name}.*"):
                    path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(
            f"--out must stay writable: {self.path}: {error.strerror or error}; what was written "
            "before is kept, and the same command resumes"
        )


def _is_counted(prompt: object, count: object) -> bool:
    return type(prompt) is str and type(count) is int and count > 0


def _read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in a folder; ``None`` where there is no file that could be one."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        is_ours = FORMAT.encode() in data[:_HEAD] or any(folder.glob("vectors-*.safetensors"))
        if not is_ours:  # another program's file of the same name
            return None
        fault = error.errors()[0]
        place = preview_name(".".join(map(str, fault["loc"])))
        raise InputError(
            f"a manifest must be whole: {path}: {place + ': ' if place else ''}{fault['msg']}; "
            "embed the corpus again into another folder"
        ) from error


def _parquet(shard: Shard) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(
        {
            "prompt": pa.array(shard.prompts, pa.string()),
            "count": pa.array(shard.counts, pa.int64()),
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
