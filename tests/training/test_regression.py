"""The regression on views: closed forms against refits, and what a view is worth."""

import numpy as np
import pytest

from mean_prompt.training.regression import Fitter, side_by_side

ALPHA = 2.0


def units(rng, *shape):
    found = rng.standard_normal(shape)
    return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)


def problem(*, rows=24, dimension=4, groups=8, noise=0.3, seed=0):
    """Return views, targets and groups: one view is the target and noise, the other noise."""
    rng = np.random.default_rng(seed)
    targets = units(rng, rows, dimension)
    told = targets + noise * rng.standard_normal(targets.shape).astype(np.float32)
    views = np.stack([told, units(rng, rows, dimension)])
    return views, targets, np.arange(rows) % groups


def refitted(views, targets, weights, scalars, rows, asked):
    """Return predictions of the rows ``asked`` by ``rows`` alone, from the model's definition.

    The residuals have a common mean, a normal prior on the ridge weights and noise of variance
    alpha / weight: mean and weights minimise the sum of the squares that belong to these.
    """
    features = side_by_side(views)
    centred = features - features.mean(axis=0)
    scale = np.mean(np.sum(centred**2, axis=1))
    design = np.concatenate([np.ones((len(features), 1)), centred / np.sqrt(scale)], axis=1)
    whole = np.tensordot(scalars, views.astype(float), axes=1)
    penalty = np.diag([0.0, *np.full(design.shape[1] - 1, ALPHA)])
    part = design[rows] * weights[rows, None]
    found = np.linalg.solve(
        part.T @ design[rows] + penalty, part.T @ (targets - whole)[rows].astype(float)
    )
    return whole[asked] + design[asked] @ found


@pytest.mark.parametrize("seed", range(3))
def test_left_out_predictions_are_those_of_refits_without_the_group(seed):
    views, targets, groups = problem(seed=seed)
    weights = np.random.default_rng(seed).uniform(0.2, 2.0, len(targets))
    fitted = Fitter(views, targets, groups)._fit(ALPHA, weights)
    for group in range(8):
        [rows], [others] = np.nonzero(groups == group), np.nonzero(groups != group)
        expected = refitted(views, targets, weights, fitted.scalars, others, rows)
        np.testing.assert_allclose(fitted.left_out[rows], expected, atol=1e-6)


def test_rows_are_predicted_by_the_model_fitted_to_all():
    views, targets, groups = problem()
    weights = np.random.default_rng(1).uniform(0.2, 2.0, len(targets))
    fitted = Fitter(views, targets, groups)._fit(ALPHA, weights)
    every = np.arange(len(targets))
    expected = refitted(views, targets, weights, fitted.scalars, every, every)
    np.testing.assert_allclose(fitted.predict(views), expected, atol=1e-6)


def test_fit_weighs_rows_by_how_well_others_predict_them():
    views, targets, groups = problem(rows=40, groups=40)
    first = Fitter(views, targets, groups)._fit(ALPHA, np.ones(40))
    cosines = np.sum(first.left_out * targets, axis=1) / np.linalg.norm(first.left_out, axis=1)
    weights = np.maximum(np.maximum(cosines, 0) ** 2, 0.05 * cosines.max() ** 2)
    weights /= weights.mean()
    fitted = Fitter(views, targets, groups).fit(ALPHA)
    every = np.arange(40)
    expected = refitted(views, targets, weights, fitted.scalars, every, every)
    np.testing.assert_allclose(fitted.predict(views), expected, atol=1e-6)


@pytest.mark.parametrize("alpha", [1.0, 16.0])
def test_a_view_that_tells_has_a_scalar_near_one_and_a_useless_one_near_zero(alpha):
    views, targets, groups = problem(rows=300, dimension=16, groups=100, noise=0.05)
    told, useless = Fitter(views, targets, groups).fit(alpha).scalars
    assert told == pytest.approx(1.0, abs=0.1)
    assert useless == pytest.approx(0.0, abs=0.05)


def test_the_same_view_twice_shares_its_scalar():
    views, targets, groups = problem(rows=200, dimension=8, groups=50, noise=0.05)
    one, other = Fitter(views[[0, 0]], targets, groups).fit(ALPHA).scalars
    assert one == pytest.approx(other, abs=1e-6)
    assert one + other == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("views", [np.empty((0, 24, 4), np.float32), np.zeros((2, 24, 4), "f4")])
def test_views_with_nothing_give_the_mean(views):
    _, targets, groups = problem()
    weights = np.random.default_rng(0).uniform(0.2, 2.0, 24)
    fitted = Fitter(views, targets, groups)._fit(ALPHA, weights)
    mean = np.average(targets, axis=0, weights=weights)
    np.testing.assert_allclose(fitted.predict(views[:, :3]), [mean] * 3, atol=1e-6)
    others = groups != 5
    expected = np.average(targets[others], axis=0, weights=weights[others])
    np.testing.assert_allclose(fitted.left_out[groups == 5], [expected] * 3, atol=1e-6)


def test_a_group_is_not_predicted_from_what_it_alone_has():
    # Features that tell nothing but the group: its own targets are met, left out they are not.
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 3)
    targets, views = units(rng, 20, 32)[groups], units(rng, 1, 20, 32)[:, groups]
    fitted = Fitter(views, targets, groups).fit(0.01)
    assert np.sum(fitted.predict(views) * targets, axis=1).mean() > 0.8
    assert np.sum(fitted.left_out * targets, axis=1).mean() < 0.2


def test_features_are_the_views_of_a_row_one_after_the_other():
    views = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    np.testing.assert_array_equal(side_by_side(views)[1], [2, 3, 8, 9])
