"""Batched gradients, linear ranking and padding: what GCG and GASLITE stand on."""

import numpy as np
import pytest

from mean_prompt.bench.peers.coordinates import (
    LinearModel,
    body_gradients,
    of_same_length,
    padded,
)
from mean_prompt.bench.peers.incumbent import Incumbent
from mean_prompt.encoder import encoder as encoder_module
from tests.bench.peers.worlds import evaluations, make_task, objective_for


@pytest.fixture(params=["tiny_t5", "tiny_bert"])
def encoder(request):
    return request.getfixturevalue(request.param)


def test_gradients_of_many_strings_are_those_of_each(encoder, monkeypatch):
    tangent = objective_for(encoder.dimension).tangent_gradient
    ids = [row[:4] for row in encoder.tokenize(["make the poem sad", "turn this into a song"])]
    ids += [ids[0][::-1]]
    together = encoder.token_gradients(ids, tangent)
    single = np.concatenate([encoder.token_gradients([row], tangent) for row in ids])
    scale = np.abs(single).max()
    np.testing.assert_allclose(together, single, rtol=1e-3, atol=1e-4 * scale)
    monkeypatch.setitem(encoder_module._GRADIENT_TOKENS, "cpu", 12)
    np.testing.assert_allclose(
        encoder.token_gradients(ids, tangent), single, rtol=1e-3, atol=1e-4 * scale
    )
    with pytest.raises(ValueError, match="equally many tokens"):
        encoder.token_gradients([(5, 6), (5,)], tangent)


def test_the_best_tokens_have_the_largest_products():
    task = make_task(evaluations(10))
    gradients = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    linear = LinearModel(task)
    best = linear.best_tokens(gradients, 4)
    words = task.evaluator.encoder.words
    for row, gradient in zip(best, gradients, strict=True):
        by_product = sorted(task.vocabulary.allowed, key=lambda token: -words[token] @ gradient)
        assert row.tolist() == by_product[:4]
    assert linear.best_tokens(gradients, 999).shape == (3, len(task.vocabulary.allowed))


def test_rows_of_the_body_stand_behind_the_prefix():
    rules = make_task(evaluations(10), prefix="make the", suffix="email").evaluator.rules
    gradients = np.arange(6, dtype=np.float32)[None, :, None]
    assert body_gradients(gradients, 3, rules).ravel().tolist() == [2, 3, 4]
    assert body_gradients(gradients[:, :4], 3, rules).ravel().tolist() == [2, 3, 3]


def fill(**settings):
    task = make_task(evaluations(50), **settings)
    start = task.evaluator.read(["make text"])[0]
    return padded(task, start, Incumbent(task, None), np.random.default_rng(0)).text.split()


def test_a_start_is_filled_up_with_exclamation_marks_or_else_words():
    assert fill() == ["make", "text", "!", "!", "!", "!"]
    assert fill(max_tokens=2) == ["make", "text"]
    assert fill(prefix="poem", max_tokens=4) == ["poem", "make", "text", "!"]
    words = fill(banned_tokens=("!",))
    assert len(words) == 6
    assert "!" not in words


def test_bodies_whose_tokens_merge_are_dropped(tiny_t5):
    [whole] = tiny_t5.tokenize(["make this poem"])
    t, o = (tiny_t5.tokenizer.token_to_id(letter) for letter in "to")
    spelled = (*whole[:2], tiny_t5.tokenizer.token_to_id("▁"), t, o)
    assert len(tiny_t5.tokenize(tiny_t5.decode([spelled]))[0]) == 3
    assert of_same_length([whole, spelled, whole], tiny_t5) == [whole]
