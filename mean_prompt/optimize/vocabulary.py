"""What every climb of a run draws from: tokens and phrases with their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder, NotPropagable, TokenPropagation, VectorCache
from mean_prompt.objective import Vectors
from mean_prompt.optimize.constraints import Rules
from mean_prompt.optimize.phrases import PhraseBank, mine_phrases, sample_note
from mean_prompt.system import Deadline, Listener, ignore

#: No token among the allowed ones.
NOTHING: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The allowed vocabulary and the corpus's phrases; costly, made once.

    Attributes:
        allowed: (A,) ids of the tokens that may be put in.
        static: (A, d) unit vectors of these tokens on their own.
        index: (V,) number of a token among the allowed ones, or ``NOTHING``.
        phrases: F phrases with their vectors.
        propagation: of the model, or ``None`` where its architecture has none.
        notice: why it has none, and what is approximate.
    """

    allowed: NDArray[np.int64]
    static: Vectors
    index: NDArray[np.int64]
    phrases: PhraseBank
    propagation: TokenPropagation | None = None
    notice: str | None = None

    @classmethod
    def gather(
        cls,
        prompts: Sequence[str],
        encoder: Encoder,
        rules: Rules,
        *,
        listener: Listener = ignore,
        deadline: Deadline | None = None,
    ) -> Vocabulary:
        """Encode every allowed token and the corpus's phrases alone, from the cache if known.

        Args:
            prompts: of the training side, for phrases.
            encoder: the model.
            rules: say which tokens and phrases may be put in.
            listener: receives the tokens or phrases encoded and all of them.
            deadline: checked between chunks of them.

        Raises:
            OutOfTimeError: the deadline expired; what was encoded stays in the cache.
        """
        cache = VectorCache(f"{encoder.identity.key}-screened-{encoder.screening.dtype}")

        def encode(texts: Sequence[str]) -> Vectors:
            return cache.encode(
                texts,
                encoder.screen,
                listener=listener,
                phase="vocabulary",
                unit="tokens",
                deadline=deadline,
            )

        phrases = mine_phrases(prompts, encoder, rules, encode)
        static = encode([rules.surfaces[token] for token in rules.allowed])
        notes = [sample_note(len(prompts))]
        propagation = None
        try:
            propagation = TokenPropagation(encoder)
        except NotPropagable as reason:
            notes.append(
                f"every replacement is screened whole, as propagation does not apply: {reason}"
            )
        notice = "; ".join(filter(None, notes)) or None
        return replace(cls.of(rules, static, phrases, propagation), notice=notice)

    @classmethod
    def of(
        cls,
        rules: Rules,
        static: Vectors,
        phrases: PhraseBank,
        propagation: TokenPropagation | None = None,
    ) -> Vocabulary:
        """Put the parts together; ``static`` is (A, d) over ``rules.allowed``."""
        index = np.full(len(rules.surfaces), NOTHING)
        index[rules.allowed] = np.arange(len(rules.allowed))
        return cls(rules.allowed, static, index, phrases, propagation)
