"""The objective: expected sharpened cosine similarity (SCS), its gradient and its ceiling.

Symbols used throughout:

    P   (N, d) float32   unit vectors of the prompts, one a row
    w   (N,)   float32   weights of the prompts, nonnegative, sum 1
    x   (d,)   float32   unit vector of the string to score
    c   (N,)             cosines, ``P x``
    f(x) = w · c³        expected SCS, the number that a search maximises

N may be a million: products run over blocks of rows, and P may be stored in half precision.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
#: Vectors as they are stored: as float16 if float32 would not fit into memory. Rounding is
#: independent from entry to entry, and leaves f within 1e-5 of its value.
StoredVectors = NDArray[np.float32] | NDArray[np.float16]

#: The exponent of the competition's metric (Kaggle, LLM Prompt Recovery): SCS(c) = sign(c) |c|³.
SHARPNESS: Final = 3
_CEILING_STARTS: Final = 64
_CEILING_ITERATIONS: Final = 500
_CEILING_TOLERANCE: Final = 1e-7
#: Highest maxima of an approximate objective from which the ascent over all prompts continues.
_GUIDED_STARTS: Final = 4
#: The shift at which every step of the ascent raises f, (3 - 1) max Σ w |c| <= 2, and the first
#: shift tried, which converges faster and is mostly enough.
_SAFE_SHIFT: Final = float(SHARPNESS - 1)
_FIRST_SHIFT: Final = _SAFE_SHIFT / 32
#: Rows of P multiplied at once: 50 MB at d = 768, and no slower than all of them.
_BLOCK_ROWS: Final = 16_384
#: Largest difference of a row's length from 1.
_UNIT_TOLERANCE: Final = 1e-3
#: Cosines in memory at once: bounds a (rows of x, rows of P) block to a few hundred megabytes.
_BLOCK_CELLS: Final = 32_000_000


def sharpened(cosines: torch.Tensor) -> torch.Tensor:
    """Return the sharpened cosine similarity (the cube) of each cosine; same shape."""
    return cosines**SHARPNESS


def sharpened_cosines(vectors: Vectors, others: Vectors) -> Vectors:
    """Return the SCS (cosine cubed) of each pair of unit rows: (n, d), (n, d) -> (n,)."""
    scores: Vectors = np.einsum("nd,nd->n", vectors, others) ** SHARPNESS
    return scores


def normalized(rows: NDArray[np.floating]) -> Vectors:
    """Scale vectors to unit length, in float32; vectors of zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Vectors = (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The highest expected SCS of any unit vector, an upper bound for the score of any string.

    Attributes:
        vector: (d,) the unit vector that reaches the maximum.
        agreement: share of the ascents, in (0, 1], that ended at this value.
    """

    value: float
    vector: Vectors
    agreement: float


class Expansion(NamedTuple):
    """Taylor expansion of the objective f at m: ``f(m + δ) = value + g·δ + δᵀHδ + O(|δ|³)``.

    Attributes:
        value: f(m).
        gradient: g (d,), on the objective's device.
        curvature: H (d, d), half the Hessian, symmetric, on the objective's device.
    """

    value: float
    gradient: torch.Tensor
    curvature: torch.Tensor


class Objective(ABC):
    """The function f of a vector that a search maximises: exact or approximate expected SCS."""

    #: The device that the products run on.
    device: torch.device
    #: Width d of the vectors.
    dimension: int

    @abstractmethod
    def score(self, vectors: Vectors) -> Vectors:
        """Return the objective f at each unit row: (n, d) -> (n,)."""

    @abstractmethod
    def expansion(self, vector: Vectors | torch.Tensor) -> Expansion:
        """Return the objective's second-order expansion around a (d,) vector of any norm."""

    @abstractmethod
    def _values_and_pulls(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return f and a third of its gradient at m points: (m, d) -> (m,), (m, d)."""

    @abstractmethod
    def ascent_starts(self, rng: np.random.Generator) -> torch.Tensor:
        """Return (m, d) unit vectors to start ascents from; the highest end is the maximum of f."""

    def value_and_gradient(self, vector: Vectors) -> tuple[float, Vectors]:
        """Return f(x) and its Euclidean gradient ``3 Pᵀ(w ∘ (P x)²)``: (d,) -> float, (d,)."""
        values, pulls = self._values_and_pulls(self._to_tensor(vector)[None])
        return float(values[0]), to_numpy(SHARPNESS * pulls[0])

    def tangent_gradient(self, vector: Vectors) -> Vectors:
        """Return the gradient of f on the unit sphere at x: ``g - (g · x) x``, (d,) -> (d,)."""
        _, gradient = self.value_and_gradient(vector)
        return gradient - np.float32(gradient @ vector) * vector

    def ceiling(self, *, seed: int = 0, guide: Objective | None = None) -> Ceiling:
        """Return the maximum of f over all unit vectors, which no string's score can exceed.

        Args:
            seed: random seed of the starting points.
            guide: a cheaper objective close to this one. If given, the ascent starts only from
                the guide's highest maxima.
        """
        values, points = (guide or self).peaks(seed)
        if guide is not None:
            best = values.topk(min(_GUIDED_STARTS, len(values))).indices
            values, points = self.ascend(points[best])
        top = int(values.argmax())
        value = float(values[top])
        met = (values > value - max(1e-4 * abs(value), 1e-6)).float().mean()
        return Ceiling(value, to_numpy(points[top]), float(met))

    def peaks(self, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return local maxima of the objective on the unit sphere: (m,) values, (m, d) points."""
        return self.ascend(self.ascent_starts(np.random.default_rng(seed)))

    def ascend(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Climb f from m unit vectors to local maxima: (m, d) -> (m,) values, (m, d) points.

        Iterates ``x <- normalize(Pᵀ(w ∘ (P x)²) + a x)`` from all starts at once. If all cosines
        are positive, f is convex and no step lowers it with a = 0. A step that does lower f is
        undone and its path's shift a grows; from a = 2 on every step raises f (SS-HOPM, Kolda
        and Mayo 2011).
        """
        shifts = torch.zeros((len(points), 1), device=points.device)
        best_values, pulls = self._values_and_pulls(points)
        best_points = points
        for _ in range(_CEILING_ITERATIONS):
            points = torch.nn.functional.normalize(pulls + shifts * best_points, dim=1)
            values, new_pulls = self._values_and_pulls(points)
            gains = values - best_values
            rose, fell = gains > 0, gains < -_CEILING_TOLERANCE
            best_values = torch.where(rose, values, best_values)
            best_points = torch.where(rose[:, None], points, best_points)
            pulls = torch.where(rose[:, None], new_pulls, pulls)
            # At the safe shift only rounding lowers f, and such paths would never settle.
            unsettled = fell & (shifts[:, 0] < _SAFE_SHIFT)
            shifts[fell] = (2 * shifts[fell]).clamp(_FIRST_SHIFT, _SAFE_SHIFT)
            if float(gains.max()) < _CEILING_TOLERANCE and not bool(unsettled.any()):
                break
        return best_values, best_points

    def _to_tensor(self, array: Vectors | torch.Tensor) -> torch.Tensor:
        if isinstance(array, torch.Tensor):
            return array.to(self.device, torch.float32)
        return to_tensor(np.asarray(array, np.float32)).to(self.device)


class ExpectedSCS(Objective):
    """Expected SCS: weighted mean of the cubed cosines of a vector with N prompt vectors.

    Args:
        vectors: (N, d) unit rows of the prompts, float32 or float16; shared, not copied, if the
            device allows it.
        weights: (N,) nonnegative weights of the prompts; scaled to sum 1. Default: equal weights.

    Raises:
        ValueError: there are no rows, a row is not of unit length, or the weights do not fit.
    """

    def __init__(
        self,
        vectors: StoredVectors,
        weights: NDArray[np.floating] | None = None,
        *,
        device: str = "cpu",
    ) -> None:
        if vectors.ndim != 2 or len(vectors) == 0:
            raise ValueError(f"vectors must be (N, d) with N >= 1, got shape {vectors.shape}")
        if weights is None:
            weights = np.ones(len(vectors))
        if (
            weights.shape != (len(vectors),)
            or not (weights >= 0).all()
            or not 0 < weights.sum() < np.inf
        ):
            raise ValueError("weights must be (N,), not negative, with a positive, finite sum")
        kept = np.float16 if vectors.dtype == np.float16 else np.float32
        self._set(
            torch.from_numpy(np.ascontiguousarray(vectors, kept)).to(device),
            to_tensor((weights / weights.sum()).astype(np.float32)).to(device),
        )
        for rows, _ in self.blocks():
            if not ((rows.norm(dim=1) - 1).abs() <= _UNIT_TOLERANCE).all():
                raise ValueError("vectors must have unit rows; normalise them first")

    def _set(self, prompts: torch.Tensor, weights: torch.Tensor) -> None:
        self._prompts = prompts
        self.weights = weights
        self.device = prompts.device
        self.dimension = int(prompts.shape[1])

    def __len__(self) -> int:
        return len(self._prompts)

    @property
    def bytes(self) -> int:
        """Size of the prompts' vectors in memory, in bytes."""
        return self._prompts.nbytes

    def part(self, rows: slice) -> Self:
        """Return the same objective over a slice of the prompts, without copying the vectors."""
        chosen = object.__new__(type(self))
        weights = self.weights[rows]
        chosen._set(self._prompts[rows], weights / weights.sum())
        return chosen

    def blocks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the prompts' vectors in float32 and their weights, by blocks: (b, d), (b,)."""
        for i in range(0, len(self), _BLOCK_ROWS):
            yield self._prompts[i : i + _BLOCK_ROWS].float(), self.weights[i : i + _BLOCK_ROWS]

    def rows(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        """Return the vectors of the prompts with these row numbers, in float32: (k,) -> (k, d)."""
        return self._prompts[torch.from_numpy(numbers).to(self.device)].float()

    def cosines(self, vector: Vectors | torch.Tensor) -> torch.Tensor:
        """Return the products of a vector with all prompts' vectors, ``P x``: (d,) -> (N,)."""
        query = self._to_tensor(vector)
        return torch.cat([rows @ query for rows, _ in self.blocks()])

    def mean(self) -> torch.Tensor:
        """Return the (d,) weighted mean of the prompts' vectors, not scaled to unit length."""
        return sum(
            (weights @ rows for rows, weights in self.blocks()),
            torch.zeros(self.dimension, device=self.device),
        )

    def score(self, vectors: Vectors) -> Vectors:
        """Return the expected SCS of each unit row: (n, d) -> (n,)."""
        queries = self._to_tensor(vectors)
        # Sums of a million terms need double precision.
        totals = np.zeros(len(queries))
        for rows, weights in self.blocks():
            step = max(1, _BLOCK_CELLS // len(rows))
            for i in range(0, len(queries), step):
                scores = sharpened(queries[i : i + step] @ rows.T) @ weights
                totals[i : i + step] += to_numpy(scores)
        return totals.astype(np.float32)

    def per_prompt(self, vector: Vectors) -> Vectors:
        """Return the SCS of one string's vector with each prompt: (d,) -> (N,)."""
        return to_numpy(sharpened(self.cosines(vector)))

    def expansion(self, vector: Vectors | torch.Tensor) -> Expansion:
        """Return the second-order expansion of the objective f around a vector m of any norm.

        f is cubic, so that ``f(m + δ) = f(m) + g·δ + δᵀHδ + Σ w (P δ)³``, with the gradient
        ``g = 3 Pᵀ(w ∘ (P m)²)`` and half the Hessian ``H = 3 Pᵀ diag(w ∘ P m) P``.
        """
        point = self._to_tensor(vector)
        value, gradient = 0.0, torch.zeros_like(point)
        curvature = torch.zeros((self.dimension, self.dimension), device=self.device)
        for rows, weights in self.blocks():
            cosines = rows @ point
            value += float(sharpened(cosines) @ weights)
            gradient += SHARPNESS * (rows.T @ (weights * cosines ** (SHARPNESS - 1)))
            curvature += SHARPNESS * ((rows.T * (weights * cosines)) @ rows)
        return Expansion(value, gradient, curvature)

    def _values_and_pulls(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return f and ``Pᵀ(w ∘ (P x)²)``, a third of f's gradient: (m, d) -> (m,), (m, d)."""
        values, pulls = torch.zeros(len(points), device=self.device), torch.zeros_like(points)
        for rows, weights in self.blocks():
            cosines = points @ rows.T
            values += sharpened(cosines) @ weights
            pulls += (cosines ** (SHARPNESS - 1) * weights) @ rows
        return values, pulls

    def ascent_starts(self, rng: np.random.Generator) -> torch.Tensor:
        """Return (m, d) unit vectors to start ascents from: prompts, the mean, random ones."""
        rows = rng.choice(len(self), min(len(self), _CEILING_STARTS // 2), replace=False)
        directions = rng.standard_normal((_CEILING_STARTS // 2, self.dimension), np.float32)
        starts = torch.cat([self.rows(rows), self.mean()[None], self._to_tensor(directions)])
        return torch.nn.functional.normalize(starts, dim=1)


def to_tensor(array: NDArray[Any]) -> torch.Tensor:
    """Copy a numpy array into a torch tensor with aligned memory, for reproducible products.

    The rounding of a product of two vectors depends on their memory alignment, which numpy leaves
    open: without the copy, a search resumed in another process would take another path.
    """
    return torch.tensor(array)


def to_numpy(tensor: torch.Tensor) -> Vectors:
    """Return a numpy array of a tensor's values, whatever device the tensor is on."""
    array: Vectors = tensor.detach().cpu().numpy()
    return array
