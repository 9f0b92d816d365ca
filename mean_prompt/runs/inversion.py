"""Strings for given vectors: inputs of a search for each, computed by several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mean_prompt.corpus import Corpus, corpus_vectors
from mean_prompt.encoder import Encoder
from mean_prompt.objective import Vectors
from mean_prompt.optimize import Candidate, Constraints, Inverter, Rules, Target, Vocabulary
from mean_prompt.runs.climbers import ENCODER
from mean_prompt.system import Deadline, Listener, ProgressEvent, Team, ignore

#: Prompts of the corpus nearest to a vector that its search may begin with.
_STARTS: Final = 3
#: Vectors that one process searches for side by side.
TOGETHER: Final = 16
INVERTER: Final = "inverter"


@dataclass(frozen=True, slots=True)
class Inversion:
    """The string found for a vector.

    Attributes:
        cosine: cosine of the string's vector with the one given, in [-1, 1].
        tokens: number of the string's tokens, without special ones.
    """

    string: str
    cosine: float
    tokens: int


def invert_vectors(
    vectors: Vectors,
    encoder: Encoder,
    corpus: Corpus,
    constraints: Constraints,
    team: Team,
    *,
    evaluations: int,
    seed: int = 0,
    listener: Listener = ignore,
    deadline: Deadline | None = None,
) -> list[Inversion]:
    """Return a string for each of (n, d) unit vectors, that its vector is nearest to.

    Searches begin at the nearest prompts of the corpus, and put in tokens and phrases of it.

    Raises:
        InputError: the constraints do not fit the model.
        OutOfTimeError: the deadline expired before all strings were found.
    """
    rules = Rules(constraints, encoder)
    prompts = corpus_vectors(
        corpus,
        np.arange(len(corpus)),
        encoder,
        encode=team.spread(ENCODER, "encode"),
        listener=listener,
        deadline=deadline,
    )
    vocabulary = Vocabulary.gather(
        corpus.prompts,
        encoder,
        rules,
        screen=team.spread(ENCODER, "screen"),
        listener=listener,
        deadline=deadline,
    )
    team.give(INVERTER, Inverter(encoder, rules, vocabulary, evaluations=evaluations))
    nearest = np.argsort(-(vectors @ prompts.T), axis=1)[:, :_STARTS]
    targets = [
        Target.at(vector, _starts([corpus.prompts[number] for number in numbers]), seed, row)
        for row, (vector, numbers) in enumerate(zip(vectors, nearest, strict=True))
    ]
    found: dict[int, Candidate] = {}
    for first, strings in inverted(team, targets, deadline):
        found |= enumerate(strings, first)
        listener(ProgressEvent("searching", len(found), len(targets), "strings"))
    return [
        Inversion(one.text, float(vector @ one.vector), len(one.ids))
        for vector, (_, one) in zip(vectors, sorted(found.items()), strict=True)
    ]


def _starts(prompts: Sequence[str]) -> list[str]:
    """Return prompts, and all of them in one: tokens are replaced far more cheaply than put in."""
    return [" ".join(prompts), *prompts]


def inverted(
    team: Team, targets: Sequence[Target], deadline: Deadline | None = None
) -> Iterator[tuple[int, list[Candidate]]]:
    """Yield the strings for targets, some at a time, with the number of the first of them.

    The team has an inverter as :data:`INVERTER`. Targets are searched for in their order, and
    yielded as their strings are found.

    Raises:
        OutOfTimeError: the deadline expired before all strings were found.
    """
    parts = [targets[start : start + TOGETHER] for start in range(0, len(targets), TOGETHER)]

    def asked() -> Iterator[Sequence[Target]]:
        for part in parts:
            if deadline is not None:
                deadline.check()
            yield part

    for number, strings in team.stream(INVERTER, "invert", asked()):
        yield number * TOGETHER, strings
