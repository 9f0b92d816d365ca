"""Which rows look like known ones, and the SCS expected of their predicted vectors."""

import numpy as np
import pytest

from mean_prompt.training.familiarity import Calibration, Familiarity

D = 12


def near(rng, axis, rows, views=2):
    """Return views of rows that have an axis in common."""
    found = 0.2 * rng.standard_normal((views, rows, D))
    found[..., axis] += 1.0
    return found.astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class TestFamiliarity:
    def test_rows_like_known_ones_are_familiar_and_others_are_not(self, rng):
        found, own = Familiarity.fit(near(rng, 0, 60), np.arange(60))
        assert own.min() == 0.0
        assert own.max() == 1.0
        assert np.median(own) == 1.0
        assert found.of(near(rng, 0, 40)).mean() > 0.8
        assert not found.of(near(rng, 1, 40)).any()
        assert not found.of(np.zeros((2, 3, D), np.float32)).any()

    def test_between_both_bounds_it_grows_steadily(self, rng):
        found, _ = Familiarity.fit(near(rng, 0, 60), np.arange(60))
        steps = np.linspace(0, 1, 9)[None, :, None]
        mixed = steps * near(rng, 0, 1) + (1 - steps) * near(rng, 1, 1)
        familiar = found.of(mixed.astype(np.float32))
        assert (np.diff(familiar) >= 0).all()
        assert familiar[0] == 0.0
        assert familiar[-1] == 1.0

    def test_known_rows_are_compared_with_those_of_other_groups(self, rng):
        # The last rows look like each other, and like no row before them.
        views = np.concatenate([near(rng, 0, 600), near(rng, 1, 40)], axis=1)
        _, apart = Familiarity.fit(views, np.arange(640))
        _, together = Familiarity.fit(views, np.minimum(np.arange(640), 600))
        assert apart[600:].mean() > 0.5
        assert together[600:].mean() < 0.2

    def test_lengths_of_features_do_not_matter(self, rng):
        found, _ = Familiarity.fit(near(rng, 0, 60), np.arange(60))
        views = near(rng, 0, 20) + near(rng, 1, 20)
        np.testing.assert_allclose(found.of(7.0 * views), found.of(views), atol=1e-4)


class TestCalibration:
    @pytest.fixture
    def many(self, rng):
        return rng.uniform(0.2, 1.0, 800), rng.integers(0, 2, 800).astype(float)

    def test_a_linear_relation_is_recovered(self, rng, many):
        lengths, familiar = many
        truth = 0.1 + 0.4 * lengths + 0.2 * familiar
        found = Calibration.fit(lengths, familiar, truth + 0.1 * rng.standard_normal(800))
        np.testing.assert_allclose(found.expected(lengths, familiar), truth, atol=0.03)

    def test_what_tells_nothing_leaves_the_mean(self, rng, many):
        earned = rng.uniform(0.0, 0.6, 800)
        expected = Calibration.fit(*many, earned).expected(*many)
        assert expected.mean() == pytest.approx(earned.mean(), abs=0.005)
        assert expected.std() < 0.03

    def test_lengths_beyond_those_seen_count_as_the_nearest(self, many):
        lengths, familiar = many
        found = Calibration.fit(lengths, familiar, 0.5 * lengths)
        ends = np.array([lengths.min(), lengths.max()])
        beyond = found.expected(np.array([0.0, 9.0]), np.ones(2))
        np.testing.assert_array_equal(beyond, found.expected(ends, np.ones(2)))

    def test_few_rows_are_pulled_to_their_mean(self):
        lengths, familiar = np.array([0.2, 0.8]), np.array([0.0, 1.0])
        found = Calibration.fit(lengths, familiar, np.array([0.1, 0.7]))
        low, high = found.expected(lengths, familiar)
        assert 0.1 < low < 0.4 < high < 0.7
        assert (low + high) / 2 == pytest.approx(0.4, abs=0.05)

    def test_it_expects_nothing_outside_0_and_1(self, many):
        lengths, _ = many
        found = Calibration.fit(lengths, np.ones(800), 3.0 * lengths - 1.2)
        expected = found.expected(np.linspace(0, 2, 9), np.ones(9))
        assert expected[0] == 0.0
        assert expected[-1] == 1.0
