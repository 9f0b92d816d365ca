import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from mean_prompt.optimize.combinations import Combinations
from mean_prompt.optimize.moves import MoveMix, propose
from mean_prompt.optimize.surrogate import Predictions

ALLOWED = np.arange(100, 140)
NONE = dict.fromkeys(MoveMix.model_fields, 0.0)


def predict(body, *, phrases=((1, 2), (3, 4, 5)), **parts):
    """Return three replacements at every position, all with equal scores."""
    positions = np.repeat(np.arange(len(body)), 3)
    combined = [(200, 203, *body[2:]), (201, 204, *body[2:])] if len(body) > 1 else []
    made = Predictions(
        expansion=None,
        positions=positions,
        tokens=200 + np.arange(len(positions)),
        changes=None,
        scores=np.zeros(len(positions), np.float32),
        effects=None,
        sample=ALLOWED,
        sample_scores=np.zeros(len(ALLOWED), np.float32),
        removal_scores=np.zeros(len(body), np.float32),
        combinations=combine(combined, np.zeros(len(combined), np.float32)),
        phrases=phrases,
        phrase_scores=np.zeros(len(phrases), np.float32),
    )
    return dataclasses.replace(made, **parts)


def combine(bodies, scores):
    return Combinations(bodies, scores, sums=None, faults=None)


def draw(body, mix, width, *, predictions=None, seed=0, **parts):
    """Return proposals at a body that may grow to eight tokens."""
    return propose(
        body,
        predictions or predict(body, **parts),
        mix,
        width=width,
        room=8,
        temperature=1.0,
        rng=np.random.default_rng(seed),
    )


def only(move):
    return MoveMix(**(NONE | {move: 1.0}))


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_every_proposal_fits_is_not_empty_and_does_what_its_name_says(tokens, seed):
    body = tuple(tokens)
    drawn = predict(body)
    for made in draw(body, MoveMix(), 40, predictions=drawn, seed=seed):
        assert 1 <= len(made.body) <= 8
        assert (made.row is not None) == (made.move in {"replace", "combine"})
        if made.move == "replace":
            expected = list(body)
            expected[drawn.positions[made.row]] = drawn.tokens[made.row]
            assert made.body == tuple(expected)
        elif made.move == "combine":
            assert made.body == drawn.combinations.bodies[made.row]
        elif made.move == "insert":
            [token] = (Counter(made.body) - Counter(body)).elements()
            assert token in ALLOWED
        elif made.move == "delete":
            assert sum((Counter(body) - Counter(made.body)).values()) == 1
        elif made.move in {"swap", "move"}:
            assert Counter(made.body) == Counter(body)
        else:
            held = {made.body[i : i + n] for n in (2, 3) for i in range(len(made.body))}
            assert held & set(drawn.phrases)


def test_moves_that_cannot_be_made_leave_their_place_to_others():
    made = Counter(row.move for row in draw(tuple(range(8)), MoveMix(), 400))
    assert made["insert"] == made["phrase_in"] == 0
    assert made["replace"] > 0
    assert made["combine"] == 2
    single = draw((1,), MoveMix(), 100, phrases=())
    assert {row.move for row in single} == {"replace", "insert"}


@pytest.mark.parametrize("move", MoveMix.model_fields)
def test_the_mix_decides_which_moves_are_tried(move):
    made = draw((1, 2, 3), only(move), 2)
    assert [row.move for row in made] == [move] * 2
    # If no move of the mix can be made, tokens are replaced.
    assert [row.move for row in draw((1,), only("swap"), 3)] == ["replace"] * 3


def test_replacements_and_combinations_are_drawn_by_their_scores_and_never_twice():
    scores = np.array([0, 0, 0, 50, 0, 0, 0, 49, 0], np.float32)
    made = draw((1, 2, 3), only("replace"), 2, scores=scores)
    assert {row.row for row in made} == {3, 7}
    every = draw((1, 2, 3), only("replace"), 99, scores=scores)
    assert sorted(row.row for row in every) == list(range(9))
    combinations = combine([(7, 8, 3), (7, 2, 9), (1, 8, 9)], scores[2:5])
    [best] = draw((1, 2, 3), only("combine"), 1, combinations=combinations)
    assert (best.row, best.body) == (1, (7, 2, 9))


def test_insertions_and_deletions_are_drawn_by_their_scores():
    tokens, positions = np.zeros(len(ALLOWED), np.float32), np.zeros(3, np.float32)
    tokens[7] = positions[1] = 50.0
    scores = {"sample_scores": tokens, "removal_scores": positions}
    [put_in] = draw((1, 2, 3), only("insert"), 1, **scores)
    assert ALLOWED[7] in put_in.body
    [taken] = draw((1, 2, 3), only("delete"), 1, **scores)
    assert taken.body == (1, 3)
