"""Rows in a language that a FakeEncoder reads, made so that it is known who can tell what."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mean_prompt.corpus.triples import Rows, Triples
from tests.fakes import FakeEncoder

STYLES = tuple(f"style{number}" for number in range(9))
THINGS = tuple(f"thing{number}" for number in range(30))
UNIVERSAL = "make it"


@dataclass(frozen=True)
class Tongue:
    """Known rows, and what an LLM says of them.

    Attributes:
        triples: a row's text says what its prompt asks for; every prompt shares its words with
            others.
        predictions: one a row: its prompt, or that of another row.
        right: (n,) whether it is of its row.
    """

    triples: Triples
    predictions: tuple[tuple[str, ...], ...]
    right: np.ndarray

    def halves(self):
        """Return the numbers of two halves of the rows that have no prompt in common."""
        groups = self.triples.groups()
        return np.flatnonzero(groups % 2 == 0), np.flatnonzero(groups % 2 == 1)

    def said(self, numbers):
        return [self.predictions[number] for number in numbers]


def encoder(**changes):
    """Return an encoder of the language, in which words are nearly at right angles."""
    return FakeEncoder(("make", "it", "please", "turn", *STYLES, *THINGS),
                       **({"dimension": 24, "max_tokens": 12} | changes))  # fmt: skip


def tongue(*, repeats=3, wrong=0.5, seed=0):
    """Return rows of 36 prompts, each repeated, of which a share has another row's prediction."""
    rng = np.random.default_rng(seed)
    pairs = [pair for pair in combinations(STYLES, 2) for _ in range(repeats)]
    originals = [" ".join(rng.choice(THINGS, 4)) for _ in pairs]
    # The rewrite is the text with what was asked for in it.
    rewritten = [f"{text} {a} {b}" for text, (a, b) in zip(originals, pairs, strict=True)]
    ids = tuple(f"r{number}" for number in range(len(pairs)))
    triples = Triples(
        Rows(ids, tuple(originals), tuple(rewritten)),
        tuple(f"make it {a} {b}" for a, b in pairs),
    )
    right = rng.random(len(pairs)) >= wrong
    said = []
    for true, is_right in zip(pairs, right, strict=True):
        others = [pair for pair in pairs if not set(true) & set(pair)]
        a, b = true if is_right else others[rng.integers(len(others))]
        said.append((f"make it {a} {b}",))
    return Tongue(triples, tuple(said), right)
