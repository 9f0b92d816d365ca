"""Embeds strings as unit vectors of one model, with a cache on disk and a time limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mean_prompt.encoder.cache import Encode, VectorCache
from mean_prompt.encoder.encoder import Encoder
from mean_prompt.objective import Vectors
from mean_prompt.system import Deadline, Listener, ignore


class EmbeddingSpace:
    """Embeds strings as unit vectors of one model, computing each string once."""

    def __init__(self, encoder: Encoder, *, listener: Listener = ignore) -> None:
        self.encoder = encoder
        self.dimension = encoder.dimension
        self.device = encoder.device
        self._listener = listener
        self._exact = VectorCache(encoder.identity.key)
        dtype = encoder.screening.dtype
        # Candidates are many and rough vectors rank them well enough (cosines above 0.999), so
        # that they are kept apart from the reference vectors.
        self._screened = (
            self._exact
            if dtype == encoder.identity.dtype
            else VectorCache(f"{encoder.identity.key}-{dtype}")
        )

    def exact(
        self, texts: Sequence[str], what: str = "texts", deadline: Deadline | None = None
    ) -> Vectors:
        """Return (n, d) unit vectors of texts in float32; the model truncates texts too long."""
        return self._encode(self._exact, texts, self.encoder.encode, what, deadline)

    def screened(
        self, texts: Sequence[str], what: str = "candidates", deadline: Deadline | None = None
    ) -> Vectors:
        """Return unit vectors, as :meth:`exact`, in the precision used to rank candidates."""
        return self._encode(self._screened, texts, self.encoder.screen, what, deadline)

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each string, without special tokens."""
        return [len(ids) for ids in self.encoder.tokenize(texts)]

    def cut(self, texts: Sequence[str]) -> int:
        """Return how many texts are longer than the model reads, so that it truncates them."""
        return sum(count > self.encoder.max_tokens for count in self.tokens(texts))

    def _encode(
        self,
        cache: VectorCache,
        texts: Sequence[str],
        encode: Encode,
        what: str,
        deadline: Deadline | None,
    ) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        return cache.encode(
            texts,
            encode,
            listener=self._listener,
            phase=f"embedding {what}",
            unit=what,
            deadline=deadline,
        )
