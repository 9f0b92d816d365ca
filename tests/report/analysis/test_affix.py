"""What an affix does row by row, by an encoder that can be computed by hand."""

import numpy as np
import pytest

from mean_prompt.optimize.affix.context import Context, Joiner
from mean_prompt.optimize.affix.evaluator import row_scores
from mean_prompt.optimize.affix.problem import AffixProblem
from mean_prompt.report.analysis.affix import analyse_affix
from mean_prompt.system.deadline import Deadline
from tests.fakes import FakeEncoder

PREDICTIONS = ["make text", "rewrite text", "make story", "formal email", "rewrite the story"] * 12
PROMPTS = [f"{text} poem tone" for text in PREDICTIONS]
AFFIX = "poem style tone"


@pytest.fixture(scope="module")
def encoder():
    return FakeEncoder()


@pytest.fixture(scope="module")
def problem(encoder):
    context = Context.from_pairs(PREDICTIONS, PROMPTS)
    joiner = Joiner("suffix", 128, encoder.tokenize)
    return AffixProblem.build(context, encoder, joiner, holdout=0.2, seed=0)


@pytest.fixture(scope="module")
def scores(problem, encoder):
    return row_scores(encoder.encode(problem.texts(np.arange(60), AFFIX)), problem.truths)


def test_rows_are_told_one_by_one(problem, encoder, scores):
    found = analyse_affix(problem, encoder, AFFIX, scores, deadline=Deadline(0))
    held = set(problem.split.holdout.tolist())
    assert 0 < len(held) < 60
    assert (found.text, found.position, len(found.rows)) == (AFFIX, "suffix", 60)
    for number, row in enumerate(found.rows):
        truth = encoder.encode([PROMPTS[number]])[0]
        without, affixed = encoder.encode([PREDICTIONS[number], f"{PREDICTIONS[number]} {AFFIX}"])
        assert (row.id, row.prediction) == (str(number + 1), PREDICTIONS[number])
        assert row.prompt == PROMPTS[number]
        assert row.without == pytest.approx((without @ truth) ** 3, abs=1e-5)
        assert row.affixed == pytest.approx((affixed @ truth) ** 3, abs=1e-5)
        assert row.held_out == (number in held)


def mean_scs(encoder, affix, rows):
    texts = encoder.encode([f"{PREDICTIONS[row]} {affix}" for row in rows])
    truths = encoder.encode([PROMPTS[row] for row in rows])
    return float((np.einsum("nd,nd->n", texts, truths) ** 3).mean())


def test_a_tokens_worth_is_the_mean_that_goes_with_it(problem, encoder, scores):
    found = analyse_affix(problem, encoder, AFFIX, scores, deadline=Deadline())
    assert found.judged == 60
    assert "".join(row.piece for row in found.worths) == AFFIX
    whole = mean_scs(encoder, AFFIX, range(60))
    for row, rest in zip(found.worths, ["style tone", "poem tone", "poem style"], strict=True):
        assert row.worth == pytest.approx(whole - mean_scs(encoder, rest, range(60)), abs=1e-5)
    assert found.worths[1].worth < 0 < found.worths[0].worth


def test_where_time_is_short_some_rows_judge(problem, encoder, scores):
    found = analyse_affix(problem, encoder, AFFIX, scores, deadline=Deadline(0))
    assert found.judged == 128 // 3
    drawn = np.random.default_rng(problem.seed).permutation(60)[:42]
    whole = mean_scs(encoder, AFFIX, drawn)
    assert found.worths[0].worth == pytest.approx(
        whole - mean_scs(encoder, "style tone", drawn), abs=1e-5
    )
