"""The ladder of predictors: which one is chosen, and what foreign rows get instead."""

import numpy as np
import pytest

from mean_prompt.objective.scs import sharpened_cosines
from mean_prompt.system.deadline import Deadline, OutOfTimeError
from mean_prompt.training.ladder import Forecast, Ladder, mean_scs

D, N = 12, 90
GROUPS = np.arange(N) // 3


def units(rng, *shape, offset=0.0):
    found = rng.standard_normal(shape) + offset
    return (found / np.linalg.norm(found, axis=-1, keepdims=True)).astype(np.float32)


def known(*told, noise=0.5, seed=0):
    """Return views, of which those of the given numbers tell of the targets, and the targets.

    Three rows have a prompt in common. Prompts are more like their mean than like each other.
    """
    rng = np.random.default_rng(seed)
    targets = units(rng, N // 3, D, offset=0.7)[GROUPS]
    views = noise * units(rng, 3, N, D)
    views[list(told)] += 0.8 * targets
    return views, targets


def fit(views, targets, deadline=None):
    return Ladder.fit(views, (0, 1), targets, GROUPS, deadline)


def blank(views, *numbers):
    views[list(numbers)] = 0
    return views


class TestChoosing:
    @pytest.mark.parametrize(
        ("told", "rungs"), [((0,), {"texts", "views"}), ((2,), {"views"}), ((0, 2), {"views"})]
    )
    def test_the_rung_whose_views_tell_is_chosen(self, told, rungs):
        views, targets = known(*told)
        ladder, left_out = fit(views, targets)
        assert ladder.best.name in rungs
        scores = [one.score for one in ladder.tried]
        # The highest score, or that of a simpler rung within a standard error of it.
        assert mean_scs(ladder.best.regression.left_out, targets) > max(scores) - 0.02
        assert [one.rung for one in ladder.tried] == ["mean"] + 3 * ["texts"] + 3 * ["views"]
        assert sharpened_cosines(left_out.vectors, targets).mean() > scores[0] + 0.1

    def test_the_mean_is_chosen_if_texts_tell_nothing(self):
        views, targets = known()
        ladder, left_out = fit(blank(views, 0, 1, 2), targets)
        assert ladder.best.name == "mean"
        assert ladder.fallback is ladder.best
        earned = sharpened_cosines(left_out.vectors, targets).mean()
        assert earned == pytest.approx(ladder.tried[0].score, abs=1e-6)

    def test_noise_costs_little(self):
        # Chance may choose a rung whose views are noise, but its scalars are small then.
        rng = np.random.default_rng(9)
        fresh, noise = units(rng, 500, D, offset=0.7), 0.5 * units(rng, 3, 500, D)
        for seed in range(5):
            views, targets = known(seed=seed)
            mean = mean_scs(np.tile(targets.mean(axis=0), (500, 1)), fresh)
            earned = sharpened_cosines(fit(views, targets)[0].forecast(noise).vectors, fresh)
            assert earned.mean() > mean - 0.05

    def test_the_fallback_is_the_best_of_those_below(self):
        ladder, _ = fit(*known(0, 2))
        assert (ladder.best.name, ladder.fallback.name) == ("views", "texts")
        views, targets = known(2)
        ladder, _ = fit(blank(views, 0, 1), targets)
        assert (ladder.best.name, ladder.fallback.name) == ("views", "mean")

    def test_the_deadline_is_kept(self):
        with pytest.raises(OutOfTimeError):
            fit(*known(0), deadline=Deadline(0))


class TestForecasts:
    def test_rows_like_known_ones_are_predicted_by_the_best(self):
        views, targets = known(0, 2)
        ladder, _ = fit(views, targets)
        # The same relation between views and prompts, of prompts not seen.
        rng = np.random.default_rng(9)
        truth = units(rng, 200, D, offset=0.7)
        fresh = 0.5 * units(rng, 3, 200, D)
        fresh[[0, 2]] += 0.8 * truth
        found = ladder.forecast(fresh)
        earned = sharpened_cosines(found.vectors, truth)
        mean = sharpened_cosines(np.tile(targets.mean(axis=0), (200, 1)), truth)
        assert earned.mean() > 0.5
        assert found.expected.mean() == pytest.approx(earned.mean(), abs=0.08)
        assert earned.mean() > mean.mean() + 0.1

    def test_foreign_rows_get_the_fallbacks_vector(self):
        ladder, _ = fit(*known(0, 2))
        foreign = -units(np.random.default_rng(5), 3, 20, D, offset=2.0)
        found = ladder.forecast(foreign)
        assert not found.familiar.any()
        fallback = ladder.fallback.predict(foreign)
        fallback /= np.linalg.norm(fallback, axis=1, keepdims=True)
        np.testing.assert_allclose(found.vectors, fallback, atol=1e-5)
        best = ladder.best.predict(foreign)
        best /= np.linalg.norm(best, axis=1, keepdims=True)
        assert np.abs(best - fallback).max() > 0.1  # or this could not fail

    def test_forecasts_are_unit_vectors_with_an_expected_scs(self):
        views, targets = known(0, 2)
        ladder, left_out = fit(views, targets)
        rng = np.random.default_rng(5)
        for found in (left_out, ladder.forecast(views), ladder.forecast(50 * units(rng, 3, 9, D))):
            np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
            for part in (found.expected, found.familiar):
                assert part.min() >= 0
                assert part.max() <= 1

    def test_known_rows_are_not_forecast_by_rows_of_their_prompt(self):
        # Each prompt's rows share features that tell nothing of other prompts.
        rng = np.random.default_rng(1)
        targets = units(rng, N // 3, 3 * D)[GROUPS]
        views = units(rng, 3, N // 3, 3 * D)[:, GROUPS]
        _, left_out = fit(views, targets)
        assert sharpened_cosines(left_out.vectors, targets).mean() < 0.05


def test_forecasts_are_taken_and_replaced_by_row():
    def some(*values):
        column = np.array(values)
        return Forecast(column[:, None].astype(np.float32), column, column)

    first = some(0.0, 0.1, 0.2)
    found = first.with_rows([2, 0], some(0.5, 0.6))
    assert found.expected.tolist() == found.familiar.tolist() == [0.6, 0.1, 0.5]
    np.testing.assert_allclose(found.vectors[:, 0], found.expected)
    assert first.expected.tolist() == [0.0, 0.1, 0.2]
    assert found.take(np.array([2, 2, 0])).expected.tolist() == [0.5, 0.5, 0.6]
    assert len(found) == 3
