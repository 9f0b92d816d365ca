"""The surrogate against the exact objective and against its own slow, pair-by-pair form."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mean_prompt.objective.scs import Expansion
from mean_prompt.optimize import surrogate as surrogate_module
from mean_prompt.optimize.pair_model import PairModel, TokenTable, scores_after
from mean_prompt.optimize.surrogate import Surrogate

PREDICT = {"width": 40, "sampled": 99, "temperature": 0.05}


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def here(objective):
    return unit(np.random.default_rng(2).standard_normal(objective.dimension) + 0.5)


def test_scores_are_those_of_the_objective_to_second_order(objective, here):
    rng = np.random.default_rng(3)
    direction = unit(rng.standard_normal((20, objective.dimension)))
    errors = []
    for length in (0.1, 0.01):
        changes = np.float32(length) * direction
        exact = objective.score(unit(here + changes))
        predicted = scores_after(
            objective.expansion(here), torch.from_numpy(here), torch.from_numpy(changes)
        )
        errors.append(np.abs(predicted - exact).max())
    # What is missing is of third order: Σ w (P δ)³ <= |δ|³ before division by at least 0.9³.
    assert errors[0] < 0.1**3 / 0.9**3
    assert errors[1] < 0.01**3 / 0.99**3 + 1e-6


def test_a_change_that_cancels_the_vector_promises_no_fortune(here):
    point = torch.from_numpy(here)
    expansion = Expansion(0.5, torch.zeros(len(here)), torch.zeros((len(here), len(here))))
    [score] = scores_after(expansion, point, -0.999 * point[None])
    assert score == pytest.approx(0.5 / 0.25**1.5)
    [score] = scores_after(expansion, point, -0.2 * point[None])
    assert score == pytest.approx(0.5 / 0.8**3, rel=1e-5)


@pytest.fixture
def taught(fake):
    """A pair model of ten tokens that has learned something, so that nothing is symmetric."""
    model = PairModel(TokenTable.of(unit(fake.words[1:]), fast=False))
    rng = np.random.default_rng(4)
    for _ in range(10):
        tokens, held = (torch.from_numpy(rng.integers(10, size=8)) for _ in range(2))
        changes = torch.from_numpy(rng.standard_normal((8, fake.dimension)).astype(np.float32))
        model.learn(tokens, held, changes / 8, 4)
    return model


def test_the_table_holds_what_each_pair_promises_alone(taught, objective, here):
    held, sample, n = torch.tensor([3, 9, -1, 3]), torch.tensor([7, 0, 9, 3, 5]), 6
    expansion, point = objective.expansion(here), torch.from_numpy(here)
    table, removals = taught.scores(expansion, point, held, sample, n)
    assert table.shape == (4, 5)
    for position, out in enumerate(held):
        for column, token in enumerate(sample):
            change = taught.changes(token[None], out[None], n)
            [expected] = scores_after(expansion, point, change)
            assert table[position, column] == pytest.approx(expected, abs=1e-4)
    # Index -1 stands for nothing: centred vectors of length zero on both sides.
    nothing = torch.tensor([-1])
    for position, out in enumerate(held):
        [expected] = scores_after(expansion, point, taught.changes(nothing, out[None], n))
        assert removals[position] == pytest.approx(expected, abs=1e-4)
    assert np.ptp(removals) > 0


def test_at_first_the_pair_model_is_matching_pursuit(fake):
    static = unit(fake.words[1:])
    model = PairModel(TokenTable.of(static, fast=False))
    change = model.changes(torch.tensor([2]), torch.tensor([5]), 4)[0].numpy()
    np.testing.assert_allclose(change, (static[2] - static[5]) / 4, atol=1e-6)


@pytest.fixture
def world(make_evaluator, make_vocabulary):
    evaluator = make_evaluator()
    return evaluator, make_vocabulary(evaluator.rules)


def make(world, vocabulary=None, seed=0):
    evaluator, usual = world
    return Surrogate(vocabulary or usual, evaluator, np.random.default_rng(seed))


@pytest.mark.parametrize(("width", "sampled"), [(1, 1), (6, 3), (40, 99)])
def test_predictions_are_within_bounds_and_never_of_what_is_there(world, width, sampled):
    evaluator, vocabulary = world
    [state] = evaluator.read(["make the text formal"])
    for seed in range(20):
        predictions = make(world, seed=seed).predict(
            state, width=width, sampled=sampled, temperature=0.05
        )
        count = len(predictions.positions)
        assert count <= width
        assert len(predictions.tokens) == len(predictions.changes) == count
        sample = set(predictions.sample)
        assert (
            len(sample) == len(predictions.sample_scores) == min(sampled, len(vocabulary.allowed))
        )
        assert set(predictions.tokens) <= sample <= set(vocabulary.allowed)
        assert predictions.removal_scores.shape == (4,)
        assert predictions.effects is None
        pairs = list(zip(predictions.positions.tolist(), predictions.tokens.tolist(), strict=True))
        assert len(set(pairs)) == count
        assert all(0 <= at < 4 and state.body[at] != token for at, token in pairs)
        expected = scores_after(
            predictions.expansion, torch.from_numpy(state.vector), predictions.changes
        )
        np.testing.assert_array_equal(predictions.scores, expected)


def test_cold_draws_hold_the_best_pairs_and_hot_ones_any(world, monkeypatch):
    monkeypatch.setattr(surrogate_module, "_EVEN_SHARE", 0.0)
    [state] = world[0].read(["make the text formal"])
    every = make(world).predict(state, width=999, sampled=99, temperature=1.0)
    cold = make(world).predict(state, width=12, sampled=99, temperature=1e-7)
    hot = make(world).predict(state, width=12, sampled=99, temperature=1e3)
    # Of the best twelve, those that change nothing drop out: the string itself, once a position.
    best = np.sort(every.scores)[::-1]
    np.testing.assert_allclose(np.sort(cold.scores)[::-1], best[: len(cold.scores)], atol=1e-6)
    assert len(cold.scores) >= 8
    assert hot.scores.min() < best[len(hot.scores)]


class LinearPropagation:
    """Claims, in two halves, half the true change and the same again in wrong coordinates."""

    def __init__(self, fake):
        self._fake = fake

    def freeze(self, ids):
        return SimpleNamespace(ids=ids, hidden=torch.zeros((len(ids), 1)))

    def effects(self, frozen, positions, tokens):
        halves = []
        for i, token in zip(positions, tokens, strict=True):
            made = (*frozen.ids[:i], token, *frozen.ids[i + 1 :])
            change = 0.5 * (self._fake._vector(made) - self._fake._vector(frozen.ids))
            halves.append(np.concatenate([change, change[::-1]]))
        return torch.from_numpy(np.stack(halves))


def prediction_error(model, state, evaluator):
    """Return how far predicted vectors are from the true ones, as directions."""
    predictions = model.predict(state, **PREDICT)
    rows = range(len(predictions.positions))
    found = evaluator.screen([predictions.replaced(state.body, row) for row in rows])
    vectors = np.stack([candidate.vector for candidate in found])
    expected = unit(state.vector + predictions.changes.numpy())
    return float(np.linalg.norm(expected - vectors, axis=1).mean())


@pytest.mark.parametrize("propagates", [True, False])
def test_evaluations_make_predictions_better(world, fake, propagates):
    evaluator, vocabulary = world
    if propagates:
        vocabulary = dataclasses.replace(vocabulary, propagation=LinearPropagation(fake))
    state, other = evaluator.read(["make the text formal", "poem"])
    model = make(world, vocabulary)
    before = prediction_error(model, state, evaluator)
    for _ in range(60):
        # What was tried at a string may be predicted again once the climb has left it.
        model.predict(other, **PREDICT)
        predictions = model.predict(state, **PREDICT)
        assert (predictions.effects is not None) == propagates
        rows = list(range(len(predictions.positions)))[:12]
        found = evaluator.screen([predictions.replaced(state.body, row) for row in rows])
        model.learn(state, predictions, dict(zip(rows, found, strict=True)), {})
    model.predict(other, **PREDICT)
    assert prediction_error(model, state, evaluator) < 0.5 * before


def test_propagation_teaches_the_pair_model_without_evaluations(world, fake):
    evaluator, vocabulary = world
    vocabulary = dataclasses.replace(vocabulary, propagation=LinearPropagation(fake))
    [state] = evaluator.read(["make the text formal"])
    model = make(world, vocabulary)
    first = model._pairs._ridge.weights.clone()
    for _ in range(10):
        model.predict(state, **PREDICT)
    assert not torch.equal(model._pairs._ridge.weights, first)
    assert torch.equal(model._correction.weights, torch.cat([torch.eye(6), torch.eye(6)]))


def test_a_body_that_ends_past_its_string_is_followed_at_the_last_token(world, fake):
    class Recording(LinearPropagation):
        def effects(self, frozen, positions, tokens):
            assert max(positions) <= len(frozen.ids) - 1
            return super().effects(frozen, positions, tokens)

    evaluator, vocabulary = world
    [state] = evaluator.read(["make the text formal"])
    merged = dataclasses.replace(state, ids=state.ids[:-1])
    model = make(world, dataclasses.replace(vocabulary, propagation=Recording(fake)))
    predictions = model.predict(merged, **PREDICT)
    assert predictions.positions.max() == 3


def test_what_was_evaluated_is_not_looked_at_again_while_the_climb_stays(world):
    evaluator, _ = world
    state, other = evaluator.read(["make the text formal", "poem"])
    model = make(world)
    predictions = model.predict(state, **PREDICT)
    rows = [0, 3, 5]
    model.learn(state, predictions, dict.fromkeys(rows), {})
    gone = {(int(predictions.positions[i]), int(predictions.tokens[i])) for i in rows}

    def pairs(seen):
        return set(zip(seen.positions.tolist(), seen.tokens.tolist(), strict=True))

    every = PREDICT | {"width": 999}
    assert gone <= pairs(predictions)
    again = pairs(model.predict(state, **every))
    assert not gone & again
    assert pairs(predictions) - gone <= again
    model.predict(other, **PREDICT)
    assert gone <= pairs(model.predict(state, **every))
