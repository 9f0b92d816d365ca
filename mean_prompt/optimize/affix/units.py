"""The units of affixes: words and signs of the vocabulary, and phrases of known prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mean_prompt.encoder import Encoder
from mean_prompt.objective import Vectors
from mean_prompt.optimize.constraints import Rules
from mean_prompt.optimize.phrases import cached_screening, mine_phrases
from mean_prompt.system import Deadline, Listener, ignore


@dataclass(frozen=True, slots=True, eq=False)
class UnitBank:
    """Units that an affix may hold, with blanks between them.

    Attributes:
        texts: distinct; phrases first, the most frequent one before the others, then words.
        vectors: (u, d) unit vectors of the units alone, in the screening dtype.
        phrases: how many of the units are phrases.
    """

    texts: tuple[str, ...]
    vectors: Vectors
    phrases: int

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def gather(
        cls,
        prompts: Sequence[str],
        encoder: Encoder,
        rules: Rules,
        *,
        listener: Listener = ignore,
        deadline: Deadline | None = None,
    ) -> UnitBank:
        """Encode the words that the rules allow, and the prompts' phrases, each alone.

        Args:
            prompts: true ones of the training side.
            encoder: the model.
            rules: limit the words and phrases that may be put in.
            listener: receives the units encoded and all of them.
            deadline: checked between chunks of them.

        Raises:
            OutOfTimeError: the deadline expired; what was encoded stays in the cache.
        """
        encode = cached_screening(encoder, listener, deadline)
        phrases = mine_phrases(prompts, encoder, rules, encode)
        texts = [text.strip() for text in encoder.decode(phrases.bodies)] if len(phrases) else []
        words = _words(rules)
        # Some models lose case, so that two phrases may become one text.
        vectors = dict(zip(texts, phrases.vectors, strict=True))
        count = len(vectors)
        vectors |= {
            word: vector
            for word, vector in zip(words, encode(words), strict=True)
            if word not in vectors
        }
        return cls(tuple(vectors), np.stack(list(vectors.values())), count)


def _words(rules: Rules) -> list[str]:
    """Return the allowed tokens that start a word, or are signs: whole units beside blanks."""
    surfaces = (
        rules.surfaces[token]
        for token in rules.allowed
        if rules.starts_word[token] or not rules.surfaces[token].isalnum()
    )
    # If no token is a whole word (odd tokenizers), any token will do.
    return list(dict.fromkeys(surfaces)) or [rules.surfaces[token] for token in rules.allowed]
