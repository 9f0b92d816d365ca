"""Expected SCS against slow oracles, its gradient, its ceiling, the bootstrap."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from mean_prompt.objective import scs as objective
from mean_prompt.objective.intervals import Interval, bootstrap_interval
from mean_prompt.objective.scs import ExpectedSCS, sharpened
from tests.objective.unit_vectors import unit, unit_rows


def slow_score(prompts, weights, x):
    """Return f(x) by its definition, one prompt at a time, in float64."""
    total = 0.0
    for prompt, weight in zip(prompts.astype(float), weights / weights.sum(), strict=True):
        cosine = float(prompt @ x.astype(float))
        total += weight * np.sign(cosine) * abs(cosine) ** 3
    return total


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def problem(rng):
    prompts, weights = unit_rows(rng, 30, 5), rng.random(30)
    return prompts, weights, ExpectedSCS(prompts, weights)


# -- SCS ----------------------------------------------------------------------------------------


def test_sharpened_cubes_and_keeps_the_sign():
    cosines = torch.tensor([-1.0, -0.5, 0.0, 0.5, 0.9, 1.0])
    expected = [-1.0, -0.125, 0.0, 0.125, 0.729, 1.0]
    assert sharpened(cosines).tolist() == pytest.approx(expected)


@given(st.floats(-1, 1, width=32))
def test_sharpened_is_the_metric_s_formula(cosine):
    result = float(sharpened(torch.tensor(cosine)))
    assert result == pytest.approx(np.sign(cosine) * abs(cosine) ** 3, abs=1e-6)


# -- f and its gradient -------------------------------------------------------------------------


def test_score_equals_the_slow_oracle(problem, rng):
    prompts, weights, f = problem
    assert (len(f), f.dimension) == (30, 5)
    strings = unit_rows(rng, 40, 5)
    expected = [slow_score(prompts, weights, x) for x in strings]
    scores = f.score(strings)
    assert f.score(strings[:0]).shape == (0,)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert scores.dtype == np.float32
    assert min(expected) < 0 < max(expected)


def test_score_does_not_depend_on_the_block_size(problem, rng, monkeypatch):
    _, _, f = problem
    strings = unit_rows(rng, 23, 5)
    whole = f.score(strings)
    monkeypatch.setattr(objective, "_BLOCK_CELLS", 2 * len(f))
    np.testing.assert_allclose(f.score(strings), whole, atol=1e-7)


def test_score_of_no_strings_is_empty(problem):
    _, _, f = problem
    assert f.score(np.empty((0, 5), np.float32)).shape == (0,)


def test_only_the_proportions_of_weights_count(problem, rng):
    prompts, weights, f = problem
    strings = unit_rows(rng, 9, 5)
    scaled = ExpectedSCS(prompts, weights * 1e6).score(strings)
    np.testing.assert_allclose(scaled, f.score(strings), atol=1e-7)
    equal = ExpectedSCS(prompts, np.full(30, 3)).score(strings)
    np.testing.assert_allclose(ExpectedSCS(prompts).score(strings), equal, atol=1e-7)


def test_weights_left_out_are_equal(problem, rng):
    prompts, _, _ = problem
    strings = unit_rows(rng, 9, 5)
    expected = ExpectedSCS(prompts, np.full(30, 3)).score(strings)
    np.testing.assert_allclose(ExpectedSCS(prompts).score(strings), expected, atol=1e-7)


def test_weight_counts_as_repeated_rows(rng):
    prompts, strings = unit_rows(rng, 3, 4), unit_rows(rng, 5, 4)
    weighted = ExpectedSCS(prompts, np.array([1, 0, 3])).score(strings)
    repeated = ExpectedSCS(prompts[[0, 2, 2, 2]]).score(strings)
    np.testing.assert_allclose(weighted, repeated, atol=1e-7)


def test_per_prompt_averages_to_the_score(problem, rng):
    prompts, weights, f = problem
    [x] = unit_rows(rng, 1, 5)
    each = f.per_prompt(x)
    np.testing.assert_allclose(each, (prompts @ x) ** 3, atol=1e-6)
    assert np.average(each, weights=weights) == pytest.approx(f.score(x[None])[0], abs=1e-6)


def test_gradient_equals_finite_differences(problem, rng):
    prompts, weights, f = problem
    for x in unit_rows(rng, 5, 5):
        value, gradient = f.value_and_gradient(x)
        assert value == pytest.approx(slow_score(prompts, weights, x), abs=1e-6)
        steps = 1e-5 * np.eye(5)
        expected = [
            (slow_score(prompts, weights, x + h) - slow_score(prompts, weights, x - h)) / 2e-5
            for h in steps
        ]
        np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_tangent_gradient_is_orthogonal_and_points_uphill(problem, rng):
    _, _, f = problem
    for x in unit_rows(rng, 20, 5):
        tangent = f.tangent_gradient(x)
        assert abs(float(tangent @ x)) < 1e-6
        step = x + 1e-2 * tangent
        assert f.score((step / np.linalg.norm(step))[None])[0] > f.score(x[None])[0]


@pytest.mark.parametrize("length", [0.3, 1.0, 2.5])
def test_expansion_is_of_second_order_at_vectors_of_any_length(problem, rng, length):
    prompts, weights, f = problem
    shares = weights / weights.sum()
    m = (length * unit_rows(rng, 1, 5)[0]).astype(np.float32)
    value, gradient, curvature = f.expansion(m)
    assert value == pytest.approx(slow_score(prompts, weights, m), abs=1e-6)
    torch.testing.assert_close(curvature, curvature.T)
    delta = rng.standard_normal(5).astype(np.float32)
    step = torch.from_numpy(delta)
    second = value + float(gradient @ step) + float(step @ curvature @ step)
    # What is left of a cubic after its second order is the cube of the step itself.
    left = float(shares @ (prompts.astype(float) @ delta) ** 3)
    assert slow_score(prompts, weights, m + delta) == pytest.approx(second + left, abs=1e-5)


def test_expansion_takes_tensors_too(problem, rng):
    _, _, f = problem
    m = unit_rows(rng, 1, 5)[0]
    ours, theirs = f.expansion(m), f.expansion(torch.from_numpy(m).double())
    assert ours.value == theirs.value
    assert torch.equal(ours.curvature, theirs.curvature)


def test_length_and_dimension(problem):
    _, _, f = problem
    assert (len(f), f.dimension) == (30, 5)


# -- many prompts -------------------------------------------------------------------------------


def test_blocks_of_prompts_add_up_to_the_whole(problem, rng, monkeypatch):
    _, _, f = problem
    strings = unit_rows(rng, 4, 5)
    values, cosines = f.score(strings), f.per_prompt(strings[0])
    gradient, curvature = f.tangent_gradient(strings[0]), f.expansion(strings[0]).curvature
    ceiling = f.ceiling(seed=1).value
    monkeypatch.setattr(objective, "_BLOCK_ROWS", 7)
    assert [len(weights) for _, weights in f.blocks()] == [7, 7, 7, 7, 2]
    np.testing.assert_allclose(f.score(strings), values, atol=1e-7)
    np.testing.assert_allclose(f.per_prompt(strings[0]), cosines, atol=1e-6)
    np.testing.assert_allclose(f.tangent_gradient(strings[0]), gradient, atol=1e-6)
    torch.testing.assert_close(f.expansion(strings[0]).curvature, curvature)
    assert f.ceiling(seed=1).value == pytest.approx(ceiling, abs=1e-6)


def test_half_precision_is_kept_and_changes_little(rng):
    prompts = unit_rows(rng, 500, 64, lean=4.0)
    full, half = ExpectedSCS(prompts), ExpectedSCS(prompts.astype(np.float16))
    assert half.bytes * 2 == full.bytes
    strings = unit_rows(rng, 20, 64, lean=4.0)
    np.testing.assert_allclose(half.score(strings), full.score(strings), rtol=1e-4)
    assert half.score(strings).dtype == half.rows(np.array([3])).numpy().dtype == np.float32


def test_a_part_is_an_objective_of_its_own_that_shares_memory(problem, rng):
    prompts, weights, f = problem
    part, alone = f.part(slice(10, 25)), ExpectedSCS(prompts[10:25], weights[10:25])
    strings = unit_rows(rng, 5, 5)
    assert len(part) == 15
    np.testing.assert_allclose(part.score(strings), alone.score(strings), atol=1e-6)
    whole_rows, part_rows = next(f.blocks())[0], next(part.blocks())[0]
    assert part_rows.data_ptr() == whole_rows[10:].data_ptr()


def test_a_guided_ascent_reaches_the_same_ceiling(rng):
    prompts = unit_rows(rng, 2_000, 16, lean=2.0)
    f, guide = ExpectedSCS(prompts), ExpectedSCS(prompts[:300])
    guided = f.ceiling(guide=guide)
    assert guided.value == pytest.approx(f.ceiling().value, abs=1e-5)
    assert guided.value > f.score(guide.ceiling().vector[None])[0]


# -- ceiling ------------------------------------------------------------------------------------


def awkward_prompts(kind, rng, dimension):
    """Return prompts that pull against each other, and uneven weights."""
    prompts = rng.standard_normal((int(rng.integers(2, 9)), dimension))
    if kind == "antipodal":
        prompts = np.concatenate([prompts, -prompts + 0.3 * rng.standard_normal(prompts.shape)])
    if kind == "ring":
        prompts[:, 0] = -2 * abs(rng.standard_normal())
        prompts = np.concatenate([np.eye(dimension)[:1], prompts])
    if kind == "opposed":
        against = -prompts.sum(axis=0) + 0.1 * rng.standard_normal((3, dimension))
        prompts = np.concatenate([prompts, against])
    weights = rng.random(len(prompts)) ** rng.integers(1, 4)
    return unit(prompts), weights / weights.sum()


def brute_force(prompts, weights, seed):
    """Return the highest f over a dense cloud on the sphere, closed in on five times."""
    prompts, weights = torch.from_numpy(prompts).double(), torch.from_numpy(weights)
    generator = torch.Generator().manual_seed(seed)

    def noise(rows):
        return torch.randn(rows, prompts.shape[1], generator=generator, dtype=torch.float64)

    cloud, spread, highest = noise(5_000), 1.0, -np.inf
    for _ in range(6):
        cloud = torch.nn.functional.normalize(cloud, dim=1)
        values = (cloud @ prompts.T) ** 3 @ weights
        highest = max(highest, float(values.max()))
        spread /= 5
        best = cloud[values.topk(20).indices].repeat(200, 1)
        cloud = best + spread * noise(len(best))
    return highest


@pytest.mark.parametrize("kind", ["random", "antipodal", "ring", "opposed"])
@pytest.mark.parametrize("dimension", [2, 3])
def test_ceiling_is_the_maximum_over_the_sphere(kind, dimension):
    rng = np.random.default_rng([dimension, len(kind)])
    for case in range(6):
        prompts, weights = awkward_prompts(kind, rng, dimension)
        f = ExpectedSCS(prompts, weights)
        ceiling = f.ceiling(seed=case)
        highest = brute_force(prompts, weights, case)
        assert ceiling.value >= highest - 1e-5, (kind, case)
        assert ceiling.value <= highest + 1e-3, (kind, case)
        assert np.linalg.norm(ceiling.vector) == pytest.approx(1, abs=1e-5)
        assert f.score(ceiling.vector[None])[0] == pytest.approx(ceiling.value, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_ceiling_is_above_every_prompt_and_string(seed):
    rng = np.random.default_rng(seed)
    prompts = unit_rows(rng, 200, 24, lean=3.0)
    f = ExpectedSCS(prompts, rng.random(200))
    ceiling = f.ceiling()
    assert (f.score(prompts) <= ceiling.value + 1e-6).all()
    assert (f.score(unit_rows(rng, 500, 24, lean=5.0)) <= ceiling.value + 1e-6).all()
    assert ceiling.agreement > 0.9


def test_ceiling_is_a_stationary_point(rng):
    f = ExpectedSCS(unit_rows(rng, 60, 8, lean=1.0))
    assert np.abs(f.tangent_gradient(f.ceiling().vector)).max() < 1e-3


def test_ceiling_of_one_prompt_is_that_prompt(rng):
    prompts = unit_rows(rng, 1, 6)
    ceiling = ExpectedSCS(prompts).ceiling()
    assert ceiling.value == pytest.approx(1)
    np.testing.assert_allclose(ceiling.vector, prompts[0], atol=1e-3)


def test_ceiling_of_two_orthogonal_prompts():
    # Either prompt alone scores a half; between them it is 2 * 0.5 * 0.5 ** 1.5 = 0.354.
    ceiling = ExpectedSCS(np.eye(2, 4, dtype=np.float32)).ceiling()
    assert ceiling.value == pytest.approx(0.5)


def test_prompts_that_cancel_have_a_ceiling_of_nought():
    prompts = np.array([[1, 0, 0], [-1, 0, 0]], np.float32)
    ceiling = ExpectedSCS(prompts).ceiling()
    assert ceiling.value == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(ceiling.vector) == pytest.approx(1, abs=1e-5)


def test_ceiling_is_repeatable(problem):
    _, _, f = problem
    first, again, other = f.ceiling(seed=1), f.ceiling(seed=1), f.ceiling(seed=2)
    assert first.value == again.value
    assert first.value == pytest.approx(other.value, abs=1e-6)


# -- validation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 4), (4,), (2, 2, 2)])
def test_vectors_must_be_a_table_with_rows(shape):
    with pytest.raises(ValueError, match=r"must be \(N, d\) with N >= 1, got shape \("):
        ExpectedSCS(np.ones(shape, np.float32))


@pytest.mark.parametrize("factor", [0.0, 0.9, 2.0, np.nan])
def test_rows_must_be_of_unit_length(factor):
    with pytest.raises(ValueError, match="must have unit rows; normalise them first"):
        ExpectedSCS(np.eye(3, dtype=np.float32) * np.float32(factor))


@pytest.mark.parametrize(
    "weights", [[1, 1], [1, 1, -1], [0, 0, 0], [[1, 1, 1]], [1, np.nan, 1], [1, np.inf, 1]]
)
def test_weights_must_fit(weights):
    with pytest.raises(ValueError, match=r"weights must be \(N,\), not negative"):
        ExpectedSCS(np.eye(3, dtype=np.float32), np.array(weights))


# -- bootstrap ----------------------------------------------------------------------------------


def test_interval_holds_the_mean_and_narrows_with_more_rows(rng):
    widths = []
    for count in (50, 2_000):
        values = rng.normal(0.1, 0.02, count)
        interval = bootstrap_interval(values, np.ones(count), np.arange(count))
        assert values.mean() in interval
        widths.append(interval.high - interval.low)
    expected = 2 * 1.96 * 0.02 / np.sqrt(2_000)
    assert widths[1] == pytest.approx(expected, rel=0.15)
    assert widths[1] < widths[0] / 4


def test_interval_covers_the_truth_about_95_times_in_100(rng):
    covered = sum(
        0.3 in bootstrap_interval(rng.normal(0.3, 1, 60), np.ones(60), np.arange(60), resamples=300)
        for _ in range(200)
    )
    assert 178 <= covered <= 199


def test_rows_of_one_group_are_drawn_together(rng):
    values = np.repeat(rng.normal(0, 1, 40), 10)
    rows, groups = np.arange(400), np.repeat(np.arange(40), 10)
    apart = bootstrap_interval(values, np.ones(400), rows)
    together = bootstrap_interval(values, np.ones(400), groups)
    ratio = (together.high - together.low) / (apart.high - apart.low)
    assert ratio == pytest.approx(np.sqrt(10), rel=0.2)


def test_interval_is_of_the_weighted_mean(rng):
    values = np.concatenate([rng.normal(0, 0.1, 100), rng.normal(1, 0.1, 100)])
    weights = np.repeat([1.0, 9.0], 100)
    interval = bootstrap_interval(values, weights, np.arange(200))
    assert np.average(values, weights=weights) in interval
    assert values.mean() not in interval


def test_interval_is_repeatable_and_takes_any_integers_as_groups(rng):
    values, groups = rng.random(30), rng.integers(-5, 5, 30)
    first = bootstrap_interval(values, np.ones(30), groups, seed=4)
    assert first == bootstrap_interval(values, np.ones(30), groups * 1_000, seed=4)
    assert first != bootstrap_interval(values, np.ones(30), groups, seed=5)


def test_one_group_gives_a_point():
    interval = bootstrap_interval(np.array([1.0, 3.0]), np.ones(2), np.zeros(2, int))
    assert interval == Interval(2.0, 2.0)
