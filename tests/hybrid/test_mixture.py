"""The weights of the posterior's parts: recovered where they are known, and calibrated."""

import numpy as np
import pytest

from mean_prompt.hybrid.mixture import Mixture, Trust

pytestmark = pytest.mark.usefixtures("one_thread")

WITHIN, BETWEEN, LEVEL = np.array([0.5, -0.3, 0.0]), np.array([-0.2, 0.4, 0.1]), 0.25


def synthetic(rows=120, noise=0.01, trust=None, seed=0):
    """Return X, y and r of candidates whose worth has these weights, given times trust.

    Rows have between 2 and 12 candidates, and levels of their own.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 13, rows)
    of = np.repeat(np.arange(rows), counts)
    levels = rng.standard_normal((rows, 3))
    deviations = rng.standard_normal((len(of), 3))
    sums = np.zeros((rows, 3))
    np.add.at(sums, of, deviations)
    deviations -= (sums / counts[:, None])[of]
    trusted = np.ones(rows) if trust is None else trust
    worth = deviations @ WITHIN * trusted[of] + levels[of] @ BETWEEN + LEVEL
    return levels[of] + deviations, worth + noise * rng.standard_normal(len(of)), of


def test_known_weights_are_recovered():
    features, earned, rows = synthetic(noise=0.0)
    found = Mixture.fit(features, earned, rows, None, strength=1e-6)
    np.testing.assert_allclose(found.within, WITHIN, atol=1e-6)
    np.testing.assert_allclose(found.between, BETWEEN, atol=1e-6)
    assert found.level == pytest.approx(LEVEL, abs=1e-6)


def test_expected_scores_are_those_of_the_two_levels():
    features, earned, rows = synthetic(noise=0.0)
    found = Mixture.fit(features, earned, rows, None, strength=1e-6)
    for row in range(5):
        own = features[rows == row]
        np.testing.assert_allclose(found.expected(own, None), earned[rows == row], atol=1e-5)
    # By hand: the first of two candidates is 1 above the other in the first column.
    two = np.array([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    level = 0.25 - 0.2 * 1.5
    np.testing.assert_allclose(found.expected(two, None), [level + 0.25, level - 0.25], atol=1e-5)


def test_weights_of_rows_that_are_trusted_and_not():
    trust = np.random.default_rng(5).integers(2, size=300).astype(float)
    features, earned, rows = synthetic(300, trust=trust)
    found = Mixture.fit(features, earned, rows, trust, strength=1e-3)
    assert found.within.shape == (6,)
    np.testing.assert_allclose(found.within[:3], WITHIN, atol=0.01)
    np.testing.assert_allclose(found.within[3:], 0, atol=0.01)
    own = features[rows == 0]
    spread = {share: np.ptp(found.expected(own, share)) for share in (0.0, 0.5, 1.0)}
    assert spread[0.0] < 0.05 < spread[0.5] < spread[1.0]


def test_the_penalty_does_not_go_by_the_units_of_a_column():
    features, earned, rows = synthetic()
    scale = np.array([1e-3, 1.0, 1e4])
    plain = Mixture.fit(features, earned, rows, None, strength=50.0)
    scaled = Mixture.fit(features * scale, earned, rows, None, strength=50.0)
    np.testing.assert_allclose(scaled.within * scale, plain.within, rtol=1e-6)
    np.testing.assert_allclose(scaled.between * scale, plain.between, rtol=1e-6)


def test_a_column_that_never_changes_has_no_weight():
    features, earned, rows = synthetic()
    features[:, 2] = 7.0
    found = Mixture.fit(features, earned, rows, np.ones(120), strength=1.0)
    assert np.isfinite(found.within).all()
    assert found.within[2] == pytest.approx(0, abs=1e-9)
    # All are trusted, so that nothing is known of rows that are not.
    np.testing.assert_allclose(found.within[3:], 0, atol=1e-9)


class TestTrust:
    @staticmethod
    def signs(count=400, seed=0):
        signs = np.random.default_rng(seed).standard_normal((count, 3))
        chance = 1 / (1 + np.exp(-3 * signs[:, 0]))
        return signs, np.random.default_rng(seed + 1).random(count) < chance

    def test_it_rises_with_a_sign_that_tells(self):
        trust = Trust().fit(*self.signs())
        rising = np.zeros((9, 3))
        rising[:, 0] = np.linspace(-3, 3, 9)
        found = trust(rising)
        assert (np.diff(found) > 0).all()
        assert found[0] < 0.05
        assert found[-1] > 0.95
        rising[:, 1], rising[:, 0] = rising[:, 0], 0
        assert np.ptp(trust(rising)) < 0.4

    def test_it_is_right_as_often_as_it_says(self):
        trust = Trust().fit(*self.signs())
        signs, useful = self.signs(2_000, seed=7)
        found = trust(signs)
        for low in (0.0, 0.25, 0.5, 0.75):
            those = (found >= low) & (found < low + 0.25)
            assert found[those].mean() == pytest.approx(useful[those].mean(), abs=0.1)

    @pytest.mark.parametrize(("useful", "constant"), [(9, True), (10, False), (391, True)])
    def test_where_one_kind_is_rare_all_are_trusted(self, useful, constant):
        signs, _ = self.signs()
        trust = Trust().fit(signs, np.arange(400) < useful)
        assert (trust(signs) == 1).all() == constant
