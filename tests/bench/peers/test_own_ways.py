"""What each peer has of its own, as its paper says it."""

import itertools
from collections import Counter

import numpy as np
import pytest

from mean_prompt.bench.peers import GCG, TPE, Beam, Gaslite, RandomSearch
from tests.bench.peers.worlds import GradientFake, evaluations, make_task, objective_for


@pytest.fixture
def spied(monkeypatch):
    """Record every batch of bodies that a task's evaluator screens."""

    def spy(task):
        screen, batches = task.evaluator.screen, []

        def record(bodies):
            batches.append(list(bodies))
            return screen(bodies)

        monkeypatch.setattr(task.evaluator, "screen", record)
        return batches

    return spy


def distance(first, second):
    return sum(old != new for old, new in zip(first, second, strict=True))


# -- random -------------------------------------------------------------------------------------


def test_random_search_tries_single_edits_at_the_best_string(spied):
    task = make_task(evaluations(64))
    batches = spied(task)
    list(itertools.islice(RandomSearch().search(task), 2))
    start = task.starts[0].body
    edits = Counter(len(body) - len(start) for body in batches[0])
    assert set(edits) == {-1, 0, 1}
    assert edits[0] > edits[1] > edits[-1]
    for body in batches[0]:
        shared = Counter(body) & Counter(start)
        assert sum(shared.values()) >= len(start) - 1
        assert set(body) - set(start) <= set(task.vocabulary.allowed.tolist())


def test_a_full_body_gets_no_insertions(spied):
    task = make_task(evaluations(64), max_tokens=5)
    batches = spied(task)
    list(itertools.islice(RandomSearch().search(task), 2))
    assert len(task.starts[0].body) == 5
    assert {len(body) for body in batches[0]} == {4, 5}


# -- beam ---------------------------------------------------------------------------------------


def test_a_beam_that_may_keep_and_try_everything_finds_the_best_string():
    words = ("poem", "text", "make", "the", "tone")
    encoder = GradientFake(words, dimension=4)
    task = make_task(
        evaluations(4_000), encoder=encoder, starts=("poem",), phrases=(), max_tokens=3
    )
    *_, best = Beam(width=1_000).search(task)
    tokens = task.vocabulary.allowed.tolist()
    everything = [row for length in (1, 2, 3) for row in itertools.product(tokens, repeat=length)]
    expected = task.evaluator.objective.score(encoder.encode_ids(everything)).max()
    assert best.score == pytest.approx(float(expected), abs=1e-6)


def test_a_beam_appends_every_word_to_every_string_it_keeps(spied):
    task = make_task(evaluations(10**6), max_tokens=5)
    batches = spied(task)
    steps = Beam(width=2, batch=10_000).search(task)
    list(itertools.islice(steps, 3))
    rounds = [Counter(body[:-1] for body in batch) for batch in _joined(batches)]
    words = len(task.vocabulary.allowed)
    assert set(rounds[0]) == {row.body for row in task.starts[:2] if len(row.body) < 5}
    assert set(rounds[0].values()) == set(rounds[1].values()) == {words}
    assert len(rounds[1]) == 2


def _joined(batches):
    """Put chunks of one round together: bodies that grew from equally long ones."""
    batches = [batch for batch in batches if len(batch) > 1]
    by_length = itertools.groupby(batches, key=lambda batch: len(batch[0]))
    return [list(itertools.chain.from_iterable(group)) for _, group in by_length]


def test_a_beam_is_made_of_whole_words(tiny_bert, spied):
    task = make_task(
        evaluations(240),
        encoder=tiny_bert,
        objective=objective_for(tiny_bert.dimension),
        starts=("make the poem formal",),
        phrases=(),
    )
    batches = spied(task)
    list(Beam(batch=32).search(task))
    starts_word = task.evaluator.rules.starts_word
    appended = {body[-1] for batch in batches for body in batch if body != task.starts[0].body}
    assert len(appended) > 100
    assert all(starts_word[token] for token in appended)
    assert not starts_word[task.vocabulary.allowed].all()


def test_a_beam_starts_over_from_other_words(spied):
    task = make_task(evaluations(4_000), max_tokens=3)
    batches = spied(task)
    list(Beam(width=5).search(task))
    seeds = {tuple(batch) for batch in batches if {len(body) for body in batch} == {1}}
    assert len([batch for batch in seeds if len(batch) == 5]) > 1


