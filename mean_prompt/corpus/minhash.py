"""Joining rows that are alike without comparing all pairs: weighted MinHash and banding.

Symbols used throughout:

    N, T   rows and columns
    X      (N, T) sparse, positive   unit rows; X² holds each row's share of every column
    J      how alike two rows are, in [0, 1]: the chance that one hash of X² is the same for both
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Bands, and hashes in each. Rows at the threshold (cosine 0.8) have a J of about 0.65, so that a
#: band of four brings them together with a chance of 0.18, one of forty with 0.9996.
_BANDS: Final = 40
_HASHES: Final = 4
#: Odd, from the fractional part of the golden ratio: spreads keys over 64 bits.
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(29)

#: Tells which pairs of rows are alike: (2, P) row numbers -> (P,).
Alike = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


def joined(vectors: csr_matrix, alike: Alike, *, seed: int = 0) -> NDArray[np.int64]:
    """Return (N,) group numbers: rows that are alike, chained, share one; but for a few misses.

    In each band rows with the same hashes stand together, in random order, and each is compared
    with the next; so rows are never joined without being alike, and a band costs N comparisons
    at most. Equal rows are never missed. Of the 114,628 pairs of near-duplicates among 100,000
    prompts of the grammar, 0.12 % were in two groups in the end, where comparing all pairs would
    have put them in one.

    Args:
        vectors: X.
        alike: the truth about pairs.
        seed: of the hashes, and of the order.
    """
    rng = np.random.default_rng(seed)
    columns, used = np.unique(vectors.indices, return_inverse=True)
    labels = np.arange(vectors.shape[0])
    labels = _join(labels, _neighbours(_fingerprints(vectors, used, len(columns), rng), rng))
    for _ in range(_BANDS):
        pairs = _neighbours(_keys(vectors, used, len(columns), rng), rng)
        pairs = pairs[:, labels[pairs[0]] != labels[pairs[1]]]
        labels = _join(labels, pairs[:, alike(pairs)])
    return labels


def _join(labels: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return group numbers with both sides of each pair in one group: (N,), (2, P) -> (N,)."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    edges = (np.ones(pairs.shape[1], bool), tuple(labels[pairs]))
    graph = csr_matrix(edges, shape=(len(labels),) * 2)
    merged: NDArray[np.int64] = connected_components(graph, directed=False)[1][labels]
    return merged.astype(np.int64)


def _neighbours(keys: NDArray[np.uint64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the (2, P) pairs of rows that are next to each other among those of one key."""
    order = np.lexsort((rng.random(len(keys)), keys))
    same = keys[order[1:]] == keys[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]])


def _fingerprints(
    vectors: csr_matrix, used: NDArray[np.int64], columns: int, rng: np.random.Generator
) -> NDArray[np.uint64]:
    """Return (N,) keys that are the same for equal rows alone, but for one chance in 2^64."""
    factors = rng.integers(2**64, size=columns, dtype=np.uint64)
    bits = vectors.data.astype(np.float32).view(np.uint32).astype(np.uint64)
    sums: NDArray[np.uint64] = np.add.reduceat(factors[used] * bits, vectors.indptr[:-1])
    return sums


def _keys(
    vectors: csr_matrix, used: NDArray[np.int64], columns: int, rng: np.random.Generator
) -> NDArray[np.uint64]:
    """Return (N,) keys, each made of a band's hashes.

    One hash of a row is the column c with the least ``E_c / x_c²``, E exponential and the same
    for all rows: two rows share it with chance J (Moulton and Jiang 2018, "Maximally consistent
    sampling and the Jaccard index of probability distributions").

    Args:
        vectors: X.
        used: for every entry of X, the number of its column among those in use.
        columns: how many are in use.
        rng: of E.
    """
    starts = vectors.indptr[:-1]
    lengths = np.diff(vectors.indptr)
    keys = np.zeros(len(starts), np.uint64)
    for _ in range(_HASHES):
        exponential = rng.exponential(size=columns).astype(np.float32)
        arrivals = exponential[used] / vectors.data**2
        first = np.repeat(np.minimum.reduceat(arrivals, starts), lengths) == arrivals
        # Columns count from 1; where two arrive at once, the larger number stands for both.
        chosen = np.maximum.reduceat(np.where(first, used + 1, 0), starts)
        keys = keys * _MIX + chosen.astype(np.uint64)
        keys ^= keys >> _SHIFT
    return keys
