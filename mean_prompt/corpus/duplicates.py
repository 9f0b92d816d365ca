"""Find near-duplicate prompts, and how typical each prompt is, by TF-IDF of words and word pairs.

Symbols used throughout:

    N   prompts, T terms
    X   (N, T) sparse float32   TF-IDF vectors of the prompts, unit rows
    J   similarity of two rows, in [0, 1]: the chance that one hash of X² is the same for both

Above ``COMPARED_UP_TO`` prompts, pairs are found by weighted MinHash and banding; the weights are
X², whose rows sum to 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

#: Prompts whose TF-IDF vectors have at least this cosine are near-duplicates, and stay on one
#: side of a split.
NEAR_DUPLICATE: Final = 0.8
#: Number of prompts up to which all pairs are compared. That takes 13 seconds at this number
#: (generated prompts, two cores), 90 seconds at three times it, and grows with its square.
COMPARED_UP_TO: Final = 100_000
SKETCH_NOTE: Final = (
    f"over {COMPARED_UP_TO:,} prompts: near-duplicates are found by hashing, which misses about "
    "one pair in a thousand; such a pair may be on both sides of the hold-out"
)
#: Columns that the terms of more prompts are hashed to, as a vocabulary of all could take
#: gigabytes. Where a rare term meets another in a column, its prompts' cosines shift a little.
_COLUMNS: Final = 2**24
#: Rows, and pairs of rows, compared at once: bounds memory to a few hundred megabytes.
_BLOCK: Final = 5_000
_PAIRS: Final = 200_000
#: Bands, and hashes in each. Rows at the threshold (cosine 0.8) have a J of about 0.65, so that a
#: band of four brings them together with a chance of 0.18, one of forty with 0.9996.
_BANDS: Final = 40
_HASHES: Final = 4
#: Odd, from the fractional part of the golden ratio: spreads keys over 64 bits.
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(29)

#: Returns which pairs of rows are similar enough to be grouped: (2, P) row numbers -> (P,).
Alike = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


def groups(prompts: tuple[str, ...]) -> NDArray[np.int64]:
    """Return (N,) group numbers: exact connected components of the near-duplicate graph."""
    from scipy.sparse.csgraph import connected_components

    _, labels = connected_components(near_duplicates(prompts), directed=False)
    return np.asarray(labels, np.int64)


def typicality(prompts: tuple[str, ...]) -> NDArray[np.floating]:
    """Return (N,) mean TF-IDF cosines of each prompt with all prompts."""
    return _along_mean(tfidf(prompts))


def sketch(prompts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Group near-duplicate prompts, and compute mean cosines, approximately in linear time."""
    vectors = _hashed_tfidf(prompts)
    labels = joined(vectors, lambda pairs: cosines(vectors, pairs) >= NEAR_DUPLICATE)
    return labels, _along_mean(vectors)


def near_duplicates(prompts: tuple[str, ...]) -> csr_matrix:
    """Return the exact (N, N) sparse adjacency matrix of near-duplicates, upper triangle."""
    from scipy.sparse import csr_matrix

    vectors = tfidf(prompts)
    prefixes = _prefixes(vectors)
    transposed = prefixes.T.tocsr()
    found = []
    for start in range(0, len(prompts), _BLOCK):
        shared = (prefixes[start : start + _BLOCK] @ transposed).tocoo()
        pairs = np.stack([shared.row.astype(np.int64) + start, shared.col])
        pairs = pairs[:, pairs[0] < pairs[1]]
        found.append(pairs[:, cosines(vectors, pairs) >= NEAR_DUPLICATE])
    edges = np.concatenate(found, axis=1)
    return csr_matrix((np.ones(edges.shape[1], bool), tuple(edges)), shape=(len(prompts),) * 2)


