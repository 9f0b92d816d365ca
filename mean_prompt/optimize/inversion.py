"""Searches strings for given vectors, or weighted sets of vectors, many side by side.

Each target has a climb of its own (:mod:`~mean_prompt.optimize.climb`), narrower and colder than
those of a search for a universal string: a few hundred evaluations have to be enough. The climbs
take their steps together, so that the encoder gets the edits of all of them in one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mean_prompt.encoder import Encoder
from mean_prompt.objective import ExpectedSCS, Vectors
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import Climb, ClimbSettings, Edits
from mean_prompt.optimize.constraints import Rules
from mean_prompt.optimize.evaluator import Candidate, Evaluator, screen_together
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import RunError

#: Tokens tried as starts if no given string keeps to the rules.
_TOKENS: Final = 20
#: Settings that reach a vector in a few hundred evaluations.
NARROW: Final = ClimbSettings(width=8, predicted=96, vocabulary=1024, hot=0.001, cold=0.0003)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What a string is searched for: (m, d) unit vectors with (m,) weights that sum to 1.

    Attributes:
        starts: strings to begin with; the search begins at the one that scores best.
        seed: seed of the random choices.
    """

    vectors: Vectors
    weights: Vectors
    starts: tuple[str, ...]
    seed: tuple[int, ...]

    @classmethod
    def at(cls, vector: Vectors, starts: Sequence[str], *seed: int) -> Target:
        """Return the target of a single (d,) unit vector."""
        return cls(vector[None], np.ones(1, np.float32), tuple(starts), seed)


class Inverter:
    """Searches strings whose vectors score best against targets, by their expected SCS.

    The SCS with a single vector is the cube of the cosine, so that it is the nearest string.

    Args:
        evaluations: strings to encode for each target.
    """

    def __init__(
        self,
        encoder: Encoder,
        rules: Rules,
        vocabulary: Vocabulary,
        *,
        evaluations: int,
        settings: ClimbSettings = NARROW,
    ) -> None:
        self._encoder = encoder
        self._rules = rules
        self._vocabulary = vocabulary
        self._evaluations = evaluations
        self._settings = settings

    def invert(self, targets: Sequence[Target]) -> list[Candidate]:
        """Return the best string found for each target, scored in float32."""
        climbs = [self._begin(target) for target in targets]
        while going := [one for one in climbs if not one.evaluator.budget.expired()]:
            drafts = [one.draft(one.evaluator.budget.fraction()) for one in going]
            found = screen_together(
                [(one.evaluator, draft.bodies) for one, draft in zip(going, drafts, strict=True)]
            )
            for one, draft, made in zip(going, drafts, found, strict=True):
                one.finish(draft, made)
        return [one.best for one in climbs]

    def _begin(self, target: Target) -> Climb:
        objective = ExpectedSCS(target.vectors, target.weights, device=self._encoder.device)
        budget = Budget(max_evaluations=self._evaluations)
        evaluator = Evaluator(self._encoder, objective, self._rules, budget)
        starts = evaluator.read(target.starts) or self._single_tokens(evaluator)
        start = max(starts, key=lambda row: row.score)
        ceiling = objective.ceiling().value if len(target.vectors) > 1 else 1.0
        rng = np.random.default_rng(target.seed)
        edits = Edits(self._vocabulary, evaluator, self._settings, ceiling, rng)
        return Climb(start, evaluator.screened(start), edits)

    def _single_tokens(self, evaluator: Evaluator) -> list[Candidate]:
        """Return the tokens that score best on their own: no given start keeps to the rules."""
        best = np.argsort(-evaluator.objective.score(self._vocabulary.static))[:_TOKENS]
        found = [evaluator.score_body([token]) for token in self._vocabulary.allowed[best].tolist()]
        scored = [one for one in found if one is not None]
        if not scored:
            raise RunError("a search needs a start: no token keeps to the constraints; loosen them")
        return scored
