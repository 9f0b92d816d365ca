import numpy as np
import pytest

from mean_prompt.optimize.budget import Budget


def test_scores_are_those_of_the_string_and_repeats_cost_nothing(fake, objective, make_evaluator):
    evaluator = make_evaluator()
    bodies = fake.tokenize(["rewrite the text", "make", "rewrite the text"])
    first, second, again = evaluator.screen(bodies)
    assert evaluator.budget.evaluations == 2
    assert first is again
    assert second.text == "make"
    expected = objective.score(fake.encode(["rewrite the text"]))[0]
    assert first.score == pytest.approx(float(expected))
    assert np.array_equal(first.vector, fake.encode(["rewrite the text"])[0])


def test_bodies_that_break_a_rule_are_never_encoded(fake, make_evaluator):
    evaluator = make_evaluator(banned_words=("poem",))
    before = fake.encoded
    bodies = fake.tokenize(["make poem", "the the the the the"])
    assert evaluator.screen([*bodies, ()]) == [None] * 3
    assert fake.encoded == before
    assert evaluator.budget.evaluations == 0


def test_required_text_stands_around_every_body(fake, make_evaluator):
    evaluator = make_evaluator(max_tokens=5, prefix="rewrite", suffix="email")
    [candidate] = evaluator.screen(fake.tokenize(["the text"]))
    assert candidate.text == "rewrite the text email"
    assert candidate.body == fake.tokenize(["the text"])[0]
    assert candidate.ids == fake.tokenize(["rewrite the text email"])[0]


def test_texts_read_from_outside_are_cut_to_the_limit(make_evaluator):
    evaluator = make_evaluator(max_tokens=3)
    read = evaluator.read(["make the text formal", "poem"])
    assert [row.text for row in read] == ["make the text", "poem"]


def test_exact_scores_keep_their_place_and_are_charged(fake, make_evaluator):
    evaluator = make_evaluator(Budget(None, 100))
    screened = evaluator.screen(fake.tokenize(["make", "poem", "tone"]))
    exact = evaluator.exact(screened)
    assert [row.text for row in exact] == ["make", "poem", "tone"]
    assert evaluator.budget.evaluations == 6
    assert evaluator.exact([]) == []
