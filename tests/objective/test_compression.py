"""The compressed objective: equal to its own definition, and close to the exact one."""

import numpy as np
import pytest
import torch

from mean_prompt.objective.compression import CompressedSCS, compress
from mean_prompt.objective.scs import ExpectedSCS
from tests.objective.unit_vectors import unit


def clustered(rng, count, dimension, *, clusters=12, common=0.6):
    """Return prompts around cluster centres that share a direction, and uneven weights."""
    centres = rng.standard_normal((clusters, dimension)) / np.sqrt(dimension)
    centres[:, 0] += common
    noise = 0.7 * rng.standard_normal((count, dimension)) / np.sqrt(dimension)
    return unit(unit(centres)[rng.integers(clusters, size=count)] + noise), rng.random(count) ** 2


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def exact(rng):
    return ExpectedSCS(*clustered(rng, 5_000, 32))


@pytest.fixture
def compressed(rng):
    prompts = torch.from_numpy(clustered(rng, 40, 6)[0])
    covariance = torch.from_numpy(np.cov(rng.standard_normal((6, 50))).astype(np.float32))
    return CompressedSCS(prompts[:10].mean(dim=0), covariance, prompts), prompts, covariance


def slow_value(mean, covariance, sample, x):
    mean, covariance, sample, x = (np.asarray(a, float) for a in (mean, covariance, sample, x))
    skewness = np.mean(((sample - sample.mean(axis=0)) @ x) ** 3)
    return (mean @ x) ** 3 + 3 * (mean @ x) * (x @ covariance @ x) + skewness


# -- F is what it says ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0.4, 1.0, 2.0])
def test_value_gradient_and_curvature_follow_the_definition(compressed, rng, length):
    objective, prompts, covariance = compressed
    mean = prompts[:10].mean(dim=0)
    m = length * unit(rng.standard_normal((1, 6)))[0]
    value, gradient, curvature = objective.expansion(m)
    assert value == pytest.approx(slow_value(mean, covariance, prompts, m), rel=1e-4)
    assert objective.score(m[None])[0] == pytest.approx(value, rel=1e-5)
    assert objective.value_and_gradient(m)[0] == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(objective.value_and_gradient(m)[1], gradient, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(curvature, curvature.T)
    for delta in rng.standard_normal((5, 6)).astype(np.float32):
        ahead, behind = (
            slow_value(mean, covariance, prompts, m + sign * delta) for sign in (1, -1)
        )
        step = torch.from_numpy(delta)
        second = float(step @ curvature @ step)
        # In a cubic the two even terms are all that is left of the sum of both sides.
        assert (ahead + behind) / 2 - value == pytest.approx(second, rel=1e-3, abs=1e-4)
        third = slow_value(mean, covariance, prompts, delta)
        assert (ahead - behind) / 2 - third == pytest.approx(
            float(gradient @ step), rel=1e-3, abs=1e-4
        )


def test_of_every_prompt_once_it_is_exact(rng):
    prompts = clustered(rng, 400, 16)[0]
    exact = ExpectedSCS(prompts)
    compressed = compress(exact, points=400)
    strings = unit(rng.standard_normal((50, 16)) + 4 * prompts.mean(axis=0))
    np.testing.assert_allclose(compressed.objective.score(strings), exact.score(strings), atol=1e-6)
    assert compressed.error < 1e-5
    assert compressed.step_error < 1e-5


def test_its_ceiling_is_a_stationary_maximum(exact):
    objective = compress(exact, points=512).objective
    ceiling = objective.ceiling()
    assert objective.score(ceiling.vector[None])[0] == pytest.approx(ceiling.value, abs=1e-6)
    assert np.abs(objective.tangent_gradient(ceiling.vector)).max() < 1e-3
    assert ceiling.value >= objective.score(exact.rows(np.arange(500)).numpy()).max()


# -- F is close to f -----------------------------------------------------------------------------


@pytest.mark.parametrize(("clusters", "common"), [(3, 0.6), (12, 0.3), (200, 0.6)])
def test_the_stated_error_is_small_and_true(rng, clusters, common):
    prompts, weights = clustered(rng, 6_000, 48, clusters=clusters, common=common)
    exact = ExpectedSCS(prompts, weights)
    compression = compress(exact, points=1_024)
    assert compression.error < 0.01
    assert compression.step_error < 0.005
    # Vectors of another making: single prompts drawn towards the mean.
    mean = np.average(prompts, axis=0, weights=weights)
    strings = unit(prompts[rng.integers(len(prompts), size=300)] + mean / np.linalg.norm(mean))
    gaps = compression.objective.score(strings) - exact.score(strings)
    found = float(np.sqrt(np.mean(gaps**2))) / exact.ceiling().value
    assert found < max(4 * compression.error, 1e-4)


def test_it_is_far_closer_than_a_plain_sample_of_the_same_size(rng):
    prompts, weights = clustered(rng, 6_000, 48)
    exact = ExpectedSCS(prompts, weights)
    strings = unit(prompts[:200] + 2 * prompts[:200].mean(axis=0))
    gaps = compress(exact, points=512).objective.score(strings) - exact.score(strings)
    chosen = rng.choice(6_000, 512, p=weights / weights.sum())
    plain = ExpectedSCS(prompts[chosen]).score(strings) - exact.score(strings)
    assert np.square(gaps).mean() < np.square(plain).mean() / 25


def test_more_points_err_less(exact):
    errors = [compress(exact, points=points, seed=1).error for points in (32, 2_048)]
    assert errors[1] < errors[0] / 3


def test_weights_count(rng):
    prompts, _ = clustered(rng, 3_000, 24)
    heavy = np.where(np.arange(3_000) < 300, 1.0, 0.0)
    whole = compress(ExpectedSCS(prompts, heavy), points=300).objective
    alone = ExpectedSCS(prompts[:300])
    np.testing.assert_allclose(whole.score(prompts[:50]), alone.score(prompts[:50]), atol=1e-5)


def test_a_seed_repeats_it(exact, rng):
    strings = unit(rng.standard_normal((5, 32)))
    first, again, other = (compress(exact, points=64, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.objective.score(strings), again.objective.score(strings))
    assert (first.error, first.step_error) == (again.error, again.step_error)
    assert not np.array_equal(first.objective.score(strings), other.objective.score(strings))


def test_the_note_and_the_record_say_how_far_it_is(exact):
    compression = compress(exact, points=128)
    assert "128 of 5,000 prompts" in compression.note()
    assert f"{compression.error:.2%} of the ceiling" in compression.note()
    assert compression.as_dict() == {
        "prompts": 5_000,
        "points": 128,
        "error": compression.error,
        "step_error": compression.step_error,
    }
