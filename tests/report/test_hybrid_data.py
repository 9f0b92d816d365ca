"""What answers come to, counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from mean_prompt.hybrid.answer import Outcome
from mean_prompt.report.page.hybrid_data import (
    actual_gains,
    by_kind,
    by_knowledge,
    calibration,
    ends,
    expected_gains,
)
from tests.report.submissions import ANSWERS


def outcomes(expected, actual, groups=None):
    """Return outcomes of which little but two numbers is known."""
    return [
        Outcome(
            replace(ANSWERS[0], id=str(row), expected=hope),
            "p",
            row if groups is None else groups[row],
            fact,
            0.1,
            0.2,
        )
        for row, (hope, fact) in enumerate(zip(expected, actual, strict=True))
    ]


def test_kinds_stand_by_their_number_with_means_over_those_that_have_one():
    known = [
        Outcome(ANSWERS[2], "p", 0, 0.5, 0.1, None),
        Outcome(ANSWERS[4], "p", 0, 0.7, 0.1, None),
    ]
    first, *others = by_kind(ANSWERS, known)
    assert (first.kind, first.rows, first.expected, first.trust) == ("universal", 2, 0.25, None)
    assert first.actual == pytest.approx(0.6)
    assert {row.kind for row in others} == {"prediction", "joined", "retrieved", "affixed"}
    assert all(row.actual is None for row in others)


def test_rows_stand_where_what_is_known_of_them_says():
    assert [(place.name, place.rows, place.kinds) for place in by_knowledge(ANSWERS)] == [
        ("trust 0.8 to 1.0", 1, {"prediction": 1}),
        ("trust 0.4 to 0.6", 1, {"joined": 1}),
        ("trust 0.0 to 0.2", 1, {"retrieved": 1}),
        ("by rule: blank", 1, {"universal": 1}),
        ("no prediction", 2, {"universal": 1, "affixed": 1}),
    ]
    [unweighed] = by_knowledge([replace(ANSWERS[0], trust=None, expected=None)])
    assert unweighed.name == "prediction, not weighed"


@pytest.mark.parametrize(
    ("trust", "name"), [(0.0, "0.0 to 0.2"), (0.2, "0.2"), (1.0, "0.8 to 1.0")]
)
def test_the_ends_of_trust_have_a_band(trust, name):
    [place] = by_knowledge([replace(ANSWERS[0], trust=trust)])
    assert name in place.name


def test_calibration_is_of_tenths_by_what_was_expected():
    rng = np.random.default_rng(0)
    expected = rng.random(40)
    actual = expected + 0.1 * rng.standard_normal(40)
    parts = calibration(outcomes(expected.tolist(), actual.tolist()))
    order = np.argsort(expected)
    assert [part.rows for part in parts] == [4] * 10
    for part, rows in zip(parts, order.reshape(10, 4), strict=True):
        assert part.expected == pytest.approx(expected[rows].mean())
        assert part.actual == pytest.approx(actual[rows].mean())
        assert (part.low, part.high) == (expected[rows].min(), expected[rows].max())
        assert part.actual in part.interval
        assert part.interval.low < part.interval.high


def test_calibration_resamples_prompts_and_leaves_out_what_was_not_weighed():
    same = calibration(outcomes([0.1, 0.1, None], [0.0, 1.0, 5.0], groups=[0, 0, 1]))
    assert sum(part.rows for part in same) == 2
    assert calibration(outcomes([None], [0.3])) == []
    parts = calibration(outcomes([0.1] * 20, [0.0, 1.0] * 10, groups=[0] * 20))
    # One prompt: there is nothing else to draw.
    assert all(part.interval.low == part.interval.high for part in parts)


def test_gains_are_differences_the_best_first():
    known = outcomes([0.5, 0.5, 0.5], [0.1, 0.9, 0.4])
    assert [row.gain for row in actual_gains(known, "universal")] == pytest.approx([0.8, 0.3, 0.0])
    assert [row.gain for row in actual_gains(known, "llm")] == pytest.approx([0.7, 0.2, -0.1])
    assert [row.answer.id for row in actual_gains(known, "llm")] == ["1", "2", "0"]
    assert actual_gains([replace(known[0], llm=None)], "llm") == []
    assert [(row.answer.id, round(row.gain, 6)) for row in expected_gains(ANSWERS)] == [
        ("a", 0.4), ("f", 0.3), ("d", 0.2), ("b", 0.1), ("c", 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "best", "worst"), [(1, "0", ""), (3, "01", "2"), (9, "012", "876")]
)
def test_no_row_is_both_among_the_best_and_the_worst(rows, best, worst):
    gains = actual_gains(outcomes([0.5] * rows, [1 - row / 10 for row in range(rows)]), "universal")
    found = ["".join(row.answer.id for row in end) for end in ends(gains, 3)]
    assert found == [best, worst]
