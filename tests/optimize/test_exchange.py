"""What climbs that run side by side adopt from each other."""

import math

import numpy as np
import pytest

from mean_prompt.optimize.exchange import Adoption, Apart, Relinking, Rivals, Standing, Tempering


def standing(slot, score, share=0.5, *, tenth=None, temperature=0.01, current=None):
    current = score if current is None else current
    best = (slot, 1)
    return Standing(slot, share, tenth, temperature, best, score, (slot, 2), current)


def meet(strategy, mine, others, seed=0):
    return strategy.meet(mine, others, np.random.default_rng(seed))


ME = standing(0, 0.5, tenth=5)


@pytest.mark.parametrize(
    ("others", "leader"),
    [
        pytest.param([], None, id="there are no others"),
        pytest.param([standing(1, 0.6), standing(2, 0.4)], 1, id="behind just half"),
        pytest.param(
            [standing(1, 0.6), standing(2, 0.4), standing(3, 0.3)], None, id="behind fewer"
        ),
        pytest.param(
            [standing(1, 0.6, 0.39), standing(2, 0.6, 0.61)], None, id="others are elsewhere"
        ),
        pytest.param([standing(1, 0.6, 0.42), standing(2, 0.9, 0.2)], 1, id="near is near enough"),
    ],
)
def test_a_climb_behind_half_of_those_as_far_continues_from_a_leader(others, leader):
    expected = {} if leader is None else {0: Adoption((leader, 1), "better")}
    assert meet(Rivals(), ME, others) == expected


def test_rivals_are_compared_from_the_second_tenth_on_and_take_one_of_the_best_quarter():
    others = [standing(slot, 0.5 + slot / 100) for slot in range(1, 9)]
    assert meet(Rivals(), standing(0, 0.5, tenth=1), others) == {}
    taken = {meet(Rivals(), ME, others, seed)[0].body[0] for seed in range(40)}
    assert taken == {7, 8}


def test_relinking_takes_any_other_climb_as_its_guide_at_every_tenth():
    others = [standing(1, 0.4), standing(2, 0.6)]
    guides = {meet(Relinking(), ME, others, seed)[0] for seed in range(20)}
    assert guides == {Adoption((1, 1), "path"), Adoption((2, 1), "path")}
    assert meet(Relinking(), standing(0, 0.5), others) == {}


def test_neighbours_swap_as_often_as_replica_exchange_says():
    mine = standing(1, 0.5, temperature=0.01)
    hotter = standing(2, 0.495, temperature=0.02)
    swaps = [meet(Tempering(), mine, [standing(0, 0.9), hotter], seed) for seed in range(2_000)]
    expected = math.exp((1 / 0.01 - 1 / 0.02) * -0.005)
    assert np.mean([bool(swap) for swap in swaps]) == pytest.approx(expected, abs=0.03)
    swap = next(filter(None, swaps))
    assert swap == {1: Adoption((2, 2), "swap"), 2: Adoption((1, 2), "swap")}
    # The better string always goes to the colder climb.
    better = standing(2, 0.6, temperature=0.02)
    assert all(meet(Tempering(), mine, [better], seed) for seed in range(50))


def test_tempering_spreads_the_heat_evenly_around_the_settings():
    heats = [Tempering().heat(slot, 3) for slot in range(3)]
    assert heats == pytest.approx([0.5, 1.0, 2.0])
    assert Tempering().heat(0, 1) == Apart().heat(1, 3) == 1.0
