"""Strings -> unit vectors in half precision, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Vectors
from mean_prompt.system import RunError, preview

Halves = NDArray[np.float16]

#: How far from 1 a row's length may be. Half precision keeps 11 bits: each number is off by one
#: part in 2,048 at most, and so is the length of a row that was of unit length.
UNIT_TOLERANCE: Final = 2**-11 + 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """The vectors of n prompts.

    Attributes:
        vectors: (n, d) unit rows, as far as half precision goes.
        rounding: largest difference between one of their numbers and the model's.
        cut: prompts that the model read only the beginning of.
    """

    vectors: Halves
    rounding: float
    cut: int


def encode_halves(encoder: Encoder, prompts: Sequence[str]) -> Encoded:
    """Encode strings in float32 and round them.

    Raises:
        RunError: a vector is not finite, or not of unit length.
    """
    ids = encoder.tokenize(prompts)
    vectors = encoder.encode_ids(ids)
    halves = vectors.astype(np.float16)
    for row in np.flatnonzero(~are_unit(halves)).tolist():
        raise RunError(
            f"a model's vectors must be finite and of unit length: {encoder.identity.name} gave "
            f"{_length(vectors[row])} for {preview(prompts[row])}; choose another --model"
        )
    rounding = float(np.abs(halves.astype(np.float32) - vectors).max())
    return Encoded(halves, rounding, sum(len(row) > encoder.max_tokens for row in ids))


def are_unit(halves: Halves) -> NDArray[np.bool_]:
    """Tell which rows are finite and of unit length: (n, d) -> (n,)."""
    lengths = np.linalg.norm(halves.astype(np.float32), axis=1)
    unit: NDArray[np.bool_] = np.abs(lengths - 1) <= UNIT_TOLERANCE
    return unit


def _length(vector: Vectors) -> str:
    return f"a length of {np.linalg.norm(vector):.4g}"
