"""Read vectors (embeddings) from NumPy and Parquet files, and check them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.system import InputError, os_errors

if TYPE_CHECKING:
    from mean_prompt.objective import Vectors

#: Columns of a Parquet file taken as the vectors, in this order.
_COLUMNS: Final = ("vector", "embedding")
_REMEDY: Final = "check its name and its rights"


def holds_vectors(path: Path) -> bool:
    """Return whether a file's name, or the columns of a Parquet file, say that it has vectors."""
    suffix = path.suffix.lower()
    return suffix == ".npy" or (suffix == ".parquet" and bool(_columns(path)))


def read_vectors(path: Path) -> NDArray[Any]:
    """Read (n, d) vectors: an array of a ``.npy`` file, or a column of lists of a Parquet file.

    The column is ``vector``, else ``embedding``. A ``.npy`` file may hold a single (d,) vector.

    Raises:
        InputError: the file is missing or broken, or holds no array of numbers.
    """
    with os_errors("a file of vectors must be readable", path, _REMEDY):
        if not path.exists():
            raise InputError(f"a file of vectors must exist: found no file {path}")
        try:
            found = (
                _of_parquet(path)
                if path.suffix.lower() == ".parquet"
                else np.load(path, allow_pickle=False)
            )
        except (ValueError, EOFError) as error:
            raise InputError(
                f"a file of vectors must hold rows of equally many numbers: {path} cannot be read "
                f"so; write it with numpy.save or as Parquet lists"
            ) from error
    return np.asarray(found)[None] if np.ndim(found) == 1 else np.asarray(found)


def unit_vectors(vectors: NDArray[Any], dimension: int) -> Vectors:
    """Return (n, d) vectors scaled to unit length in float32.

    Raises:
        InputError: they are not n rows of ``dimension`` finite numbers, or one has length 0.
    """
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.number) or not len(vectors):
        raise InputError(
            f"vectors must be rows of numbers: found an array of shape {vectors.shape} and type "
            f"{vectors.dtype}"
        )
    if vectors.shape[1] != dimension:
        raise InputError(
            f"vectors must be as long as the model's, {dimension} numbers: found "
            f"{vectors.shape[1]}; name the model that made them with --model"
        )
    rows = vectors.astype(np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):  # squares of large numbers would be infinite
        rows /= np.where(largest > 0, largest, 1.0)
    lengths = np.linalg.norm(rows, axis=1)
    for row, length in enumerate(lengths.tolist()):
        if not np.isfinite(length) or length == 0.0:
            found = "has length 0" if length == 0.0 else "holds NaN or infinity"
            raise InputError(f"each vector must have a direction: vector {row} {found}; drop it")
    scaled: Vectors = (rows / lengths[:, None]).astype(np.float32)
    return scaled


def _of_parquet(path: Path) -> NDArray[Any]:
    from pyarrow import parquet

    [name] = _columns(path)[:1]
    return np.array(parquet.read_table(path, columns=[name]).column(0).to_pylist(), np.float64)


def _columns(path: Path) -> list[str]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        names = parquet.read_schema(path).names
    except (pa.ArrowException, OSError):
        return []
    return [name for name in _COLUMNS if name in names]
