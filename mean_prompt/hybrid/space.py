"""A model's space as the blend uses it: strings -> vectors kept on disk, within a time limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mean_prompt.encoder import Encode, Encoder, VectorCache
from mean_prompt.objective import Vectors
from mean_prompt.system import Deadline, ProgressEvent

Progress = Callable[[str, int, int], None]


class Space:
    """Strings as unit vectors of one model, each computed once.

    Args:
        encoder: the model.
        progress: called with what is encoded, strings done and all strings.
    """

    def __init__(self, encoder: Encoder, *, progress: Progress | None = None) -> None:
        self.encoder = encoder
        self.dimension = encoder.dimension
        self.device = encoder.device
        self._progress = progress
        self._exact = VectorCache(encoder.identity.key)
        dtype = encoder.screening.dtype
        kept = encoder.identity.dtype
        # Candidates are many and rough vectors rank them well enough (cosines above 0.999), so
        # that they are kept apart from the reference vectors.
        self._screened = (
            self._exact if dtype == kept else VectorCache(f"{encoder.identity.key}-{dtype}")
        )

    def exact(
        self, texts: Sequence[str], what: str = "texts", clock: Deadline | None = None
    ) -> Vectors:
        """Return (n, d) unit vectors in float32; texts over the model's length are cut by it."""
        return self._encode(self._exact, texts, self.encoder.encode, what, clock)

    def screened(
        self, texts: Sequence[str], what: str = "candidates", clock: Deadline | None = None
    ) -> Vectors:
        """Return (n, d) unit vectors in the screening dtype."""
        return self._encode(self._screened, texts, self.encoder.screen, what, clock)

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each string has, special ones left out."""
        return [len(ids) for ids in self.encoder.tokenize(texts)]

    def cut(self, texts: Sequence[str]) -> int:
        """Return how many texts the model reads only the beginning of."""
        return sum(count > self.encoder.max_tokens for count in self.tokens(texts))

    def _encode(
        self,
        cache: VectorCache,
        texts: Sequence[str],
        encode: Encode,
        what: str,
        clock: Deadline | None,
    ) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)

        def report(event: ProgressEvent) -> None:
            if self._progress:
                self._progress(what, event.done, event.total or 0)

        return cache.encode(texts, encode, listener=report, unit=what, deadline=clock)
