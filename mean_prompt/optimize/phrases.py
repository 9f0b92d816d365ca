"""Phrases: runs of words that recur in a corpus, as token ids with their vectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.encoder import Encoder, TokenIds, VectorCache
from mean_prompt.objective import Vectors
from mean_prompt.optimize.constraints import Rules
from mean_prompt.system import Deadline, Listener

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
    """Phrases that moves may put in.

    Attributes:
        bodies: F token sequences, each of two tokens or more.
        vectors: (F, d) unit vectors of the phrases alone, in the screening dtype.
    """

    bodies: tuple[TokenIds, ...]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.bodies)


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

    Args:
        prompts: of the training side; only a random sample is read if they are very many, which
            :func:`sample_note` reports.
        encoder: whose tokens the phrases are cut into.
        rules: phrases that break them on their own are left out.
        encode: (n,) strings -> (n, d) unit vectors.
    """
    texts = _frequent(_sample(prompts))
    pairs = [
        (text, ids)
        for text, ids in zip(texts, encoder.tokenize(texts), strict=True)
        if len(ids) > 1 and _fits(rules, text, ids)
    ][:_SIZE]
    if not pairs:
        return PhraseBank((), np.empty((0, encoder.dimension), np.float32))
    return PhraseBank(tuple(ids for _, ids in pairs), encode([text for text, _ in pairs]))


def sample_note(count: int) -> str | None:
    """Return a line for the user if only a sample of so many prompts is mined for phrases."""
    if count <= _MINED:
        return None
    return f"phrases are mined from a random {_MINED:,} of {count:,} prompts"


def _sample(prompts: Sequence[str]) -> Sequence[str]:
    """Return all prompts, or a sample of them, the same every time, in their order."""
    if len(prompts) <= _MINED:
        return prompts
    rows = np.random.default_rng(0).choice(len(prompts), _MINED, replace=False)
    return [prompts[row] for row in np.sort(rows)]


def _fits(rules: Rules, text: str, ids: TokenIds) -> bool:
    return len(ids) <= rules.room and rules.violation(rules.compose(text), ids) is None


def _frequent(prompts: Sequence[str]) -> list[str]:
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
