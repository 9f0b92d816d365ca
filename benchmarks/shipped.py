"""Write the vectors that come with the package, for its corpus under its model.

    python -m benchmarks.shipped

Run it after the corpus, its tokens' rules or the packaged model has changed: a test compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from rich.console import Console

from mean_prompt.corpus import Corpus
from mean_prompt.encoder import PACKAGED_MODEL, Encoder, load_encoder, write_shipped
from mean_prompt.objective import Vectors
from mean_prompt.optimize import Constraints, Rules, likely_tokens, mine_phrases
from mean_prompt.system import shipped_folder

_PHRASES: Final = 6_000


def packaged_strings(encoder: Encoder) -> tuple[list[str], list[str]]:
    """Return the packaged prompts, and the tokens and phrases that a search over them puts in."""
    prompts = list(Corpus.from_files(str(shipped_folder("corpora"))).prompts)
    rules = Rules(Constraints(), encoder)
    tokens = [rules.surfaces[token] for token in likely_tokens(prompts, encoder, rules)]
    phrases: list[str] = []

    def note(texts: Sequence[str]) -> Vectors:
        phrases.extend(texts)
        return np.empty((len(texts), encoder.dimension), np.float32)

    # A search mines its training side, in which some others are among the most frequent.
    mine_phrases(prompts, encoder, rules, note, size=_PHRASES)
    return prompts, list(dict.fromkeys([*tokens, *phrases]))


def main() -> None:
    """Write both files of vectors."""
    encoder = load_encoder(PACKAGED_MODEL, screening="float32")
    prompts, parts = packaged_strings(encoder)
    for name, texts, bits in (
        (encoder.identity.key, prompts, 16),
        (encoder.identity.key + "-screened", parts, 8),
    ):
        path = write_shipped(name, texts, encoder.encode(texts), bits=bits)
        Console().print(f"{path}: {len(texts):,} vectors, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
