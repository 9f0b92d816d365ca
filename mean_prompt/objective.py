"""The objective: expected sharpened cosine similarity (SCS), its gradient and its ceiling.

Symbols used throughout:

    P   (N, d) float32   unit vectors of the prompts, one a row
    w   (N,)   float32   weights of the prompts, not negative, sum 1
    x   (d,)   float32   unit vector of the string that is judged
    c   (N,)             cosines, ``P x``
    f(x) = w · c³        expected SCS, the number that a search maximises
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

#: The exponent of the competition's metric (Kaggle, LLM Prompt Recovery): SCS(c) = sign(c) |c|³.
SHARPNESS: Final = 3
_CEILING_STARTS: Final = 64
_CEILING_ITERATIONS: Final = 500
_CEILING_TOLERANCE: Final = 1e-7
#: The shift that makes every step towards the ceiling rise, (3 - 1) max Σ w |c| <= 2, and the
#: first one tried, which is quicker and mostly enough.
_SAFE_SHIFT: Final = float(SHARPNESS - 1)
_FIRST_SHIFT: Final = _SAFE_SHIFT / 32
#: Rows of ``x`` judged at once: bounds the (rows, N) block of cosines to a few hundred megabytes.
_BLOCK_CELLS: Final = 32_000_000


def sharpened(cosines: torch.Tensor) -> torch.Tensor:
    """Return the sharpened cosine similarity of each cosine; same shape, within [-1, 1].

    An odd power keeps the sign, so that ``sign(c) |c|³`` is simply ``c³``.
    """
    return cosines**SHARPNESS


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The highest expected SCS that any unit vector reaches.

    Attributes:
        value: ``max f``; no string can score more.
        vector: (d,) the unit vector that reaches it.
        agreement: share of the starts, in (0, 1], that met at this value.
    """

    value: float
    vector: Vectors
    agreement: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided 95 % confidence interval."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