def cosines(vectors: csr_matrix, pairs: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the cosine of each pair of rows: (N, T), (2, P) -> (P,)."""
    products = np.empty(pairs.shape[1], np.float32)
    for start in range(0, pairs.shape[1], _PAIRS):
        some = slice(start, start + _PAIRS)
        shared = vectors[pairs[0, some]].multiply(vectors[pairs[1, some]])
        products[some] = np.asarray(shared.sum(axis=1)).ravel()
    return products


def _prefixes(vectors: csr_matrix) -> csr_matrix:
    """Keep each TF-IDF row's rarest terms, so that the rest has a norm below ``NEAR_DUPLICATE``.

    Two unit rows that share no kept term have a cosine below it, for all they share lies in the
    rest (Bayardo, Ma and Srikant 2007, "Scaling up all pairs similarity search"). Rare terms
    pair few rows, which makes this thirteen times faster than all products on 6,144 prompts.
    """
    from scipy.sparse import csr_matrix

    lengths = np.diff(vectors.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    frequency = np.bincount(vectors.indices, minlength=vectors.shape[1])
    # Within each row the most frequent term first; ties in one order for all rows.
    order = np.lexsort((vectors.indices, -frequency[vectors.indices], rows))
    reached = np.cumsum(vectors.data[order].astype(np.float64) ** 2)
    before = np.concatenate([[0.0], reached])[vectors.indptr[:-1]]
    # A little less than the threshold: the rows are of unit length only to float32.
    kept = reached - np.repeat(before, lengths) >= NEAR_DUPLICATE**2 - 1e-4
    terms = (vectors.data[order][kept], (rows[kept], vectors.indices[order][kept]))
    return csr_matrix(terms, shape=vectors.shape)


def _along_mean(vectors: csr_matrix) -> NDArray[np.floating]:
    mean = np.asarray(vectors.mean(axis=0)).ravel()
    along: NDArray[np.floating] = vectors @ mean
    return along


@lru_cache(maxsize=1)
def tfidf(prompts: tuple[str, ...]) -> csr_matrix:
    """Return the (N, T) TF-IDF matrix of prompts, with unit rows, over all their terms."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=_terms, sublinear_tf=True, dtype=np.float32)
    return vectorizer.fit_transform(prompts)


def _hashed_tfidf(prompts: Sequence[str]) -> csr_matrix:
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    counter = HashingVectorizer(
        analyzer=_terms, n_features=_COLUMNS, alternate_sign=False, norm=None, dtype=np.float32
    )
    counts = counter.transform(prompts)
    return TfidfTransformer(sublinear_tf=True).fit(counts).transform(counts, copy=False)


def _terms(prompt: str) -> list[str]:
    """Split a prompt into lower-case words and word pairs, or into symbols if it has no words.

    Punctuation beside words is ignored: a full stop more or less makes no other prompt.
    """
    words = re.findall(r"\w+", prompt.lower()) or re.findall(r"\S", prompt)
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def joined(vectors: csr_matrix, alike: Alike, *, seed: int = 0) -> NDArray[np.int64]:
    """Return (N,) group numbers: approximate connected components of the graph of ``alike`` rows.

    In each band, rows with the same hashes are sorted together in random order, and each is
    compared with the next; so no two rows are joined that are not alike, and a band costs N
    comparisons at most. Equal rows are never missed. Of the 114,628 pairs of near-duplicates
    among 100,000 generated prompts, 0.12 % were in two groups in the end, although comparing all
    pairs would have put them in one.
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
    """Merge the groups of each pair of rows; return new numbers: (N,), (2, P) -> (N,)."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    edges = (np.ones(pairs.shape[1], bool), tuple(labels[pairs]))
    graph = csr_matrix(edges, shape=(len(labels),) * 2)
    merged: NDArray[np.int64] = connected_components(graph, directed=False)[1][labels]
    return merged.astype(np.int64)


def _neighbours(keys: NDArray[np.uint64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Shuffle the rows that have the same key, and return (2, P) pairs of consecutive rows."""
    order = np.lexsort((rng.random(len(keys)), keys))
    same = keys[order[1:]] == keys[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]])


def _fingerprints(
    vectors: csr_matrix, used: NDArray[np.int64], columns: int, rng: np.random.Generator
) -> NDArray[np.uint64]:
    """Return (N,) 64-bit hashes of whole rows; unequal rows collide with a chance of 2^-64."""
    factors = rng.integers(2**64, size=columns, dtype=np.uint64)
    bits = vectors.data.astype(np.float32).view(np.uint32).astype(np.uint64)
    sums: NDArray[np.uint64] = np.add.reduceat(factors[used] * bits, vectors.indptr[:-1])
    return sums


def _keys(
    vectors: csr_matrix, used: NDArray[np.int64], columns: int, rng: np.random.Generator
) -> NDArray[np.uint64]:
    """Return (N,) keys of one band: each combines ``_HASHES`` weighted MinHashes of a row.

    One hash of a row is the column c with the least ``E_c / x_c²``, E exponential and the same
    for all rows: two rows share it with chance J (Moulton and Jiang 2018, "Maximally consistent
    sampling and the Jaccard index of probability distributions"). For every entry of X, ``used``
    is the number of its column among the ``columns`` in use.
    """
    starts = vectors.indptr[:-1]
    lengths = np.diff(vectors.indptr)
    keys = np.zeros(len(starts), np.uint64)
    for _ in range(_HASHES):
        exponential = rng.exponential(size=columns).astype(np.float32)
        arrivals = exponential[used] / vectors.data**2
        first = np.repeat(np.minimum.reduceat(arrivals, starts), lengths) == arrivals
        # Columns count from 1; if two arrive at once, the larger number is taken.
        chosen = np.maximum.reduceat(np.where(first, used + 1, 0), starts)
        keys = keys * _MIX + chosen.astype(np.uint64)
        keys ^= keys >> _SHIFT
    return keys
