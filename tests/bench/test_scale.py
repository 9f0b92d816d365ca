"""The growth of a search's cost, at sizes small enough for a test."""

import os

import numpy as np
import pytest
import torch

from mean_prompt.bench import scale
from mean_prompt.bench.scale import bench_scale, made_up_prompts, measure
from mean_prompt.encoder import cache as vectors_module
from mean_prompt.objective import compression
from tests.bench.processes import name_process


def test_each_size_has_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(scale, "measure", name_process)
    rows = list(bench_scale([7, 8]))
    assert [size for size, _ in rows] == [7, 8]
    assert len({os.getpid(), *(process for _, process in rows)}) == 3


def test_an_exact_search_has_no_error(monkeypatch):
    monkeypatch.setattr(scale, "REFERENCE", 800)
    row = measure(500, 24, encode=False, repeats=2, seed=1)
    assert (row.prompts, row.dimension) == (500, 24)
    assert (row.error, row.step_error) == (0, 0)
    assert row.score_error < 1e-5
    assert row.step_seconds == pytest.approx(row.objective_seconds, rel=0.1)
    assert row.step_seconds > 0
    assert row.peak_gib > 0.05


def test_a_compressed_search_reports_exact_scores_from_half_precision(monkeypatch):
    monkeypatch.setattr(vectors_module, "_HALF_ABOVE", 10_000)
    vectors = made_up_prompts(9_000, 24, seed=2)
    assert vectors.dtype == np.float16
    row = measure(9_000, 24, encode=False, repeats=1, seed=2)
    assert 0 < row.error < 0.05
    assert 0 < row.step_error < 0.01
    assert row.score_error < 1e-5
    assert row.exact_seconds > 0


def test_prompts_are_unit_vectors_that_a_seed_repeats(monkeypatch):
    monkeypatch.setattr(scale, "_CHUNK", 40)
    vectors = made_up_prompts(100, 24, seed=3)
    assert vectors.shape == (100, 24)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, made_up_prompts(100, 24, seed=3))
    assert not np.array_equal(vectors, made_up_prompts(100, 24, seed=4))
    assert len(np.unique(vectors, axis=0)) == 100


def test_work_on_the_objective_does_not_grow_once_compressed(monkeypatch):
    """Counts rows multiplied rather than seconds, which a busy machine would spoil."""
    monkeypatch.setattr(compression, "COMPRESS_ABOVE", 400)
    small, large = (
        scale._problem(made_up_prompts(size, 16, seed=1), 1).screening for size in (500, 5_000)
    )
    assert {name: value.shape for name, value in vars(small).items() if torch.is_tensor(value)} == {
        name: value.shape for name, value in vars(large).items() if torch.is_tensor(value)
    }
