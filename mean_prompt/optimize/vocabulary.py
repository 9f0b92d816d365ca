"""Tokens and corpus phrases that a search may insert into its strings, with their vectors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import (
    Encode,
    Encoder,
    NotPropagable,
    TokenIds,
    TokenPropagation,
    VectorCache,
    cached_arrays,
)
from mean_prompt.objective import Vectors
from mean_prompt.optimize.constraints import Rules
from mean_prompt.system import Deadline, Listener, ignore

_WORD: Final = r"[A-Za-z][A-Za-z'-]*"
#: Words in a phrase. Single words count if they take several tokens.
_LENGTHS: Final = (1, 5)
#: A phrase of fewer prompts is typical of these rather than of the corpus.
_LEAST_PROMPTS: Final = 3
#: Phrases kept, by how many prompts hold them.
_SIZE: Final = 3_000
#: Tokens that may be put in although no prompt of the corpus has them: those of the lowest ids, as
#: tokenizers number theirs by how often they occur in what they were trained on. All 27,600 of
#: all-MiniLM-L6-v2 took twice as long to encode (35 s on two slow cores) and led to strings that
#: are no better: 0.842 of the ceiling against 0.838 over seven seeds of 120 s, spread by 0.011.
_COMMON: Final = 8_000
#: Prompts that phrases are mined from, at most: a million short ones took two minutes and 2 GB,
#: and a phrase that one in a thousand of them holds stands in 50 of a sample.
_MINED: Final = 50_000


@dataclass(frozen=True, slots=True)
class PhraseBank:
    """F phrases that recur in a corpus, as token ids (``bodies``) of two tokens or more each.

    ``vectors`` (F, d) are unit vectors of the phrases alone, in the screening dtype.
    """

    bodies: tuple[TokenIds, ...]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.bodies)


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Tokens and phrases that a search may insert, with their vectors; costly, so built once.

    Attributes:
        allowed: (A,) ids of the tokens that may be put in, ascending.
        static: (A, d) unit vectors of these tokens on their own.
        index: (V,) number of each token among the allowed ones; -1 for another.
        propagation: predicts replacements' effects; ``None`` if the architecture prevents it.
        notice: a line for the user: why propagation does not apply, and what is approximate.
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
        screen: Encode | None = None,
        listener: Listener = ignore,
        deadline: Deadline | None = None,
    ) -> Vocabulary:
        """Encode each likely token and each corpus phrase on its own, reusing cached vectors.

        Likely are the tokens that the rules allow and that ``prompts``, of the training side, have
        or that are among the most common in general. Phrases are those of the prompts. ``screen``
        encodes in the place of the encoder's own, if given. If the deadline expires,
        ``OutOfTimeError`` is raised; vectors made by then stay in the cache.
        """
        encode = cached_screening(encoder, listener, deadline, screen)
        phrases = _kept_phrases(prompts, encoder, rules, encode)
        tokens = likely_tokens(prompts, encoder, rules)
        static = encode([rules.surfaces[token] for token in tokens])
        notes, propagation = [], None
        if len(prompts) > _MINED:
            notes.append(f"phrases are mined from a random {_MINED:,} of {len(prompts):,} prompts")
        try:
            propagation = TokenPropagation(encoder)
        except NotPropagable as reason:
            notes.append(
                f"every replacement is screened whole, as propagation does not apply: {reason}"
            )
        notice = "; ".join(notes) or None
        return cls.of(rules, static, phrases, propagation, notice, tokens=tokens)

    @classmethod
    def of(
        cls,
        rules: Rules,
        static: Vectors,
        phrases: PhraseBank,
        propagation: TokenPropagation | None = None,
        notice: str | None = None,
        *,
        tokens: NDArray[np.int64] | None = None,
    ) -> Vocabulary:
        """Build a vocabulary of phrases and tokens, by default all allowed, with vectors (A, d)."""
        allowed = rules.allowed if tokens is None else tokens
        index = np.full(len(rules.surfaces), -1)
        index[allowed] = np.arange(len(allowed))
        return cls(allowed, static, index, phrases, propagation, notice)


def likely_tokens(prompts: Sequence[str], encoder: Encoder, rules: Rules) -> NDArray[np.int64]:
    """Return the allowed tokens that some prompt has, and the most common ones, ascending."""
    found = {token for ids in encoder.tokenize(prompts) for token in ids}
    held = np.isin(rules.allowed, list(found))
    held[:_COMMON] = True
    return rules.allowed[held]


def cached_screening(
    encoder: Encoder,
    listener: Listener,
    deadline: Deadline | None,
    screen: Encode | None = None,
) -> Callable[[Sequence[str]], Vectors]:
    """Return a function that encodes strings in the fast screening dtype, with a disk cache."""
    name = f"{encoder.identity.key}-screened"
    cache = VectorCache(f"{name}-{encoder.screening.dtype}", shipped=name)
    return partial(
        cache.encode,
        encode=screen or encoder.screen,
        listener=listener,
        phase="vocabulary",
        unit="tokens",
        deadline=deadline,
    )


def _kept_phrases(
    prompts: Sequence[str],
    encoder: Encoder,
    rules: Rules,
    encode: Callable[[Sequence[str]], Vectors],
) -> PhraseBank:
    """Return the phrases of :func:`mine_phrases` from the disk cache, mined if they are not there.

    Mining takes two seconds, which would be a third of a search's start.
    """
    digest = hashlib.sha256(rules.constraints.model_dump_json().encode())
    for prompt in prompts:
        data = prompt.encode()
        digest.update(b"%d\n%b\n" % (len(data), data))

    def mined() -> list[NDArray[Any]]:
        bank = mine_phrases(prompts, encoder, rules, encode)
        lengths = np.array([len(body) for body in bank.bodies], np.int64)
        ids = np.array([token for body in bank.bodies for token in body], np.int64)
        return [lengths, ids, bank.vectors]

    key = f"phrases-{encoder.identity.key}-{encoder.screening.dtype}-{digest.hexdigest()[:32]}"
    lengths, ids, vectors = cached_arrays(key, mined)
    ends = np.cumsum(lengths).tolist()
    bodies = tuple(tuple(ids[start:end].tolist()) for start, end in pairwise([0, *ends]))
    return PhraseBank(bodies, vectors)


def mine_phrases(
    prompts: Sequence[str],
    encoder: Encoder,
    rules: Rules,
    encode: Callable[[Sequence[str]], Vectors],
    *,
    size: int = _SIZE,
) -> PhraseBank:
    """Find the ``size`` phrases of one to five words that occur in the most prompts; encode them.

    ``encode`` maps (n,) strings to (n, d) unit vectors. Of very many prompts a sample is read.
    """
    if len(prompts) > _MINED:
        rows = np.random.default_rng(0).choice(len(prompts), _MINED, replace=False)
        prompts = [prompts[row] for row in np.sort(rows)]
    # More than the size: some will turn out to be single tokens or against the rules.
    texts = _frequent(prompts)[: 4 * size]
    pairs = [
        (text, ids)
        for text, ids in zip(texts, encoder.tokenize(texts), strict=True)
        if 1 < len(ids) <= rules.room and rules.violation(rules.compose(text), ids) is None
    ][:size]
    if not pairs:
        return PhraseBank((), np.empty((0, encoder.dimension), np.float32))
    return PhraseBank(tuple(ids for _, ids in pairs), encode([text for text, _ in pairs]))


def _frequent(prompts: Sequence[str]) -> list[str]:
    """Return phrases that occur in at least a few prompts, those in the most prompts first."""
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
    return [str(names[i]) for i in order if held_by[i] >= _LEAST_PROMPTS]