def test_each_round_of_a_beam_gets_an_even_share_of_half_the_budget(spied):
    task = make_task(evaluations(400), starts=("poem",), max_tokens=6)
    batches = spied(task)
    list(Beam(batch=8).search(task))
    grown = Counter()
    for batch in itertools.takewhile(lambda batch: len(batch[0]) != 1 or len(batch) == 1, batches):
        grown[len(batch[0])] += len(batch)
    assert all(30 <= grown[length] <= 60 for length in range(2, 7))


# -- GCG ----------------------------------------------------------------------------------------


def test_gcg_draws_single_replacements_from_the_best_of_every_position(spied):
    task = make_task(evaluations(10**6))
    encoder = task.evaluator.encoder
    batches = spied(task)
    list(itertools.islice(GCG(top_k=3, batch=64).search(task), 3))
    state, drawn = batches[0][0], batches[-1]
    assert len(drawn) > 12
    gradient = encoder.token_gradients([state], task.evaluator.objective.tangent_gradient)[0]
    changed = set()
    for body in drawn:
        if distance(body, state) == 0:
            continue
        [position] = [i for i in range(6) if body[i] != state[i]]
        products = encoder.words[task.vocabulary.allowed] @ gradient[position]
        best = task.vocabulary.allowed[np.argsort(-products)[:3]]
        assert body[position] in best
        changed.add(position)
    assert changed == set(range(6))


def test_gcg_goes_on_from_the_best_of_the_batch_even_where_it_is_worse(spied):
    task = make_task(evaluations(120))
    batches = spied(task)
    # One replacement a step: mostly a worse one, and the search moves there all the same.
    list(GCG(top_k=20, batch=1).search(task))
    bodies = [batch[0] for batch in batches if len(batch) == 1][2:]
    assert all(distance(old, new) <= 1 for old, new in itertools.pairwise(bodies))
    scores = task.evaluator.objective.score(task.evaluator.encoder.encode_ids(bodies))
    assert (np.diff(scores) < 0).any()


# -- GASLITE ------------------------------------------------------------------------------------


def test_gaslite_averages_over_the_string_and_its_random_flips(monkeypatch):
    task = make_task(evaluations(400), prefix="make", max_tokens=7)
    encoder = task.evaluator.encoder
    gradients, seen = encoder.token_gradients, []

    def record(ids, vector_gradient):
        seen.extend(ids)
        return gradients(ids, vector_gradient)

    monkeypatch.setattr(encoder, "token_gradients", record)
    list(itertools.islice(Gaslite().search(task), 3))
    assert len(seen) == 50
    assert {len(ids) for ids in seen} == {7}
    assert {ids[0] for ids in seen} == set(encoder.tokenize(["make"])[0])
    assert max(distance(ids, seen[0]) for ids in seen) == 1
    assert len(set(seen)) > 25


def test_gaslite_takes_the_best_candidate_of_one_position_after_another(spied):
    task = make_task(evaluations(10**6))
    batches = spied(task)
    search = Gaslite(n_grad=4, n_flip=4, n_cand=999).search(task)
    found = list(itertools.islice(search, 2 + 4))
    flips = [batch for batch in batches if len(batch) > 2]
    assert len(flips) == 4
    assert all(len(batch) == len(task.vocabulary.allowed) for batch in flips)
    state, changed = None, set()
    for batch in flips:
        [column] = [n for n, column in enumerate(zip(*batch, strict=True)) if len(set(column)) > 1]
        changed.add(column)
        if state is not None:
            assert all(distance(body, state) <= 1 for body in batch)
        scores = task.evaluator.objective.score(task.evaluator.encoder.encode_ids(batch))
        state = batch[int(scores.argmax())]
    assert found[-1].body == state
    assert len(changed) == 4


# -- TPE ----------------------------------------------------------------------------------------


def test_tpe_begins_a_new_study_at_the_best_string(spied, capfd):
    task = make_task(evaluations(10**6))
    batches = spied(task)
    found = list(itertools.islice(TPE(batch=16, trials=32).search(task), 1 + 2 + 1))
    firsts = [batch[0] for batch in batches if len(batch) == 16]
    assert firsts[0] == task.starts[0].body
    assert found[2].score > found[0].score
    assert firsts[2] == found[2].body
    assert capfd.readouterr() == ("", "")


def test_tpe_learns():
    """TPE in its later trials proposes better strings than random ones."""
    task = make_task(evaluations(128), max_tokens=8)
    screen, scores = task.evaluator.screen, []

    def record(bodies):
        rows = screen(bodies)
        scores.append(np.mean([row.score for row in rows if row is not None]))
        return rows

    task.evaluator.screen = record
    list(TPE(slots=2, bank=12, batch=16, trials=10_000).search(task))
    assert np.mean(scores[-4:]) > np.mean(scores[:2]) + 0.05 * task.ceiling
