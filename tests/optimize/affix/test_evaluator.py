import numpy as np
import pytest
import torch

from mean_prompt.optimize.affix.context import Joiner
from mean_prompt.optimize.affix.evaluator import (
    AffixEvaluator,
    BudgetSpentError,
    Caution,
    row_scores,
)
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.constraints import Constraints, Rules
from tests.fakes import FakeEncoder


def make_evaluator(encoder, budget=None, predictions=("the text", "poem", "make text")):
    truths = encoder.encode(["formal text", "poem", "story"])
    caution = Caution(np.array([0, 0, 1]), 1.0)
    joiner = Joiner("suffix", 8, encoder.tokenize)
    rules = Rules(Constraints(max_tokens=3, banned_words=("email",)), encoder)
    budget = budget or Budget(None, 1_000)
    return AffixEvaluator(encoder, rules, joiner, list(predictions), truths, caution, budget)


def test_scores_are_cubed_cosines_row_by_row():
    vectors = np.array([[1, 0], [0.6, 0.8]], np.float32)
    truths = np.array([[0.8, 0.6], [-1, 0]], np.float32)
    np.testing.assert_allclose(row_scores(vectors, truths), [0.512, -0.216], atol=1e-6)


def test_caution_counts_groups_and_not_rows():
    gains = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    alone = Caution(np.arange(4), 1.0).errors(gains)
    paired = Caution(np.array([7, 7, 9, 9]), 1.0).errors(gains)
    # sqrt(4 * 1) / 4 and sqrt(2 * 2^2) / 4, by hand.
    assert float(alone) == pytest.approx(0.5)
    assert float(paired) == pytest.approx(np.sqrt(8) / 4)


def test_values_weigh_rows_down_that_share_a_prompt_and_take_off_errors():
    groups = np.array([5, 5, 5, 8])
    np.testing.assert_allclose(Caution(groups, 0.0, 0.0).weights, [0.25] * 4)
    np.testing.assert_allclose(Caution(groups, 0.0, 1.0).weights, [1 / 6] * 3 + [1 / 2], rtol=1e-6)
    # 1 / (1 + 2 * 0.5) = 1/2 for each of three rows, 1 for the other.
    np.testing.assert_allclose(Caution(groups, 0.0, 0.5).weights, [0.2] * 3 + [0.4], rtol=1e-6)
    gains = np.array([1, 1, 1, 0], np.float32)
    assert Caution(groups, 0.0, 1.0).value(gains) == pytest.approx(0.5)
    # The value is the mean less the errors.
    gains = np.array([0.3, 0.1], np.float32)
    assert Caution(np.arange(2), 0.0).value(gains) == pytest.approx(0.2)
    # Both rows are 0.1 from the mean: sqrt(2 * 0.01) / 2.
    assert Caution(np.arange(2), 2.0).value(gains) == pytest.approx(0.2 - np.sqrt(0.02))


def test_strings_are_tokenized_whole_and_scored_in_place():
    encoder = FakeEncoder()
    evaluator = make_evaluator(encoder)
    vectors = evaluator.screen(["formal", "story tone"], np.array([2, 0]))
    expected = [
        ["make text formal", "the text formal"],
        ["make text story tone", "the text story tone"],
    ]
    assert vectors.shape == (2, 2, encoder.dimension)
    for found, texts in zip(vectors, expected, strict=True):
        np.testing.assert_allclose(found, encoder.encode(texts), atol=1e-6)
    assert evaluator.budget.evaluations == 4


def test_an_affix_is_scored_on_every_row():
    encoder = FakeEncoder()
    evaluator = make_evaluator(encoder)
    empty = evaluator.empty(encoder.encode(["the text", "poem", "make text"]))
    assert empty.scores[1] == pytest.approx(1.0)
    screened = evaluator.screen(["formal"], np.arange(3))[0]
    affix = evaluator.screened(("formal",), "formal", screened, empty.scores)
    again = evaluator.exact(affix, empty)
    vectors = encoder.encode(["the text formal", "poem formal", "make text formal"])
    expected = (vectors * evaluator.truths).sum(axis=1) ** 3
    np.testing.assert_allclose(affix.scores, expected, atol=1e-6)
    np.testing.assert_allclose(again.scores, expected, atol=1e-6)
    assert affix.value == pytest.approx(evaluator.caution.value(expected - empty.scores))
    assert again.value == pytest.approx(affix.value)
    assert affix.score == pytest.approx(expected.mean(), abs=1e-6)


def test_rules_are_of_the_affix_alone():
    evaluator = make_evaluator(FakeEncoder())
    assert evaluator.spell(("formal", "text")) == "formal text"
    assert evaluator.spell(("formal", "email")) is None
    assert evaluator.spell(("text", "text", "text", "text")) is None
    assert evaluator.spell(()) is None


def test_a_budget_that_ends_between_batches_leaves_nothing_half_scored():
    encoder = FakeEncoder()
    evaluator = make_evaluator(encoder, Budget(None, 3))
    evaluator.screen(["formal"], np.arange(3))
    with pytest.raises(BudgetSpentError):
        evaluator.screen(["tone"], np.arange(3))
