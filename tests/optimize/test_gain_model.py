import numpy as np
import pytest

from mean_prompt.optimize.gain_model import NOTHING, GainModel, Observation

TOKENS, WIDTH = 200, 6


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    static = rng.standard_normal((TOKENS, WIDTH)).astype(np.float32)
    embeddings = rng.standard_normal((TOKENS, WIDTH)).astype(np.float32)
    worth = 0.02 * static @ rng.standard_normal(WIDTH)
    return rng, static, embeddings, worth


def test_before_any_observation_it_follows_the_analytic_rankings(world):
    _, static, embeddings, _ = world
    rankings = np.zeros((TOKENS, 2), np.float32)
    rankings[5] = 3.0
    assert GainModel(static, embeddings, moves=2).predict(rankings).argmax() == 5


def test_it_learns_what_tokens_gain_and_generalises_to_those_not_tried(world):
    rng, static, embeddings, worth = world
    model = GainModel(static, embeddings, moves=2)
    rankings = np.zeros((TOKENS, 2), np.float32)
    tried = np.arange(TOKENS // 2)
    for _ in range(60):
        pairs = rng.choice(tried, (16, 2))
        model.observe(
            rankings,
            [Observation(0, int(i), int(o), float(worth[i] - worth[o])) for i, o in pairs],
        )
    predicted = model.predict(rankings)
    untried = slice(TOKENS // 2, None)
    assert np.corrcoef(predicted[untried], worth[untried])[0, 1] > 0.95


def test_a_move_that_loses_as_such_is_not_blamed_on_its_tokens(world):
    rng, static, embeddings, worth = world
    model = GainModel(static, embeddings, moves=2)
    rankings = np.zeros((TOKENS, 2), np.float32)
    for _ in range(60):
        tokens = rng.choice(TOKENS, 16)
        insertions = [Observation(1, int(t), NOTHING, float(worth[t]) - 0.05) for t in tokens[:8]]
        deletions = [Observation(0, NOTHING, int(t), -float(worth[t])) for t in tokens[8:]]
        model.observe(rankings, insertions + deletions)
    predicted = model.predict(rankings)
    assert np.corrcoef(predicted, worth)[0, 1] > 0.95
    assert abs(predicted.mean() - worth.mean()) < 0.02


def test_old_observations_fade(world):
    rng, static, embeddings, worth = world
    model = GainModel(static, embeddings, moves=1)
    rankings = np.zeros((TOKENS, 2), np.float32)
    for sign, steps in ((1.0, 100), (-1.0, 400)):
        for _ in range(steps):
            tokens = rng.choice(TOKENS, 8)
            model.observe(
                rankings,
                [Observation(0, int(t), NOTHING, sign * float(worth[t])) for t in tokens],
            )
    assert np.corrcoef(model.predict(rankings), -worth)[0, 1] > 0.9
