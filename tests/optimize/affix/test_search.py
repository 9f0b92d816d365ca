from itertools import product

import numpy as np
import pytest

from mean_prompt.optimize.affix.context import Joiner
from mean_prompt.optimize.affix.evaluator import AffixEvaluator, Caution, row_scores
from mean_prompt.optimize.affix.search import AffixSearch, AffixSettings
from mean_prompt.optimize.affix.units import UnitBank
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.constraints import Constraints, Rules
from mean_prompt.system.checkpoint import dump, load
from tests.fakes import WORDS, FakeEncoder

ROWS = 60


class World:
    """Predictions of a few words; the truth is what they become with a hidden word, and noise."""

    def __init__(self, *, seed=0, hidden="poem", position="suffix", tokens=1, caution=0.0):
        self.encoder = FakeEncoder(dimension=12, max_tokens=16)
        rng = np.random.default_rng(seed)
        words = [word for word in WORDS if word not in hidden.split()]
        self.predictions = [" ".join(rng.choice(words, rng.integers(2, 6))) for _ in range(ROWS)]
        truths = self.encoder.encode([f"{text} {hidden}".strip() for text in self.predictions])
        truths = truths + 0.2 * rng.standard_normal(truths.shape)
        self.truths = (truths / np.linalg.norm(truths, axis=1, keepdims=True)).astype(np.float32)
        self.rules = Rules(Constraints(max_tokens=tokens), self.encoder)
        self.joiner = Joiner(position, 14, self.encoder.tokenize)
        self.caution = Caution(np.arange(ROWS) // 2, caution)

    def search(self, budget, *, seed=0, **settings):
        parts = (self.joiner, self.predictions, self.truths, self.caution)
        evaluator = AffixEvaluator(self.encoder, self.rules, *parts, budget)
        bank = UnitBank.gather([], self.encoder, self.rules)
        empty = evaluator.empty(self.encoder.encode(self.predictions))
        return empty, AffixSearch(evaluator, bank, empty, AffixSettings(**settings), seed=seed)

    def run(self, budget, **settings):
        empty, search = self.search(budget, **settings)
        return empty, list(search.run())

    def value(self, affix):
        before = row_scores(self.encoder.encode(self.predictions), self.truths)
        joined = self.joiner.join(self.predictions, affix)
        return self.caution.value(row_scores(self.encoder.encode(joined), self.truths) - before)

    def exhaustive(self, words):
        counts = range(1, words + 1)
        return max(
            (" ".join(some) for count in counts for some in product(WORDS, repeat=count)),
            key=self.value,
        )


@pytest.mark.parametrize("position", ["suffix", "prefix"])
@pytest.mark.parametrize(("seed", "caution"), [(0, 0.0), (1, 1.0), (2, 0.0)])
def test_it_finds_the_word_that_trying_all_finds(seed, position, caution):
    world = World(seed=seed, position=position, caution=caution)
    _, rounds = world.run(Budget(None, 3_000), seed=seed)
    assert rounds[-1].best.text == world.exhaustive(1)


def test_it_finds_the_best_of_all_pairs():
    world = World(hidden="poem style", tokens=2)
    _, rounds = world.run(Budget(None, 20_000))
    assert world.value(rounds[-1].best.text) == pytest.approx(world.value(world.exhaustive(2)))


def test_no_affix_is_better_than_a_harmful_one():
    world = World(hidden="")
    world.truths = world.encoder.encode(world.predictions)
    empty, rounds = world.run(Budget(None, 3_000))
    assert rounds[-1].best is empty


def test_it_never_does_worse_than_none_whatever_its_value():
    # A single row of a prompt of its own gains much, and weighs as much as all others together.
    world = World(hidden="style")
    groups = np.zeros(ROWS, np.int64)
    groups[0] = 1
    world.caution = Caution(groups, 0.0, 1.0)
    world.predictions[0] = "tone"
    world.truths = world.encoder.encode(["email", *world.predictions[1:]])
    assert world.value("email") > 0
    empty, rounds = world.run(Budget(None, 3_000))
    assert rounds[-1].best.score >= empty.score


def test_what_it_yields_never_gets_worse_and_is_worth_what_it_says():
    world = World(tokens=3, caution=1.0)
    empty, rounds = world.run(Budget(None, 6_000))
    values = [empty.value, *(round_.best.value for round_ in rounds)]
    assert values == sorted(values)
    best = rounds[-1].best
    assert best.value == pytest.approx(world.value(best.text), abs=1e-6)
    assert best.score > empty.score
    assert best.tokens <= 3


def test_caution_asks_for_gains_that_groups_share():
    # One group of rows gains very much by one word, all others lose a little by it.
    world = World(hidden="style", caution=3.0)
    vectors = world.encoder.encode([f"{text} email" for text in world.predictions])
    before = world.value("email")
    world.truths[:2] = vectors[:2]
    assert world.value("email") < max(before, 0)
    _, rounds = world.run(Budget(None, 3_000))
    assert rounds[-1].best.text == "style"


def test_the_same_seed_and_evaluations_repeat_the_search():
    runs = [World(tokens=3).run(Budget(None, 2_000), seed=seed)[1] for seed in (0, 0, 1)]
    paths = [[round_.best.text for round_ in rounds] for rounds in runs]
    assert paths[0] == paths[1]
    assert paths[0] != paths[2]


def test_a_search_restored_elsewhere_continues_as_it_would_have():
    world, budget, later = World(tokens=3), Budget(None, 4_000), Budget(None, 4_000)
    _, search = world.search(budget)
    rounds = search.run()
    for _ in range(3):
        next(rounds)
    kept = load(dump(search.state()))
    # Another seed: whatever is not of the state would show.
    _, other = world.search(later, seed=9)
    other.restore(kept)
    later.evaluations = budget.evaluations
    found, expected = (
        [(row.number, row.best.text, row.best.value, row.move) for row in some]
        for some in (other.run(), rounds)
    )
    assert len(found) > 1
    assert found == expected


def test_the_budget_is_kept_to_within_a_batch():
    class Clock:
        now = 0.0

        def __call__(self):
            self.now += 0.5
            return self.now

    budget, timed = Budget(None, 1_000), Budget(20.0, clock=Clock())
    world = World(tokens=3)
    world.run(budget)
    assert budget.evaluations <= 1_000 + 512
    _, rounds = world.run(timed)
    assert rounds
    assert timed.elapsed < 25


def test_mini_batches_save_evaluations_and_still_find_the_word():
    full, raced = Budget(None, 10**6), Budget(None, 10**6)
    world = World()
    world.run(full, stages=())
    # It ends early, when everything was tried.
    assert full.evaluations < 20 * ROWS * len(WORDS)
    _, rounds = world.run(raced, stages=(8, 24))
    assert raced.evaluations < 0.7 * full.evaluations
    assert rounds[-1].best.text == world.exhaustive(1)
