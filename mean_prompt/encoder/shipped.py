"""Vectors that come with the package, so that a first search with its own data begins at once.

They are those of the packaged corpus, in float16, and of the tokens and phrases that a search over
it may put in, in eight bits, all under the packaged model: ``python -m benchmarks.shipped`` writes
them. A file belongs to the model whose hash is its name; other models, and strings that a file does
not have, are computed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import Vectors

_FOLDER: Final = Path(__file__).parent / "shipped"
#: Bytes of a string's key that are kept.
_KEY: Final = 16


@dataclass(frozen=True, slots=True)
class ShippedVectors:
    """The n strings of one file, by the beginnings of their keys, and their (n, d) rows."""

    rows: dict[bytes, int]
    values: NDArray[Any]

    def __contains__(self, key: bytes) -> bool:
        """Return whether the string with that key is among them."""
        return key[:_KEY] in self.rows

    def __getitem__(self, key: bytes) -> Vectors:
        """Return the (d,) float32 unit vector of the string with that key."""
        vector: Vectors = self.values[self.rows[key[:_KEY]]].astype(np.float32)
        return vector / np.float32(np.linalg.norm(vector))


def text_key(text: str) -> bytes:
    """Return the key under which a string's vector is kept: its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@cache
def shipped_vectors(name: str) -> ShippedVectors | None:
    """Return the vectors that come with the package under that name, or ``None``."""
    from safetensors.numpy import load

    try:
        arrays = load((_FOLDER / f"{name}.safetensors").read_bytes())
    except FileNotFoundError:
        return None
    keys = arrays["keys"]
    return ShippedVectors({key.tobytes(): row for row, key in enumerate(keys)}, arrays["values"])


def write_shipped(name: str, texts: Sequence[str], vectors: Vectors, *, bits: int) -> Path:
    """Write the (n, d) vectors of n strings, in 16 bits or 8, and return the file's path."""
    from safetensors.numpy import save

    keys = np.array([list(text_key(text)[:_KEY]) for text in texts], np.uint8)
    if bits == 16:
        values: NDArray[Any] = vectors.astype(np.float16)
    else:
        values = np.rint(vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True)))
        values = values.astype(np.int8)
    path = _FOLDER / f"{name}.safetensors"
    path.write_bytes(save({"keys": keys, "values": values}))
    return path
