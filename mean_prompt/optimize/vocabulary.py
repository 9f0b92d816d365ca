"""Tokens and phrases, with their vectors, that every climb of a run may put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder, NotPropagable, TokenPropagation
from mean_prompt.objective import Vectors
from mean_prompt.optimize.constraints import Rules
from mean_prompt.optimize.phrases import PhraseBank, cached_screening, mine_phrases, sample_note
from mean_prompt.system import Deadline, Listener, ignore

#: No token among the allowed ones.
NOTHING: Final = -1


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The allowed tokens and the corpus's phrases; costly, made once.

    Attributes:
        allowed: (A,) ids of the tokens that may be put in.
        static: (A, d) unit vectors of these tokens on their own.
        index: (V,) number of each token among the allowed ones, or ``NOTHING``.
        phrases: F phrases with their vectors.
        propagation: of the model, or ``None`` if it does not apply to the architecture.
        notice: a line for the user: why it does not apply, and what is approximate.
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
            rules: limit the tokens and phrases that may be put in.
            listener: receives the tokens or phrases encoded and all of them.
            deadline: checked between chunks of them.

        Raises:
            OutOfTimeError: the deadline expired; what was encoded stays in the cache.
        """
        encode = cached_screening(encoder, listener, deadline)
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
        return cls.of(rules, static, phrases, propagation, notice)

    @classmethod
    def of(
        cls,
        rules: Rules,
        static: Vectors,
        phrases: PhraseBank,
        propagation: TokenPropagation | None = None,
        notice: str | None = None,
    ) -> Vocabulary:
        """Return a vocabulary of its parts; ``static`` is (A, d) over ``rules.allowed``."""
        index = np.full(len(rules.surfaces), NOTHING)
        index[rules.allowed] = np.arange(len(rules.allowed))
        return cls(rules.allowed, static, index, phrases, propagation, notice)
