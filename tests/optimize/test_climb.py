import dataclasses
import itertools
import math

import numpy as np
import pytest

from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import Climb, ClimbSettings, Edits, Step
from mean_prompt.optimize.vocabulary import PhraseBank
from mean_prompt.system.checkpoint import dump, load


def begun(evaluator, vocabulary, *, seed=0, start="poem"):
    """Return a climb from a string."""
    [start] = evaluator.read([start])
    ceiling, rng = evaluator.objective.ceiling().value, np.random.default_rng(seed)
    edits = Edits(vocabulary, evaluator, ClimbSettings(width=16, hot=0.05), ceiling, rng)
    return Climb(start, evaluator.screened(start), edits)


def run(evaluator, vocabulary, *, enough=math.inf, **start):
    """Climb until the budget is spent, or a score is reached; return the steps."""
    climb = begun(evaluator, vocabulary, **start)
    steps = [Step(0, climb.best)]
    while not evaluator.budget.expired() and steps[-1].best.score < enough:
        steps.append(climb.step(evaluator.budget.fraction()))
    return steps


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_exhaustive_optimum_of_a_toy_vocabulary(
    seed, fake, objective, make_evaluator, make_vocabulary
):
    bodies = (itertools.product(range(1, len(fake.words)), repeat=size) for size in (1, 2, 3, 4))
    highest = max(float(objective.score(fake.encode_ids(list(some))).max()) for some in bodies)
    evaluator = make_evaluator(Budget(None, 6_000))
    vocabulary = make_vocabulary(evaluator.rules)
    best = run(evaluator, vocabulary, seed=seed, enough=highest - 1e-6)[-1].best
    assert best.score == pytest.approx(highest, abs=1e-6)


def test_the_best_never_falls_and_is_scored_as_the_string_it_is(
    fake, objective, make_evaluator, make_vocabulary
):
    evaluator = make_evaluator(Budget(None, 1_000))
    steps = run(evaluator, make_vocabulary(evaluator.rules))
    scores = [step.best.score for step in steps]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]
    for step in steps:
        assert step.gained == (step.number > 0 and step.best is not steps[step.number - 1].best)
    best = steps[-1].best
    assert best.score == pytest.approx(float(objective.score(fake.encode([best.text]))[0]))


def test_every_string_keeps_to_the_rules(make_evaluator, make_vocabulary):
    evaluator = make_evaluator(
        Budget(None, 500), max_tokens=4, prefix="make", banned_words=("poem", "tone")
    )
    for step in run(evaluator, make_vocabulary(evaluator.rules), start="story"):
        assert evaluator.rules.violation(step.best.text, step.best.ids) is None
        assert step.best.text.startswith("make ")


def test_the_same_seed_climbs_the_same_way(make_evaluator, make_vocabulary):
    runs = []
    for seed in (3, 3, 4):
        evaluator = make_evaluator(Budget(None, 200))
        steps = run(evaluator, make_vocabulary(evaluator.rules), seed=seed)
        runs.append([(step.best.text, step.move) for step in steps])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_climb_whose_every_edit_breaks_a_rule_still_ends(make_evaluator, make_vocabulary):
    evaluator = make_evaluator(Budget(None, 50), max_tokens=1)
    vocabulary = make_vocabulary(evaluator.rules)
    # Only the start itself can be spelled: no token is left to put in its place.
    only = dataclasses.replace(
        vocabulary,
        allowed=vocabulary.allowed[:1],
        static=vocabulary.static[:1],
        phrases=PhraseBank((), vocabulary.phrases.vectors[:0]),
    )
    word = evaluator.rules.surfaces[only.allowed[0]]
    steps = run(evaluator, only, start=word)
    assert steps[-1].best.text == word
    assert evaluator.budget.expired()


def continued(climb, evaluator):
    """Return what a climb does in some more steps, and what it spends on them."""
    steps = (climb.step(0.1 + number / 20) for number in range(12))
    return [(s.number, s.best.text, s.gained, s.move, evaluator.budget.evaluations) for s in steps]


@pytest.mark.parametrize("after", [0, 7])
def test_a_climb_restored_elsewhere_continues_as_it_would_have(
    after, make_evaluator, make_vocabulary
):
    evaluator, elsewhere = make_evaluator(), make_evaluator()
    vocabulary = make_vocabulary(evaluator.rules)
    climb = begun(evaluator, vocabulary)
    for _ in range(after):
        climb.step(0.1)
    kept, spent = dump(climb.state()), evaluator.budget.evaluations
    # Another start and another seed: whatever is not of the state would show.
    other = begun(elsewhere, vocabulary, seed=9, start="make text")
    other.restore(load(kept))
    elsewhere.budget.evaluations = spent
    assert continued(other, elsewhere) == continued(climb, evaluator)


def best_pair(evaluator):
    """Return the best string of two words, found by trying all."""
    fake = evaluator.encoder
    pairs = itertools.product(range(1, len(fake.words)), repeat=2)
    return max(evaluator.read(fake.decode(list(pairs))), key=lambda row: row.score)


def test_a_climb_switches_to_a_better_string_and_continues_from_there(
    make_evaluator, make_vocabulary
):
    evaluator = make_evaluator(max_tokens=2)
    climb = begun(evaluator, make_vocabulary(evaluator.rules))
    climb.step(0.0)
    better = best_pair(evaluator)
    assert better.score > climb.best.score
    spent = evaluator.budget.evaluations
    climb.switch_to(better)
    assert evaluator.budget.evaluations == spent + 1
    assert (climb.best, climb.number) == (better, 1)
    # There is nothing better, and it is too cold to leave it.
    step = climb.step(1.0 - 1e-9)
    assert (step.best, step.gained, step.move) == (better, False, None)


def test_contenders_are_compared_with_the_screened_score_of_the_string_switched_to(
    make_evaluator, make_vocabulary, monkeypatch
):
    """If screening flatters, every string would seem better than its float32 score."""
    evaluator = make_evaluator(max_tokens=2)
    climb = begun(evaluator, make_vocabulary(evaluator.rules))
    better = best_pair(evaluator)
    screen, asked = evaluator.screen, []

    def flattering(bodies):
        found = screen(bodies)
        return [row and dataclasses.replace(row, score=row.score + 0.5) for row in found]

    monkeypatch.setattr(evaluator, "screen", flattering)
    monkeypatch.setattr(evaluator, "exact", lambda rows: asked.extend(rows) or list(rows))
    climb.switch_to(better)
    climb.step(0.5)
    assert all(row.text == better.text for row in asked)
