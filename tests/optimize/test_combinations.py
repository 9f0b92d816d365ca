import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from mean_prompt.objective.scs import ExpectedSCS
from mean_prompt.optimize.combinations import MeasuredEffects
from mean_prompt.optimize.evaluator import Candidate

D, LENGTH, WORDS = 12, 5, 6


class Additive:
    """A world where every token adds a vector of its own at every position."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.parts = rng.standard_normal((LENGTH, WORDS, D)).astype(np.float32)
        self.parts += 2 * rng.standard_normal(D).astype(np.float32)
        prompts = rng.standard_normal((20, D)).astype(np.float32) + self.parts.mean(axis=(0, 1))
        self.objective = ExpectedSCS(prompts / np.linalg.norm(prompts, axis=1, keepdims=True))

    def whole(self, body):
        return sum(self.parts[i, token] for i, token in enumerate(body))

    def read(self, body):
        vector = self.whole(body) / np.linalg.norm(self.whole(body))
        [score] = self.objective.score(vector[None])
        return Candidate(str(body), tuple(body), tuple(body), vector, float(score))

    def measure(self, state, cells):
        """Return what some replacements do to the unit vector of a string."""
        cells = torch.tensor(cells)
        at, put = cells.T.numpy()
        changes = self.parts[at, put] - self.parts[at, np.array(state.body)[at]]
        return cells, torch.from_numpy(changes / np.linalg.norm(self.whole(state.body)))

    def search(self, effects, state, without=frozenset()):
        expansion = self.objective.expansion(state.vector)
        return effects.combinations(state, expansion, without)


@pytest.fixture
def world():
    return Additive()


def others(state):
    """Return every replacement in a string, as positions and tokens."""
    return [(i, t) for i in range(LENGTH) for t in range(WORDS) if t != state.body[i]]


def changed(state, body):
    return sum(a != b for a, b in zip(state.body, body, strict=True))


def test_the_best_combination_of_each_size_is_the_exhaustive_one(world):
    state = world.read((0, 1, 2, 3, 4))
    effects, cells = MeasuredEffects(D), others(state)[::2]
    effects.observe(*world.measure(state, cells))
    found = world.search(effects, state)
    allowed = [{state.body[i], *(t for at, t in cells if at == i)} for i in range(LENGTH)]
    every = [body for body in itertools.product(*allowed) if changed(state, body) in {2, 3, 4}]
    expansion = world.objective.expansion(state.vector)

    def expected(body):
        moved = world.whole(body) / np.linalg.norm(world.whole(state.body))
        change = torch.from_numpy(moved - state.vector)
        value = expansion.value + change @ expansion.gradient
        return float(value + change @ expansion.curvature @ change) / np.linalg.norm(moved) ** 3

    sums = dict(zip(found.bodies, found.sums.tolist(), strict=True))
    assert len(sums) == len(found.bodies)
    for size in (2, 3, 4):
        best = max((body for body in every if changed(state, body) == size), key=expected)
        assert sums[best] == pytest.approx(expected(best), abs=1e-5)
        of_size = [body for body in sums if changed(state, body) == size]
        assert max(of_size, key=sums.__getitem__) == best


def test_effects_follow_the_string_exactly_where_they_add_up(world):
    state = world.read((0, 1, 2, 3, 4))
    effects = MeasuredEffects(D)
    effects.observe(*world.measure(state, others(state)))
    for body in [(0, 5, 2, 3, 4), (2, 5, 0, 3, 4), (2, 1, 0, 3, 3), (0, 1, 2, 3, 4)]:
        effects.follow(state, after := world.read(body))
        state = after
        assert len(effects) == len(others(state))
        found = world.search(effects, state)
        singles = [row for row, body in enumerate(found.bodies) if changed(state, body) == 1]
        assert len(singles) == len(others(state))
        for row in singles:
            [(at, put)] = set(enumerate(found.bodies[row])) - set(enumerate(state.body))
            _, change = world.measure(state, [(at, put)])
            expansion = world.objective.expansion(state.vector)
            moved = torch.from_numpy(state.vector) + change[0]
            value = expansion.value + change[0] @ expansion.gradient
            value += change[0] @ expansion.curvature @ change[0]
            assert float(found.sums[row]) == pytest.approx(
                float(value / moved.norm() ** 3), abs=1e-5
            )


def test_single_replacements_are_offered_only_where_they_were_not_measured(world):
    state, after = world.read((0, 1, 2, 3, 4)), world.read((5, 1, 2, 3, 4))
    effects = MeasuredEffects(D)
    effects.observe(*world.measure(state, [(0, 5), (1, 0), (2, 0)]))
    assert {changed(state, body) for body in world.search(effects, state).bodies} == {2, 3}
    tried = {(5, 0, 2, 3, 4), (5, 0, 0, 3, 4)}
    assert set(world.search(effects, state, tried).bodies) == {(5, 1, 0, 3, 4), (0, 0, 0, 3, 4)}
    effects.follow(state, after)
    found = world.search(effects, after)
    singles = {body for body in found.bodies if changed(after, body) == 1}
    assert singles == {(0, 1, 2, 3, 4), (5, 0, 2, 3, 4), (5, 1, 0, 3, 4)}
    row = found.bodies.index((5, 0, 2, 3, 4))
    effects.learn_combined(after, found, [row], [world.read((5, 0, 2, 3, 4))])
    assert (5, 0, 2, 3, 4) not in world.search(effects, after).bodies


@pytest.mark.parametrize("body", [(0, 1, 2, 3, 5), (0, 1, 2, 3)], ids=["not measured", "shorter"])
def test_all_is_forgotten_where_the_way_to_a_string_is_unknown(world, body):
    state = world.read((0, 1, 2, 3, 4))
    effects = MeasuredEffects(D)
    effects.observe(*world.measure(state, [(0, 5), (1, 0), (2, 0)]))
    effects.follow(state, world.read(body))
    assert len(effects) == 0
    assert world.search(effects, world.read(body)).bodies == []


def test_a_replacement_measured_again_takes_the_place_of_the_old(world):
    state = world.read((0, 1, 2, 3, 4))
    effects = MeasuredEffects(D)
    cells, changes = world.measure(state, [(0, 5), (1, 0)])
    effects.observe(cells, changes)
    [before] = world.search(effects, state).sums.tolist()
    effects.observe(cells[:1], 0 * changes[:1])
    assert len(effects) == 2
    [after] = world.search(effects, state).sums.tolist()
    assert after != pytest.approx(before, abs=1e-3)


def test_sums_that_missed_are_trusted_less(world):
    state = world.read((0, 1, 2, 3, 4))
    effects = MeasuredEffects(D)
    effects.observe(*world.measure(state, others(state)))
    first = world.search(effects, state)
    pairs = first.faults[:, 0].numpy()
    rows = np.flatnonzero(pairs == 1).tolist()

    found = [world.read(first.bodies[row]) for row in rows]
    worse = [replace(row, score=row.score - 0.05) for row in found]
    for _ in range(20):
        effects.learn_combined(state, first, rows, worse)
    again = world.search(effects, state)
    kept = dict(zip(first.bodies, first.scores.tolist(), strict=True))
    fallen = [
        kept[body] - score
        for body, score, fault in zip(again.bodies, again.scores, again.faults, strict=True)
        if body in kept and fault[0] == 1
    ]
    assert len(fallen) > 10
    assert min(fallen) > 0.03


def laid(vector, offset):
    """Return a copy of a vector that lies so many floats behind a multiple of 64 bytes."""
    room = np.empty(len(vector) + 32, np.float32)
    first = -room.ctypes.data // 4 % 16 + offset
    copy = room[first : first + len(vector)]
    copy[:] = vector
    return copy


def test_where_vectors_lie_in_memory_changes_nothing():
    """Products of two vectors are rounded in an order that depends on it, if torch is let to."""
    rng = np.random.default_rng(3)
    old, new, prompt = (rng.standard_normal(384).astype(np.float32) / 20 for _ in range(3))
    changes = torch.from_numpy(rng.standard_normal((6, 384)).astype(np.float32) / 20)
    cells = torch.tensor([(place, 9) for place in range(6)])
    found = set()
    for offset in range(16):
        effects = MeasuredEffects(384)
        effects.observe(cells, changes.clone())
        here, there = (
            Candidate("", body, body, laid(vector, offset), 0.5)
            for vector, body in ((old, (0, 1, 2)), (new, (0, 9, 2)))
        )
        effects.follow(here, there)
        prompts = (prompt / np.linalg.norm(prompt))[None].repeat(3, axis=0)
        gradient = ExpectedSCS(prompts).tangent_gradient(laid(old, offset))
        found.add(effects._changes.numpy().tobytes() + gradient.tobytes())
    assert len(found) == 1
