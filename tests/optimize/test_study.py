from pathlib import Path

import optuna
import pytest

from mean_prompt.optimize import study as study_module
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.climber import Climber
from mean_prompt.optimize.exchange import EXCHANGES, Adoption, Apart
from mean_prompt.optimize.sampling import Sampling, StudySettings
from mean_prompt.optimize.study import CLIMBER, ClimbStudy
from mean_prompt.runs.study_file import STUDY_NAME, StudyFile
from mean_prompt.system.checkpoint import dump, load
from mean_prompt.system.team import Here, Team


@pytest.fixture
def make_study(make_evaluator, make_vocabulary):
    def make(budget, *, board=None, climbers=1, width=8, max_tokens=4, **settings):
        evaluator = make_evaluator(Budget(None, 10_000), max_tokens=max_tokens)
        chosen = StudySettings(**({"climb_evaluations": 200} | settings))
        base = ClimbSettings(width=width, hot=0.05)
        starts = evaluator.read(["poem", "make text"])
        climber = Climber(
            Sampling(chosen, base, seed=0),
            starts,
            make_vocabulary(evaluator.rules),
            evaluator,
            evaluator.objective.ceiling().value,
        )
        team = Team(Here(), climbers)
        team.give(CLIMBER, climber)
        return ClimbStudy(
            chosen,
            base,
            max(starts, key=lambda row: row.score),
            team,
            budget=budget,
            rate=1_000.0,
            seed=0,
            board=StudyFile(board, chosen) if isinstance(board, Path) else board,
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


def test_climbs_grow_to_the_longest_and_the_last_takes_what_is_left(make_study, monkeypatch):
    monkeypatch.setattr(study_module, "_FIRST_CLIMB", 60)
    spent = {}
    for event in make_study(Budget(None, 1_200), prune="none").run():
        spent[event.trial] = event.evaluations
    *grown, last = spent.values()
    # The settings drawn for later climbs have wider steps, and a climb ends with a whole one.
    assert grown == pytest.approx([60, 180, 200, 200, 200], abs=50)
    assert sum(grown) + last == pytest.approx(1_200, abs=50)
    assert last > 250
    short = make_study(Budget(None, 140), prune="none")
    assert {event.trial for event in short.run()} == {0}


def test_the_study_is_kept_with_its_climbs_the_first_by_the_settings_as_given(make_study, tmp_path):
    path = tmp_path / "study.db"
    study = make_study(Budget(None, 1_200), board=path)
    list(study.run())
    kept = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{path}")
    assert kept.best_value == pytest.approx(study.elite.score)
    assert {trial.state.name for trial in kept.trials} <= {"COMPLETE", "PRUNED"}
    assert kept.best_trial.user_attrs["text"] == study.elite.text
    assert kept.trials[0].intermediate_values
    assert [trial.params for trial in kept.trials[:2]] == [{"start": "corpus"}] * 2
    assert all("width" in trial.params for trial in kept.trials[2:])
    assert len(kept.trials) > 3


def test_a_climb_behind_most_others_is_pruned(make_study):
    alone = {"starts": ("corpus",), "hot": (0.002, 1.0)}
    budget = Budget(None, 8_000)
    pruned = make_study(budget, **alone)
    assert any(event.ended == "pruned" for event in pruned.run())
    # To that event both go the same way.
    never = make_study(Budget(None, budget.evaluations + 100), **alone, prune="none")
    events = list(never.run())
    assert {event.ended for event in events} == {None, "complete"}
    # A single climber's climbs end one by one.
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


# Side by side


def test_climbs_side_by_side_share_the_evaluations_and_end_together(make_study):
    budget = Budget(None, 600)
    events = list(make_study(budget, climbers=3, climb_evaluations=10_000).run())
    spent = {event.trial: event.evaluations for event in events}
    assert sum(spent.values()) == budget.evaluations
    assert {trial: 170 < count < 230 for trial, count in spent.items()} == dict.fromkeys(
        range(3), True
    )
    ended = [event.trial for event in events if event.ended == "complete"]
    assert sorted(ended) == [0, 1, 2]
    assert 600 <= budget.evaluations < 600 + 3 * 12


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_every_strategy_ends_with_the_best_string_of_all_climbs(make_study, exchange):
    study = make_study(Budget(None, 900), climbers=3, exchange=exchange)
    events = list(study.run())
    assert study.elite.score == max(event.step.best.score for event in events)


def test_what_the_strategy_says_is_adopted_by_the_climb_in_that_place(make_study, monkeypatch):
    class Push(Apart):
        """Let the third climb adopt the first one's string, once."""

        pushed = None

        def meet(self, mine, others, _rng):
            if mine.slot == 0 and len(others) == 2 and self.pushed is None:
                Push.pushed = mine.current
                return {2: Adoption(mine.current, "swap")}
            return {}

    monkeypatch.setitem(EXCHANGES, "none", Push)
    adopted, adopt = [], Climber.adopt

    def record(self, number, adoption):
        adopted.append((number, adoption.body))
        return adopt(self, number, adoption)

    monkeypatch.setattr(Climber, "adopt", record)
    list(make_study(Budget(None, 300), climbers=3, exchange="none").run())
    assert adopted == [(2, Push.pushed)]


def test_a_study_of_several_climbers_goes_on_with_fewer(make_study):
    budget = Budget(None, 400)
    study = make_study(budget, climbers=3, climb_evaluations=10_000)
    events = study.run()
    for _ in range(30):
        next(events)
    kept, later = load(dump(study.state())), Budget(None, 400)
    later.evaluations = budget.evaluations
    alone = make_study(later, climb_evaluations=10_000)
    alone.restore(kept)
    rest = list(alone.run())
    # Every climb that was begun is there, and ends.
    assert {event.trial for event in rest} >= {0, 1, 2}
    assert alone.elite.score >= study.elite.score


def test_a_study_restored_elsewhere_continues_as_it_would_have(make_study):
    def rest(study):
        return [(m.trial, m.step.number, m.step.best.text, m.ended) for m in study.run()]

    def begun(budget):
        """Return a study in the middle of its first climb."""
        study = make_study(budget)
        events = study.run()
        for _ in range(12):
            next(events)
        return study

    budget = Budget(None, 500)
    study = begun(budget)
    kept, spent = load(dump(study.state())), budget.evaluations
    assert kept["runs"]
    later = Budget(None, 500)
    other = make_study(later)
    other.restore(kept)
    later.evaluations = spent
    assert other.climbs == study.climbs
    stood, *after = rest(other)
    assert stood[:2] == (0, 11)
    assert after == rest(study)
