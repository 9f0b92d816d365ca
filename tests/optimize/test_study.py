import itertools
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import Climb, ClimbSettings
from mean_prompt.optimize.rounds import ClimbRun
from mean_prompt.optimize.sampling import LocalBoard, StudySettings
from mean_prompt.optimize.study import ClimbStudy
from mean_prompt.runs.study_file import STUDY_NAME, StudyFile
from mean_prompt.system.checkpoint import dump, load


@pytest.fixture
def make_study(make_evaluator, make_vocabulary):
    def make(budget, *, board=None, worker=0, width=8, max_tokens=4, **settings):
        evaluator = make_evaluator(budget, max_tokens=max_tokens)
        chosen = StudySettings(**({"climb_evaluations": 200} | settings))
        return ClimbStudy(
            chosen,
            ClimbSettings(width=width, hot=0.05),
            evaluator.read(["poem", "make text"]),
            make_vocabulary(evaluator.rules),
            evaluator,
            ceiling=evaluator.objective.ceiling().value,
            rate=1_000.0,
            seed=0,
            board=StudyFile(board, chosen) if isinstance(board, Path) else board,
            worker=worker,
        )

    return make


def test_climbs_follow_each_other_until_the_budget_is_spent(make_study):
    # A budget shorter than a climb makes one climb of it.
    assert {event.trial for event in make_study(Budget(None, 250)).run()} == {0}
    budget = Budget(None, 1_200)
    study = make_study(budget)
    events = list(study.run())
    assert budget.expired()
    trials = [event.trial for event in events]
    assert len(set(trials)) > 3
    assert study.elite.score == max(event.step.best.score for event in events)
    endings = [event.ended for event in events if event.ended]
    assert len(endings) == len(set(trials))


def test_of_three_rivals_the_one_ahead_halfway_continues_alone(make_study):
    events = list(make_study(Budget(None, 440), prune="none").run())
    assert {event.trial for event in events} == {0, 1, 2}
    ended = {event.trial: event.ended for event in events if event.ended}
    [ahead] = [trial for trial, ended in ended.items() if ended == "complete"]
    assert sorted(ended.values()) == ["complete", "pruned", "pruned"]
    halfway = {}
    for event in events:
        if event.ended == "pruned":
            break
        halfway[event.trial] = event.step.best.score
    assert halfway[ahead] == max(halfway.values())
    steps = {trial: sum(event.trial == trial for event in events) for trial in ended}
    assert all(1.5 * steps[trial] < steps[ahead] for trial in ended if trial != ahead)


def test_the_study_is_kept_with_its_climbs_the_first_rivals_by_the_settings_as_given(
    make_study, tmp_path
):
    path = tmp_path / "study.db"
    study = make_study(Budget(None, 900), board=path)
    list(study.run())
    kept = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{path}")
    assert kept.best_value == pytest.approx(study.elite.score)
    assert {trial.state.name for trial in kept.trials} <= {"COMPLETE", "PRUNED"}
    assert kept.best_trial.user_attrs["text"] == study.elite.text
    assert kept.trials[0].intermediate_values
    assert [trial.params for trial in kept.trials[:3]] == [{"start": "corpus"}] * 3
    assert all("width" in trial.params for trial in kept.trials[3:])
    assert len(kept.trials) > 3


def test_a_climb_behind_most_others_is_pruned(make_study):
    alone = {"rivals": 1, "starts": ("corpus",), "hot": (0.002, 1.0)}
    budget = Budget(None, 8_000)
    pruned = make_study(budget, **alone)
    assert any(event.ended == "pruned" for event in pruned.run())
    # To that event both go the same way.
    never = make_study(Budget(None, budget.evaluations + 100), **alone, prune="none")
    events = list(never.run())
    assert {event.ended for event in events} == {None, "complete"}
    # Without rivals climbs end one by one.
    assert [event.trial for event in events] == sorted(event.trial for event in events)


def test_a_stop_ends_the_climb_at_its_next_step(make_study):
    budget = Budget(None, 100_000)
    events = make_study(budget).run()
    for _ in range(5):
        next(events)
    spent = budget.evaluations
    budget.stop()
    rest = list(events)
    assert rest[-1].ended == "stopped"
    assert budget.evaluations <= spent + 20


def test_the_same_seed_and_evaluations_give_the_same_climbs(make_study):
    runs = [
        [(event.trial, event.start, event.step.best.text) for event in study.run()]
        for study in (make_study(Budget(None, 1_000)), make_study(Budget(None, 1_000)))
    ]
    assert runs[0] == runs[1]


def test_settings_from_an_elite_start_with_it_and_keep_the_rest():
    again = StudySettings(starts=("corpus", "elite", "phrases"), kick=(1, 2)).from_elite()
    assert (again.starts, again.kick) == (("elite", "corpus", "phrases"), (1, 2))


# Among other workers


