"""How every search method behaves, whatever it does inside."""

import itertools
from dataclasses import replace

import pytest

from mean_prompt.bench.engine import Engine
from mean_prompt.bench.peers import PEERS
from mean_prompt.optimize import Budget, Evaluator
from tests.bench.peers.worlds import (
    GradientFake,
    RoughFake,
    evaluations,
    make_task,
    objective_for,
)

#: TPE's model takes milliseconds a trial, the more the wider its space and the longer its study.
NARROW_TPE = replace(PEERS["tpe"], slots=1, bank=16, batch=8, trials=16)
#: Every method. A new one is added here and must pass all tests.
METHODS = (Engine(), *(PEERS | {"tpe": NARROW_TPE}).values())
#: Most strings that a method may try before it checks its budget again.
BATCH = 512

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@every_method
def test_a_search_ends_at_its_deadline(method):
    encoder = GradientFake()
    # A string encoded takes a hundredth of a second.
    task = make_task(Budget(6.0, clock=lambda: encoder.encoded / 100), encoder=encoder)
    task.evaluator.budget.deadline.started = encoder.encoded / 100
    list(method.search(task))
    assert 5.4 <= task.evaluator.budget.elapsed <= 6.0


@every_method
def test_a_search_spends_its_evaluations_in_batches_of_limited_size(method, monkeypatch):
    task = make_task(evaluations(80))
    screen, sizes = Evaluator.screen, []

    def measured(self, bodies):
        sizes.append(len(bodies))
        return screen(self, bodies)

    monkeypatch.setattr(Evaluator, "screen", measured)
    list(method.search(task))
    assert max(sizes) <= BATCH
    assert 80 <= task.evaluator.budget.evaluations <= 80 + BATCH


@every_method
def test_a_stopped_search_yields_the_best_start_alone_or_ends_within_a_batch(method):
    task = make_task(evaluations(10**9))
    budget = task.evaluator.budget
    running = method.search(task)
    list(itertools.islice(running, 3))
    spent = budget.evaluations
    budget.stop()
    list(running)
    assert budget.evaluations <= spent + BATCH
    budget.evaluations = 0
    assert [row.text for row in method.search(task)] == [task.starts[0].text]
    assert budget.evaluations == 0


@every_method
@pytest.mark.parametrize(
    "rules",
    [
        {"phrases": (), "max_tokens": 1},
        {"prefix": "make", "suffix": "email", "banned_words": ("poem", "tone", "!")},
    ],
    ids=["one-token", "frame"],
)
def test_every_string_obeys_the_rules(method, rules):
    task = make_task(evaluations(80), **rules)
    bound = task.evaluator.rules
    for row in method.search(task):
        assert bound.violation(row.text, row.ids) is None
        assert task.evaluator.encoder.tokenize([row.text]) == [row.ids]
        assert row.text == bound.compose(task.evaluator.encoder.decode([row.body])[0])


@every_method
@pytest.mark.parametrize("encoder", [GradientFake, RoughFake])
def test_the_best_never_falls_and_has_its_exact_score(method, encoder):
    task = make_task(evaluations(120), encoder=encoder())
    found = list(method.search(task))
    scores = [row.score for row in found]
    assert scores == sorted(scores)
    assert scores[0] >= task.starts[0].score
    exact = task.evaluator.objective.score(task.evaluator.encoder.encode([r.text for r in found]))
    assert scores == pytest.approx(exact.tolist(), abs=1e-6)
    if encoder is GradientFake:  # an easy problem, which each method improves on
        assert scores[-1] > task.starts[0].score + 0.05 * task.ceiling


@every_method
def test_a_search_continues_from_a_start_and_never_loses_it(method):
    first = list(method.search(make_task(evaluations(50))))[-1]
    task = make_task(evaluations(50), seed=1)
    rest = [row.score for row in method.search(task, first)]
    assert rest[0] >= first.score
    assert rest == sorted(rest)


@every_method
def test_the_same_seed_and_evaluations_find_the_same_string(method):
    def texts(seed):
        return [row.text for row in method.search(make_task(evaluations(200), seed=seed))]

    first = texts(3)
    assert texts(3) == first
    assert any(texts(seed) != first for seed in (4, 5))


@every_method
def test_a_search_that_may_propose_nothing_still_ends(method, monkeypatch):
    task = make_task(evaluations(5))
    monkeypatch.setattr(task.evaluator.rules, "violation", lambda _text, _ids: "is never allowed")
    assert {row.text for row in method.search(task)} == {task.starts[0].text}
    assert task.evaluator.budget.expired()


@every_method
def test_strings_of_a_real_tokenizer_are_what_they_say(method, tiny_t5):
    """Unigram pieces merge with their neighbours: the tokens drawn may not be those read back."""
    task = make_task(
        evaluations(80),
        encoder=tiny_t5,
        objective=objective_for(tiny_t5.dimension),
        starts=("Rewrite the poem as a letter.", "make this formal, please"),
        phrases=("in the style of", "more formal", "as a poem"),
        max_tokens=10,
        prefix="Please",
    )
    found = list(method.search(task))
    for row in found:
        assert tiny_t5.tokenize([row.text]) == [row.ids]
        assert task.evaluator.rules.violation(row.text, row.ids) is None
    best = found[-1]
    assert best.score > task.starts[0].score
    exact = task.evaluator.objective.score(tiny_t5.encode([best.text]))
    assert best.score == pytest.approx(float(exact[0]), abs=1e-6)
