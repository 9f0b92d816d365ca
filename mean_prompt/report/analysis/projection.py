"""The projection of a corpus to two dimensions, and the places of strings there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mean_prompt.objective import Vectors

if TYPE_CHECKING:
    from sklearn.decomposition import PCA

#: Decimals of a place.
_DECIMALS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The first two principal components of a corpus's vectors.

    A linear map places a new string at once; a neighbour embedding would have to be fitted again.
    """

    pca: PCA

    @classmethod
    def fit(cls, vectors: Vectors) -> Projection:
        """Fit to (n, d) unit vectors, n and d at least 2."""
        from sklearn.decomposition import PCA

        return cls(PCA(n_components=2, random_state=0).fit(vectors))

    @property
    def explained(self) -> float:
        """Share of the variance that the two dimensions hold, within [0, 1]."""
        return float(np.nan_to_num(self.pca.explained_variance_ratio_).sum())

    def places(self, vectors: Vectors) -> list[tuple[float, float]]:
        """Return the places of unit vectors: (n, d) -> n pairs."""
        rows = np.round(self.pca.transform(vectors), _DECIMALS).tolist()
        return [(x, y) for x, y in rows]
