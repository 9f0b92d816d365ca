import itertools

import numpy as np
import pytest

from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.inversion import Inverter, Target

SETTINGS = ClimbSettings(width=8, predicted=16, hot=0.3, cold=0.01)


@pytest.fixture
def make_inverter(fake, make_evaluator, make_vocabulary):
    """Return a function that makes an inverter of the fake encoder under given constraints."""

    def make(evaluations=600, **constraints):
        rules = make_evaluator(None, **constraints).rules
        vocabulary = make_vocabulary(rules)
        return Inverter(fake, rules, vocabulary, evaluations=evaluations, settings=SETTINGS)

    return make


def highest_cosines(fake, vectors, tokens):
    """Return the highest cosine of any string of the fake encoder with each vector."""
    bodies = itertools.chain.from_iterable(
        itertools.product(range(1, len(fake.words)), repeat=size) for size in range(1, tokens + 1)
    )
    return (vectors @ fake.encode_ids(list(bodies)).T).max(axis=1)


def targets_at(vectors, *starts):
    return [Target.at(vector, starts or ("poem",), 0, row) for row, vector in enumerate(vectors)]


def test_it_finds_the_nearest_string_of_all(fake, make_inverter):
    vectors = np.random.default_rng(3).standard_normal((5, fake.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = make_inverter(3_000, max_tokens=3).invert(targets_at(vectors))
    cosines = [vector @ one.vector for vector, one in zip(vectors, found, strict=True)]
    assert np.mean(highest_cosines(fake, vectors, 3) - cosines) < 0.03
    for vector, one in zip(vectors, found, strict=True):
        assert one.score == pytest.approx((vector @ one.vector) ** 3, abs=1e-5)


def test_side_by_side_as_alone(fake, make_inverter):
    vectors = fake.encode(["rewrite the text", "formal email", "make the story a poem"])
    together = make_inverter().invert(targets_at(vectors))
    alone = [make_inverter().invert([target])[0] for target in targets_at(vectors)]
    assert [one.text for one in together] == [one.text for one in alone]


def test_each_target_takes_its_evaluations_and_no_more(fake, make_inverter):
    fake.encoded = 0
    make_inverter(100).invert(targets_at(fake.encode(["formal email", "the poem"])))
    # Two climbs share the strings that both ask for, and the last step may begin just before.
    assert 100 < fake.encoded <= 200 + 2 * (SETTINGS.width + 4)


def test_it_begins_at_the_best_start(fake, make_inverter):
    vector = fake.encode(["formal tone email"])
    [found] = make_inverter(1).invert(targets_at(vector, "poem", "formal tone email", "make"))
    assert found.text == "formal tone email"


def test_a_weighted_set_is_met_by_its_expected_score(fake, make_inverter):
    vectors = fake.encode(["formal email", "story"])
    weights = np.array([0.25, 0.75], np.float32)
    [found] = make_inverter().invert([Target(vectors, weights, ("poem",), (0,))])
    assert found.score == pytest.approx(float(weights @ (vectors @ found.vector) ** 3), abs=1e-5)
    assert found.score > float(weights @ (vectors @ fake.encode(["poem"])[0]) ** 3)


def test_starts_against_the_rules_give_way_to_tokens(fake, make_inverter):
    vector = fake.encode(["formal"])
    [found] = make_inverter(banned_words=("poem",)).invert(targets_at(vector, "poem"))
    assert found.text == "formal"
