import numpy as np
import pytest

from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.constraints import Constraints, Rules
from mean_prompt.optimize.evaluator import Evaluator
from mean_prompt.optimize.vocabulary import PhraseBank, Vocabulary
from tests.fakes import FakeEncoder


@pytest.fixture
def fake():
    return FakeEncoder()


@pytest.fixture
def objective(fake):
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((40, fake.dimension)).astype(np.float32) + 0.5
    return ExpectedSCS(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.fixture
def make_evaluator(fake, objective):
    def make(budget=None, **constraints):
        rules = Rules(Constraints(**({"max_tokens": 4} | constraints)), fake)
        return Evaluator(fake, objective, rules, budget or Budget(None, 10_000))

    return make


@pytest.fixture
def make_vocabulary(fake):
    def make(rules):
        static = fake.encode([rules.surfaces[token] for token in rules.allowed])
        texts = ["rewrite the text", "make the poem"]
        bank = PhraseBank(tuple(fake.tokenize(texts)), fake.encode(texts))
        return Vocabulary.of(rules, static, bank)

    return make
