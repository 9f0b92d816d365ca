"""Small worlds to search in: a fake encoder that can be differentiated, and tasks."""

import numpy as np

from mean_prompt.bench.method import SearchTask
from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.constraints import Constraints, Rules
from mean_prompt.optimize.evaluator import Evaluator
from mean_prompt.optimize.vocabulary import PhraseBank, Vocabulary
from tests import fakes

#: "!" is what coordinate methods fill up with; "café" is against the alphabet.
_MORE = """
! café song letter poet it into as an haiku rhyme funny short long with of improve clear verse
scene plot essay speech joke advert recipe report
"""
WORDS = (*fakes.WORDS, *_MORE.split())
STARTS = ("poem", "make text", "story of letter into text")
PHRASES = ("rewrite the text", "make the poem", "an improve of")


class GradientFake(fakes.FakeEncoder):
    """e(s) = u / |u|, so that df/dE_i = (1 + i / 10) (g - (g · e) e) / |u| for f's gradient g."""

    def __init__(self, words=WORDS, *, dimension=8, max_tokens=16, seed=0):
        super().__init__(words, dimension=dimension, max_tokens=max_tokens, seed=seed)

    def token_gradients(self, ids, vector_gradient):
        return np.stack([self._gradient_of(row, vector_gradient) for row in ids])

    def _gradient_of(self, ids, vector_gradient):
        scale = 1 + np.arange(len(ids), dtype=np.float32)[:, None] / 10
        vector = self._vector(ids)
        gradient = vector_gradient(vector)
        length = np.linalg.norm((self.words[list(ids)] * scale).sum(axis=0))
        return scale * (gradient - (gradient @ vector) * vector) / length


class RoughFake(GradientFake):
    """Screens in a precision that is far too low, so that screened scores are wrong."""

    def screen_ids(self, ids):
        rough = np.round(self.encode_ids(ids), 1)
        return rough / np.linalg.norm(rough, axis=1, keepdims=True)


def objective_for(dimension):
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((40, dimension)).astype(np.float32) + 0.5
    return ExpectedSCS(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def make_task(
    budget, *, encoder=None, objective=None, starts=STARTS, phrases=PHRASES, seed=0, **rules
):
    """Return a task in a small world; ``rules`` are Constraints' fields."""
    encoder = encoder or GradientFake()
    objective = objective or objective_for(encoder.dimension)
    bound = Rules(Constraints(**({"max_tokens": 6} | rules)), encoder)
    evaluator = Evaluator(encoder, objective, bound, budget)
    bank = PhraseBank(tuple(encoder.tokenize(phrases)), encoder.encode(phrases))
    static = encoder.encode([bound.surfaces[token] for token in bound.allowed])
    found = sorted(evaluator.read(starts), key=lambda row: -row.score)
    budget.evaluations = 0
    return SearchTask(
        evaluator=evaluator,
        starts=found,
        vocabulary=Vocabulary.of(bound, static, bank),
        ceiling=objective.ceiling().value,
        seed=seed,
    )


def evaluations(most):
    return Budget(None, most)