class Others(LocalBoard):
    """A board on which other workers' climbs stand where a test puts them."""

    def __init__(self, *marks):
        super().__init__()
        self.marks = lambda: [
            {"body": list(row.body), "score": score, "share": at} for row, score, at in marks
        ]


#: So few evaluations that a climb has not found much yet at three tenths of it.
SHORT = {"climb_evaluations": 80, "width": 2, "rivals": 1, "prune": "none", "max_tokens": 3}


@pytest.fixture
def ranked(fake, make_evaluator):
    """All strings of three words, the best first."""
    bodies = itertools.product(range(1, len(fake.words)), repeat=3)
    rows = make_evaluator().read(fake.decode(list(bodies)))
    return sorted(rows, key=lambda row: -row.score)


def compared(study, best):
    """Return the string from which a climb continues after it was compared halfway."""
    climb = SimpleNamespace(best=best)
    climb.switch_to = lambda other: setattr(climb, "best", other)
    study._compare(ClimbRun(0, {"start": "corpus"}, climb, began=0.0, since=0.0), 0.5)
    return climb.best


@pytest.mark.parametrize(
    ("marks", "switches"),
    [
        pytest.param([], None, id="there are no others"),
        pytest.param([(0, 0.5), (60, 0.5)], 0, id="behind just half"),
        pytest.param([(0, 0.5), (60, 0.5), (70, 0.5)], None, id="behind fewer than half"),
        pytest.param([(0, 0.39), (0, 0.61)], None, id="others are at another point"),
        pytest.param([(9, 0.42), (60, 0.2)], 9, id="near is near enough"),
    ],
)
def test_a_climb_behind_half_of_those_as_far_switches(marks, switches, make_study, ranked):
    others = Others(*((ranked[rank], ranked[rank].score, share) for rank, share in marks))
    found = compared(make_study(Budget(None, 100), board=others), ranked[50])
    assert found.text == ranked[50 if switches is None else switches].text


def test_it_switches_to_one_of_the_best_quarter(make_study, ranked):
    """By a draw of the worker's and the climb's own: not all workers to the same string."""
    others = Others(*((ranked[rank], ranked[rank].score, 0.5) for rank in reversed(range(8))))
    studies = [make_study(Budget(None, 100), board=others, worker=n) for n in range(8)]
    taken = [compared(study, ranked[50]).text for study in studies]
    assert set(taken) == {row.text for row in ranked[:2]}
    assert taken == [compared(study, ranked[50]).text for study in studies]


def test_the_string_of_another_worker_is_scored_again(make_study, ranked):
    lie = Others((ranked[60], 1.0, 0.5))
    assert compared(make_study(Budget(None, 100), board=lie), ranked[50]) is ranked[50]
    too_long = SimpleNamespace(body=(1,) * 9)
    broken = Others((too_long, 1.0, 0.5))
    assert compared(make_study(Budget(None, 100), board=broken), ranked[50]) is ranked[50]


def test_climbs_are_compared_on_their_way(make_study, ranked, monkeypatch):
    study = make_study(Budget(None, 160), board=Others((ranked[0], ranked[0].score, 0.3)), **SHORT)
    went, switch_to = [], Climb.switch_to

    def record(climb, other):
        went.append((climb.best.score, other.text, study.mark["share"]))
        switch_to(climb, other)

    monkeypatch.setattr(Climb, "switch_to", record)
    events = list(study.run())
    [(before, text, share), *_] = went
    assert text == ranked[0].text
    assert before < ranked[0].score
    assert 0.15 < share < 0.4
    assert events[-1].step.best.score >= ranked[0].score
    assert study.elite.score >= ranked[0].score


def test_the_mark_is_where_the_present_climb_stands(make_study):
    study = make_study(Budget(None, 160), **SHORT)
    assert study.mark is None
    shares = []
    for event in study.run():
        if event.step.number and not event.ended:
            best = event.step.best
            assert study.mark["body"] == list(best.body)
            assert study.mark["score"] == best.score
            shares.append((event.trial, study.mark["share"]))
    assert shares == sorted(shares)
    assert {trial for trial, _ in shares} == {0, 1}
    assert all(0.0 <= share < 1.0 for _, share in shares)
    dump(study.mark)  # it goes into JSON


def test_a_study_restored_elsewhere_continues_as_it_would_have(make_study):
    def rest(study):
        return [(m.trial, m.step.number, m.step.best.text, m.ended) for m in study.run()]

    def begun(budget):
        """Return a study in the middle of its first round."""
        study = make_study(budget)
        events = study.run()
        for _ in range(12):
            next(events)
        return study

    budget = Budget(None, 500)
    study = begun(budget)
    kept, spent = load(dump(study.state())), budget.evaluations
    assert kept["round"]["runs"]
    later = Budget(None, 500)
    other = make_study(later)
    other.restore(kept)
    later.evaluations = spent
    assert other.climbs == study.climbs
    assert rest(other) == rest(study)
