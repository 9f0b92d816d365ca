"""Tokens and phrases, with their vectors, that every climb of a run may put in."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder, NotPropagable, TokenIds, TokenPropagation, VectorCache
from mean_prompt.objective import Vectors
from mean_prompt.optimize.constraints import Rules
from mean_prompt.system import Deadline, Listener, ignore

_WORD: Final = r"[A-Za-z][A-Za-z'-]*"
#: Words in a phrase. Single words are in the bank if they take several tokens.
_LENGTHS: Final = (1, 5)
#: A phrase of fewer prompts is typical of these rather than of the corpus.
_LEAST_PROMPTS: Final = 3
#: Phrases kept, by how many prompts hold them.
_SIZE: Final = 3_000
#: Prompts that phrases are mined from, at most: a million short ones took two minutes and 2 GB,
#: and a phrase that one in a thousand of them holds stands in 50 of a sample.
_MINED: Final = 50_000


@dataclass(frozen=True, slots=True)
class PhraseBank:
    """Runs of words that recur in a corpus: F bodies, each of two tokens or more.

    ``vectors`` (F, d) are unit vectors of the phrases alone, in the screening dtype.
    """

    bodies: tuple[TokenIds, ...]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.bodies)


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The allowed tokens and the corpus's phrases; costly, made once.

    Attributes:
        allowed: (A,) ids of the tokens that may be put in.
        static: (A, d) unit vectors of these tokens on their own.
        index: (V,) number of each token among the allowed ones; -1 for another.
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

        Phrases are those of ``prompts``, of the training side. What was encoded stays in the cache
        if the deadline expires, an ``OutOfTimeError``.
        """
        encode = cached_screening(encoder, listener, deadline)
        phrases = mine_phrases(prompts, encoder, rules, encode)
        static = encode([rules.surfaces[token] for token in rules.allowed])
        notes, propagation = [], None
        if len(prompts) > _MINED:
            notes.append(f"phrases are mined from a random {_MINED:,} of {len(prompts):,} prompts")
        try:
            propagation = TokenPropagation(encoder)
        except NotPropagable as reason:
            notes.append(
                f"every replacement is screened whole, as propagation does not apply: {reason}"
            )
        return cls.of(rules, static, phrases, propagation, "; ".join(notes) or None)

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
        index = np.full(len(rules.surfaces), -1)
        index[rules.allowed] = np.arange(len(rules.allowed))
        return cls(rules.allowed, static, index, phrases, propagation, notice)


def cached_screening(
    encoder: Encoder, listener: Listener, deadline: Deadline | None
) -> Callable[[Sequence[str]], Vectors]:
    """Return a function that screens strings, from the cache if known: (n,) -> (n, d)."""
    cache = VectorCache(f"{encoder.identity.key}-screened-{encoder.screening.dtype}")
    return partial(
        cache.encode,
        encode=encoder.screen,
        listener=listener,
        phase="vocabulary",
        unit="tokens",
        deadline=deadline,
    )


def mine_phrases(
    prompts: Sequence[str],
    encoder: Encoder,
    rules: Rules,
    encode: Callable[[Sequence[str]], Vectors],
) -> PhraseBank:
    """Mine the phrases of one to five words that stand in the most prompts.

    Phrases that break the rules on their own are left out. Of very many prompts only a random
    sample is read. ``encode`` maps (n,) strings to (n, d)
    unit vectors.
    """
    if len(prompts) > _MINED:
        rows = np.random.default_rng(0).choice(len(prompts), _MINED, replace=False)
        prompts = [prompts[row] for row in np.sort(rows)]
    texts = _frequent(prompts)
    pairs = [
        (text, ids)
        for text, ids in zip(texts, encoder.tokenize(texts), strict=True)
        if 1 < len(ids) <= rules.room and rules.violation(rules.compose(text), ids) is None
    ][:_SIZE]
    if not pairs:
        return PhraseBank((), np.empty((0, encoder.dimension), np.float32))
    return PhraseBank(tuple(ids for _, ids in pairs), encode([text for text, _ in pairs]))


def _frequent(prompts: Sequence[str]) -> list[str]:
    """Return the phrases of enough prompts, those of the most prompts first."""
    from sklearn.feature_extraction.text import CountVectorizer

    if not any(re.search(_WORD, prompt) for prompt in prompts):
        return []
    counter = CountVectorizer(
        binary=True, ngram_range=_LENGTHS, token_pattern=_WORD, dtype=np.int32
    )
    counts = counter.fit_transform(prompts)
    held_by: NDArray[np.int64] = np.asarray(counts.sum(axis=0)).ravel()
    names = counter.get_feature_names_out()
    order = np.argsort(-held_by, kind="stable")
    # More than the size: some will turn out to be single tokens or against the rules.
    return [str(names[i]) for i in order[: 4 * _SIZE] if held_by[i] >= _LEAST_PROMPTS]
