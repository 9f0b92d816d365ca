import numpy as np
import pytest
import torch

from mean_prompt.optimize.affix.evaluator import Affix, Caution, row_scores
from mean_prompt.optimize.affix.shifts import Estimate, ShiftScores, shift_model

ROWS, WIDTH = 30, 8


def unit(array):
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    base = unit(rng.standard_normal((ROWS, WIDTH)))
    truths = unit(rng.standard_normal((ROWS, WIDTH)) + base)
    reach = rng.uniform(0.5, 1.5, ROWS).astype(np.float32)
    affix = Affix((), "", 0, base, row_scores(base, truths), 0.0)
    return rng, affix, truths, reach


def moved(affix, reach, shift):
    return unit(affix.screened + reach[:, None] * shift)


def test_scores_after_a_shift_are_those_of_the_shifted_vectors(world):
    rng, affix, truths, reach = world
    shifts = 0.4 * rng.standard_normal((5, WIDTH)).astype(np.float32)
    found = ShiftScores(affix, truths, reach).scores(torch.from_numpy(shifts)).numpy()
    for scores, shift in zip(found, shifts, strict=True):
        expected = row_scores(moved(affix, reach, shift), truths)
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_the_measured_shift_is_the_least_squares_one(world):
    rng, affix, truths, reach = world
    rows = np.arange(0, ROWS, 2)
    shift = rng.standard_normal(WIDTH).astype(np.float32)
    vectors = affix.screened[rows] + reach[rows, None] * shift
    found = ShiftScores(affix, truths, reach).measured(vectors[None], rows)
    np.testing.assert_allclose(found[0].numpy(), shift, atol=1e-5)


def test_measured_on_all_rows_an_estimate_is_the_mean_itself(world):
    rng, affix, truths, reach = world
    vectors = unit(affix.screened + 0.3 * rng.standard_normal((3, ROWS, WIDTH)))
    scores = row_scores(vectors, truths)
    caution = Caution(np.arange(ROWS), 0.0)
    estimate = Estimate(ShiftScores(affix, truths, reach), affix.scores, caution)
    values, errors = estimate.measured(vectors, scores, np.arange(ROWS))
    np.testing.assert_allclose(values, (scores - affix.scores).mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(errors, 0, atol=1e-7)


def test_a_shift_that_holds_predicts_the_rows_that_were_not_measured(world):
    _, affix, truths, reach = world
    shifts = 0.05 * np.eye(WIDTH, dtype=np.float32)
    vectors = np.stack([moved(affix, reach, shift) for shift in shifts])
    true = (row_scores(vectors, truths) - affix.scores).mean(axis=1)
    rows = np.arange(10)
    scores = row_scores(vectors[:, rows], truths[rows])
    caution = Caution(np.arange(ROWS), 0.0)
    estimate = Estimate(ShiftScores(affix, truths, reach), affix.scores, caution)
    values, _ = estimate.measured(vectors[:, rows], scores, rows)
    plain = (scores - affix.scores[rows]).mean(axis=1)
    assert np.abs(values - true).max() < 0.25 * np.abs(plain - true).max()


def test_before_it_learns_a_unit_moves_rows_towards_itself():
    shifts = torch.eye(WIDTH, WIDTH + 1) @ shift_model(WIDTH).weights
    assert torch.equal(shifts, shifts[0, 0] * torch.eye(WIDTH))
