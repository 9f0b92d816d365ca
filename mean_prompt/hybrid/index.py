"""Nearest-neighbour search among unit vectors with FAISS, by inner product (the cosine)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import Vectors

#: Vectors above which an approximate index pays. Measured on one core at 384 numbers each: with
#: 50,000 all comparisons take 4 ms a query, an inverted file 0.4 ms and 5 s to build; with 10,000
#: 0.5 and 0.1 ms, and the inverted file misses 2 % of 64 neighbours.
APPROXIMATE_ABOVE: Final = 50_000


class VectorIndex:
    """An index that finds the nearest of (n, f) unit vectors to a query.

    Up to ``APPROXIMATE_ABOVE`` vectors a query is compared with every one; above, an inverted
    file (IVF) visits a sixteenth of its cells. There must be one vector at least.
    """

    def __init__(self, vectors: Vectors) -> None:
        import faiss

        rows, dimension = vectors.shape
        vectors = np.ascontiguousarray(vectors, np.float32)
        if rows <= APPROXIMATE_ABOVE:
            self._index: Any = faiss.IndexFlatIP(dimension)
        else:
            cells = min(int(4 * np.sqrt(rows)), rows)
            self._index = faiss.index_factory(
                dimension, f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT
            )
            self._index.cp.min_points_per_centroid = 1  # FAISS would warn of small cells
            self._index.train(vectors)
            self._index.nprobe = max(1, cells // 16)
        self._index.add(vectors)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Return cosines and indices, each (m, k), of the k vectors nearest to (m, f) queries.

        The nearest come first. If an approximate index finds fewer than k, the rest have index -1
        and cosine -1.0. A k above the number of vectors is lowered to it.
        """
        k = min(k, len(self))
        cosines, numbers = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        cosines[numbers < 0] = -1.0
        return cosines, numbers.astype(np.int64)
