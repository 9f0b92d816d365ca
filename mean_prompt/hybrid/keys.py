"""Keys: what of a row is compared with known rows, and where in prompt space a row points to.

Symbols used throughout:

    o, r, p   (d,)   unit vectors of a row's original text, rewritten text and prediction
    x         (f,)   the row's features: some of o, r, r - o and p, one after the other
    t         (d,)   unit vector of a true prompt

A *raw* key compares features with known rows' features. A *ridge* key learns from known rows a
linear map from features to true prompts (Hoerl and Kennard 1970), and compares where it sends
the row with the known prompts themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import Vectors

Part = Literal["original", "rewritten", "difference", "prediction"]


@dataclass(frozen=True, slots=True, eq=False)
class RowVectors:
    """Vectors of rows.

    Attributes:
        originals: (n, d) of the texts before the rewrite.
        rewritten: (n, d) of the texts after it.
        predictions: (n, d) of what an LLM says the prompt is: the normalised mean over its
            samples; ``None`` without an LLM.
    """

    originals: Vectors
    rewritten: Vectors
    predictions: Vectors | None = None

    def __len__(self) -> int:
        return len(self.originals)

    def take(self, numbers: NDArray[np.int64]) -> RowVectors:
        """Return some of the rows."""
        predictions = None if self.predictions is None else self.predictions[numbers]
        return RowVectors(self.originals[numbers], self.rewritten[numbers], predictions)

    def without_predictions(self) -> RowVectors:
        """Return the texts alone."""
        return RowVectors(self.originals, self.rewritten)

    def features(self, parts: Sequence[Part]) -> Vectors:
        """Return x of every row: (n, d · parts).

        Raises:
            ValueError: predictions are asked for and there are none.
        """
        columns = [self._part(part) for part in parts]
        return np.concatenate(columns, axis=1)

    def _part(self, part: Part) -> Vectors:
        if part == "original":
            return self.originals
        if part == "rewritten":
            return self.rewritten
        if part == "difference":
            return self.rewritten - self.originals
        if self.predictions is None:
            raise ValueError("rows without predictions have no such features")
        return self.predictions


@dataclass(frozen=True, slots=True)
class Key:
    """What rows are compared by.

    Attributes:
        kind: ``raw`` features, or the prompts that ``ridge`` regression expects from them.
        parts: what features are made of.
        alpha: strength of the ridge penalty; not used by a raw key.
    """

    kind: Literal["raw", "ridge"]
    parts: tuple[Part, ...]
    alpha: float = 1.0

    def __str__(self) -> str:
        parts = " + ".join(self.parts)
        return f"raw {parts}" if self.kind == "raw" else f"ridge of {parts} (alpha {self.alpha:g})"


_ALPHAS: Final = (1.0, 3.0, 10.0)
_TEXT_PARTS: Final[tuple[tuple[Part, ...], ...]] = (
    ("rewritten",),
    ("difference",),
    ("original", "rewritten"),
    ("rewritten", "difference"),
)
_ALL_PARTS: Final[tuple[tuple[Part, ...], ...]] = (
    ("rewritten", "prediction"),
    ("difference", "prediction"),
    ("rewritten", "difference", "prediction"),
)
#: Keys that cross-validation chooses from: of the texts alone, and with a prediction. The
#: prediction alone makes the better key, and the worse blend (1.04 against 1.06 times the LLM
#: alone on 505 real rows): what it says is in the posterior already.
TEXT_KEYS: Final = tuple(
    [Key("raw", parts) for parts in _TEXT_PARTS]
    + [Key("ridge", parts, alpha) for parts in _TEXT_PARTS for alpha in _ALPHAS]
)
PREDICTION_KEYS: Final = tuple(
    [Key("raw", parts) for parts in _ALL_PARTS]
    + [Key("ridge", parts, alpha) for parts in _ALL_PARTS for alpha in _ALPHAS]
)


def normalized(rows: NDArray[np.floating]) -> Vectors:
    """Return rows scaled to unit length, in float32; a row of noughts stays one."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
