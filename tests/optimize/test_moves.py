from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mean_prompt.optimize.moves import Choices, MoveMix, Proposal, combinations, kick, propose

ALLOWED = np.arange(100, 140)


def choices(body, *, room=8, phrases=((1, 2), (3, 4, 5)), favourite=None):
    tokens = np.zeros(len(ALLOWED), np.float32)
    if favourite is not None:
        tokens[favourite] = 50.0
    return Choices(
        ALLOWED,
        tokens,
        np.zeros(len(body), np.float32),
        phrases,
        np.zeros(len(phrases), np.float32),
        room,
    )


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_every_proposal_fits_is_not_empty_and_does_what_its_name_says(tokens, seed):
    body = tuple(tokens)
    rng = np.random.default_rng(seed)
    for made in propose(body, choices(body), MoveMix(), 40, rng):
        assert 1 <= len(made.body) <= 8
        if made.move == "replace":
            expected = list(body)
            expected[made.position] = made.token_in
            assert made.body == tuple(expected)
            assert made.token_out == body[made.position]
        elif made.move == "insert":
            assert Counter(made.body) - Counter(body) == Counter([made.token_in])
        elif made.move == "delete":
            assert Counter(body) - Counter(made.body) == Counter([made.token_out])
        elif made.move in {"swap", "move"}:
            assert Counter(made.body) == Counter(body)
        else:
            assert any(_holds(made.body, phrase) for phrase in choices(body).phrases)


def _holds(body, phrase):
    return any(body[i : i + len(phrase)] == phrase for i in range(len(body)))


def test_moves_that_cannot_be_made_leave_their_place_to_others():
    rng = np.random.default_rng(0)
    full = tuple(range(8))
    made = Counter(row.move for row in propose(full, choices(full), MoveMix(), 400, rng))
    assert made["insert"] == made["phrase_in"] == 0
    assert made["replace"] > 0
    single = propose((1,), choices((1,), phrases=()), MoveMix(), 100, rng)
    assert {row.move for row in single} == {"replace", "insert"}


def test_the_mix_decides_how_often_a_move_is_tried():
    only_swaps = MoveMix(
        replace=0, insert=0, delete=0, swap=1, move=0, phrase_in=0, phrase_for_span=0
    )
    made = propose((1, 2, 3), choices((1, 2, 3)), only_swaps, 20, np.random.default_rng(0))
    assert [row.move for row in made] == ["swap"] * 20


def test_tokens_are_drawn_by_their_logits():
    body = (1, 2, 3)
    rng = np.random.default_rng(0)
    made = propose(body, choices(body, favourite=7), MoveMix(), 30, rng)
    assert ALLOWED[7] in {row.token_in for row in made}


def test_positions_are_drawn_by_their_logits():
    logits = np.array([-50.0, 0.0, -50.0], np.float32)
    base = choices((1, 2, 3))
    at_the_second = Choices(
        base.allowed, base.token_logits, logits, base.phrases, base.phrase_logits, 8
    )
    made = propose((1, 2, 3), at_the_second, MoveMix(), 60, np.random.default_rng(0))
    assert {row.position for row in made if row.move == "replace"} == {1}


def test_combinations_take_the_best_at_each_position_and_stop_at_the_most():
    body = (1, 2, 3, 4)
    better = [
        Proposal((9, 2, 3, 4), "replace", 9, 1, 0),
        Proposal((8, 2, 3, 4), "replace", 8, 1, 0),
        Proposal((1, 2, 3, 4, 5), "insert", 5),
        Proposal((1, 2, 7, 4), "replace", 7, 3, 2),
        Proposal((1, 6, 3, 4), "replace", 6, 2, 1),
    ]
    made = combinations(body, better, 3)
    assert [row.body for row in made] == [(9, 2, 7, 4), (9, 6, 7, 4)]
    assert combinations(body, better, 2) == made[:1]
    assert combinations(body, better[:2], 3) == []


@pytest.mark.parametrize("edits", [1, 3, 99])
def test_a_kick_changes_at_most_so_many_positions(edits):
    body = tuple(range(6))
    scores = np.zeros(len(ALLOWED), np.float32)
    made = kick(body, ALLOWED, scores, edits, np.random.default_rng(1))
    changed = sum(old != new for old, new in zip(body, made, strict=True))
    assert changed == min(edits, 6)
    assert set(made) - set(body) <= set(ALLOWED.tolist())