class ExpectedSCS:
    """Expected SCS of strings against a weighted set of prompt vectors.

    Args:
        vectors: (N, d) unit rows.
        weights: (N,) not negative; scaled to sum 1. Equal weights when left out.
        device: where the products run, as torch names it.

    Raises:
        ValueError: when there are no rows, a row is not of unit length, or weights do not fit.
    """

    def __init__(
        self, vectors: Vectors, weights: NDArray[np.floating] | None = None, *, device: str = "cpu"
    ) -> None:
        if vectors.ndim != 2 or len(vectors) == 0:
            raise ValueError(f"vectors must be (N, d) with N >= 1, got shape {vectors.shape}")
        lengths = np.linalg.norm(vectors, axis=1)
        if not np.allclose(lengths, 1.0, atol=1e-3):
            raise ValueError("vectors must have unit rows; normalise them first")
        if weights is None:
            weights = np.ones(len(vectors))
        if (
            weights.shape != (len(vectors),)
            or not (weights >= 0).all()
            or not 0 < weights.sum() < np.inf
        ):
            raise ValueError("weights must be (N,), not negative, with a positive, finite sum")
        self._prompts = torch.from_numpy(np.ascontiguousarray(vectors, np.float32)).to(device)
        scaled = (weights / weights.sum()).astype(np.float32)
        self._weights = torch.from_numpy(scaled).to(device)

    def __len__(self) -> int:
        return len(self._prompts)

    @property
    def dimension(self) -> int:
        """Width d of the vectors."""
        return int(self._prompts.shape[1])

    def score(self, vectors: Vectors) -> Vectors:
        """Return f of each row: (n, d) unit rows -> (n,)."""
        queries = self._to_tensor(vectors)
        step = max(1, _BLOCK_CELLS // len(self))
        blocks = [
            sharpened(queries[i : i + step] @ self._prompts.T) @ self._weights
            for i in range(0, len(queries), step)
        ]
        return to_numpy(torch.cat(blocks)) if blocks else np.empty(0, np.float32)

    def per_prompt(self, vector: Vectors) -> Vectors:
        """Return the SCS of one string with each prompt: (d,) -> (N,)."""
        return to_numpy(sharpened(self._prompts @ self._to_tensor(vector)))

    def value_and_gradient(self, vector: Vectors) -> tuple[float, Vectors]:
        """Return f(x) and its Euclidean gradient ``3 Pᵀ(w ∘ (P x)²)``: (d,) -> float, (d,)."""
        cosines = self._prompts @ self._to_tensor(vector)
        value = float(sharpened(cosines) @ self._weights)
        gradient = SHARPNESS * (self._prompts.T @ (self._weights * cosines ** (SHARPNESS - 1)))
        return value, to_numpy(gradient)

    def tangent_gradient(self, vector: Vectors) -> Vectors:
        """Return the gradient of f on the unit sphere at x: ``g - (g · x) x``, (d,) -> (d,)."""
        _, gradient = self.value_and_gradient(vector)
        return gradient - np.float32(gradient @ vector) * vector

    def ceiling(self, *, seed: int = 0) -> Ceiling:
        """Return ``max f`` over unit vectors, by the fixed point of the gradient's direction.

        Iterates ``x <- normalize(Pᵀ(w ∘ (P x)²) + a x)`` from the mean, from prompts and from
        random directions at once. Where all cosines are positive f is convex there, so that no
        step lowers it with a = 0. Where a step does lower f, it is taken back and the path's
        shift a grows, at 2 or more of which every step rises (SS-HOPM, Kolda and Mayo 2011).
        """
        points = self._ceiling_starts(np.random.default_rng(seed))
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
            shifts[fell] = (2 * shifts[fell]).clamp(_FIRST_SHIFT, _SAFE_SHIFT)
            if float(gains.max()) < _CEILING_TOLERANCE and not bool(fell.any()):
                break
        top = int(best_values.argmax())
        value = float(best_values[top])
        met = (best_values > value - max(1e-4 * abs(value), 1e-6)).float().mean()
        return Ceiling(value, to_numpy(best_points[top]), float(met))

    def _values_and_pulls(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return f and ``Pᵀ(w ∘ (P x)²)``, a third of its gradient: (m, d) -> (m,), (m, d)."""
        cosines = points @ self._prompts.T
        pulls = (cosines ** (SHARPNESS - 1) * self._weights) @ self._prompts
        return sharpened(cosines) @ self._weights, pulls

    def _ceiling_starts(self, rng: np.random.Generator) -> torch.Tensor:
        rows = rng.choice(len(self), min(len(self), _CEILING_STARTS // 2), replace=False)
        directions = rng.standard_normal((_CEILING_STARTS // 2, self.dimension), np.float32)
        starts = torch.cat(
            [
                self._prompts[torch.from_numpy(rows).to(self._prompts.device)],
                (self._weights @ self._prompts)[None],
                self._to_tensor(directions),
            ]
        )
        return torch.nn.functional.normalize(starts, dim=1)

    def _to_tensor(self, array: Vectors) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self._prompts.device)


def bootstrap_interval(
    values: NDArray[np.floating],
    weights: NDArray[np.floating],
    groups: NDArray[np.integer],
    *,
    seed: int = 0,
    resamples: int = 2_000,
) -> Interval:
    """Return the 95 % percentile interval of a weighted mean, resampling whole groups.

    Near-duplicates share a group; drawing groups rather than rows (Field and Welsh 2007, the
    cluster bootstrap) keeps the interval from shrinking where the rows repeat each other.

    Args:
        values: (N,) what is averaged.
        weights: (N,) of the average.
        groups: (N,) any integers; rows of one group are drawn together.
        seed: of the resampling.
        resamples: number of bootstrap samples.
    """
    _, members = np.unique(groups, return_inverse=True)
    weighted = np.bincount(members, weights=values * weights)
    mass = np.bincount(members, weights=weights)
    rng = np.random.default_rng(seed)
    count = len(mass)
    means = np.empty(resamples)
    for i in range(resamples):
        drawn = np.bincount(rng.integers(count, size=count), minlength=count)
        means[i] = (drawn @ weighted) / (drawn @ mass)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(low), float(high))


def to_numpy(tensor: torch.Tensor) -> Vectors:
    """Return a tensor as a numpy array, wherever it lives."""
    array: Vectors = tensor.detach().cpu().numpy()
    return array
