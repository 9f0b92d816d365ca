"""A problem's sides are views of the whole; a compressed one still reports exact scores."""

import functools

import numpy as np
import pytest

from mean_prompt.corpus.corpus import Split
from mean_prompt.objective import compression
from mean_prompt.objective.compression import CompressedSCS, compress
from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.optimize import problem as module
from mean_prompt.optimize.problem import Problem
from tests.objective.test_compression import clustered, unit

COUNT, TRAIN, WIDTH = 600, 450, 24


@pytest.fixture(scope="module")
def rows():
    return clustered(np.random.default_rng(11), COUNT, WIDTH)


def make(rows, *, train=TRAIN, half=False):
    vectors, weights = rows
    return Problem.of_vectors(
        [f"prompt {number}" for number in range(COUNT)],
        vectors.astype(np.float16) if half else vectors,
        weights / weights.sum(),
        np.arange(COUNT),
        Split(np.arange(train), np.arange(train, COUNT)),
        device="cpu",
        seed=0,
    )


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(compression, "COMPRESS_ABOVE", 100)
    monkeypatch.setattr(compression, "compress", functools.partial(compress, points=64))
    monkeypatch.setattr(module, "_NEAREST", 100)


def test_either_side_shares_the_memory_of_the_whole(rows):
    problem = make(rows)
    vectors = problem.vectors
    for side, start in ((problem.everything, 0), (problem.train, 0), (problem.holdout, TRAIN)):
        held, _ = next(side.blocks())
        assert held.data_ptr() == vectors[start:].ctypes.data
    assert (len(problem.train), len(problem.holdout)) == (TRAIN, COUNT - TRAIN)


def test_sides_score_as_objectives_of_their_own(rows):
    problem, (vectors, weights) = make(rows), rows
    x = unit(vectors[:3].sum(axis=0, keepdims=True))
    train = ExpectedSCS(vectors[:TRAIN], weights[:TRAIN])
    holdout = ExpectedSCS(vectors[TRAIN:], weights[TRAIN:])
    assert problem.train_score(x[0]) == pytest.approx(train.score(x)[0], rel=1e-5)
    assert problem.holdout_score(x[0]) == pytest.approx(holdout.score(x)[0], rel=1e-5)
    assert problem.holdout_score(x[0]) in problem.holdout_interval(x[0])
    assert problem.train_ceiling == pytest.approx(train.ceiling().value, rel=1e-4)
    # A small corpus is searched exactly.
    assert problem.screening is problem.train
    assert problem.compression is None
    assert (len(problem.finalists()[0]), len(problem.likely_starts()[0])) == (COUNT, TRAIN)


@pytest.mark.usefixtures("small_limit")
def test_a_large_corpus_is_searched_compressed_and_reported_exactly(rows):
    problem, exact = make(rows), make(rows).train
    assert isinstance(problem.screening, CompressedSCS)
    assert problem.compression.prompts == TRAIN
    x = unit(rows[0][:3].sum(axis=0, keepdims=True))
    assert problem.screening.score(x)[0] != exact.score(x)[0]
    assert problem.train_score(x[0]) == pytest.approx(exact.score(x)[0], rel=1e-6)


@pytest.mark.usefixtures("small_limit")
def test_compressed_ceilings_and_finalists_are_those_over_everything(rows):
    problem, (vectors, weights) = make(rows), rows
    everything = ExpectedSCS(vectors, weights)
    train = ExpectedSCS(vectors[:TRAIN], weights[:TRAIN]).ceiling()
    assert problem.ceiling.value == pytest.approx(everything.ceiling().value, rel=1e-4)
    assert problem.train_ceiling == pytest.approx(train.value, rel=1e-4)
    scores = everything.score(vectors)
    prompts, chosen = problem.finalists()
    assert len(prompts) == len(chosen) < COUNT
    assert f"prompt {scores.argmax()}" in prompts
    starts = {int(prompt.split()[1]) for prompt in problem.likely_starts()[0]}
    assert max(starts) < TRAIN
    assert int(scores[:TRAIN].argmax()) in starts


@pytest.mark.usefixtures("small_limit")
def test_without_a_holdout_train_is_everything(rows):
    problem = make(rows, train=COUNT)
    assert problem.train is problem.everything
    assert problem.holdout_score(rows[0][0]) is None
    assert problem.holdout_interval(rows[0][0]) is None


def test_half_precision_takes_half_the_memory_and_no_accuracy(rows):
    half, full = make(rows, half=True), make(rows)
    assert half.everything.bytes * 2 == full.everything.bytes
    strings = unit(rows[0][:50] + rows[0].mean(axis=0))
    close = pytest.approx(full.everything.score(strings), rel=1e-4)
    assert half.everything.score(strings) == close
    assert half.ceiling.value == pytest.approx(full.ceiling.value, rel=1e-4)
