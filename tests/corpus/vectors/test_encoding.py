"""Vectors in half precision: rounded by no more than is said, and refused where they are none."""

import numpy as np
import pytest

from mean_prompt.corpus.vectors.encoding import UNIT_TOLERANCE, are_unit, encode_halves
from mean_prompt.system.errors import RunError


@pytest.mark.parametrize("dimension", [1, 3, 32, 768])
def test_no_unit_vector_is_refused_for_its_rounding(dimension):
    rng = np.random.default_rng(dimension)
    vectors = rng.standard_normal((5_000, dimension)) * rng.choice([1e-6, 1, 30], (5_000, 1))
    vectors[:, 0] *= rng.choice([1, 1e4], 5_000)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    assert are_unit(vectors.astype(np.float16)).all()


def test_the_worst_rounding_is_within_the_tolerance_and_no_more():
    worst = np.float32(1 - 2**-12 + 1e-9)  # halfway between two numbers of half precision
    assert abs(float(np.float16(worst)) - worst) <= UNIT_TOLERANCE
    off = np.array([[1.0, 0.04], [0.9985, 0.0], [np.nan, 1], [np.inf, 0], [0, 0]], np.float16)
    assert not are_unit(off).any()


def test_rounding_is_measured(fake):
    prompts = ["rewrite the text", "make a poem"]
    encoded = encode_halves(fake, prompts)
    assert encoded.vectors.dtype == np.float16
    gap = np.abs(encoded.vectors.astype(np.float32) - fake.encode(prompts)).max()
    assert encoded.rounding == gap > 0


def test_prompts_that_the_model_does_not_read_whole_are_counted(fake):
    assert encode_halves(fake, ["the " * 16, "the " * 17, "poem"]).cut == 1


@pytest.mark.parametrize(
    ("fault", "found"), [(np.nan, "nan"), (np.inf, "(inf|nan)"), (0.0, "0"), (1.01, r"1\.\d+")]
)
def test_vectors_that_are_of_no_use_name_the_prompt(fake, monkeypatch, fault, found):
    encode = fake.encode_ids

    def broken(ids):
        vectors = encode(ids)
        vectors[1] *= fault
        return vectors

    monkeypatch.setattr(fake, "encode_ids", broken)
    with pytest.raises(RunError, match=rf"fake gave a length of {found} for 'make a poem'; choose"):
        encode_halves(fake, ["rewrite the text", "make a poem", "story"])
