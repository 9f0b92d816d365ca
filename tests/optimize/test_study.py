import optuna
import pytest

from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.sampling import StudySettings
from mean_prompt.optimize.study import ClimbStudy
from mean_prompt.workers.store import STUDY_NAME, StudyFile


@pytest.fixture
def make_study(make_evaluator, make_material):
    def make(budget, *, storage=None, **settings):
        evaluator = make_evaluator(budget)
        chosen = StudySettings(**({"climb_evaluations": 200} | settings))
        return ClimbStudy(
            chosen,
            ClimbSettings(width=8, hot=0.05),
            evaluator.read(["poem", "make text"]),
            make_material(evaluator.rules),
            evaluator,
            ceiling=evaluator.objective.ceiling().value,
            rate=1_000.0,
            seed=0,
            exchange=StudyFile(storage, chosen) if storage else None,
        )

    return make


def test_climbs_follow_each_other_until_the_budget_is_spent(make_study):
    budget = Budget(None, 2_000)
    study = make_study(budget)
    moments = list(study.run())
    assert budget.expired()
    trials = [moment.trial for moment in moments]
    assert len(set(trials)) > 5
    assert study.elite.score == max(moment.step.best.score for moment in moments)
    endings = [moment.ended for moment in moments if moment.ended]
    assert len(endings) == len(set(trials))


def test_a_budget_shorter_than_a_climb_makes_one_climb_of_it(make_study):
    moments = list(make_study(Budget(None, 250)).run())
    assert {moment.trial for moment in moments} == {0}


def test_of_three_rivals_the_one_ahead_halfway_goes_on_alone(make_study):
    moments = list(make_study(Budget(None, 440), prune="none").run())
    assert {moment.trial for moment in moments} == {0, 1, 2}
    ended = {moment.trial: moment.ended for moment in moments if moment.ended}
    [ahead] = [trial for trial, ended in ended.items() if ended == "complete"]
    assert sorted(ended.values()) == ["complete", "pruned", "pruned"]
    halfway = {}
    for moment in moments:
        if moment.ended == "pruned":
            break
        halfway[moment.trial] = moment.step.best.score
    assert halfway[ahead] == max(halfway.values())
    steps = {trial: sum(moment.trial == trial for moment in moments) for trial in ended}
    assert all(1.5 * steps[trial] < steps[ahead] for trial in ended if trial != ahead)


def test_without_rivals_climbs_end_one_by_one(make_study):
    moments = list(make_study(Budget(None, 1_000), rivals=1, prune="none").run())
    assert {moment.ended for moment in moments if moment.ended} == {"complete"}
    trials = [moment.trial for moment in moments]
    assert trials == sorted(trials)
    assert len(set(trials)) == 5


def test_the_first_rivals_climb_by_the_settings_as_given(make_study, tmp_path):
    path = tmp_path / "study.db"
    list(make_study(Budget(None, 1_500), storage=path).run())
    kept = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{path}").trials
    assert [trial.params for trial in kept[:3]] == [{"start": "corpus"}] * 3
    assert all("width" in trial.params for trial in kept[3:])
    assert len(kept) > 3


def test_the_study_is_kept_with_its_climbs(make_study, tmp_path):
    path = tmp_path / "study.db"
    study = make_study(Budget(None, 1_500), storage=path)
    list(study.run())
    kept = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{path}")
    assert kept.best_value == pytest.approx(study.elite.score)
    assert {trial.state.name for trial in kept.trials} <= {"COMPLETE", "PRUNED"}
    assert kept.best_trial.user_attrs["climb"]["text"] == study.elite.text
    assert kept.trials[0].params["start"] == "corpus"
    assert kept.trials[0].intermediate_values


def test_a_climb_behind_most_others_is_pruned(make_study):
    alone = {"rivals": 1, "starts": ("corpus",), "hot": (0.002, 1.0)}
    pruned = make_study(Budget(None, 8_000), **alone)
    assert "pruned" in {moment.ended for moment in pruned.run()}
    never = make_study(Budget(None, 8_000), **alone, prune="none")
    assert "pruned" not in {moment.ended for moment in never.run()}


def test_a_stop_ends_the_climb_at_its_next_step(make_study):
    budget = Budget(None, 100_000)
    moments = make_study(budget).run()
    for _ in range(5):
        next(moments)
    spent = budget.evaluations
    budget.stop()
    rest = list(moments)
    assert rest[-1].ended == "stopped"
    assert budget.evaluations <= spent + 20


def test_the_same_seed_and_evaluations_give_the_same_climbs(make_study):
    runs = [
        [(moment.trial, moment.start, moment.step.best.text) for moment in study.run()]
        for study in (make_study(Budget(None, 2_500)), make_study(Budget(None, 2_500)))
    ]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("starts", [("corpus", "phrases", "elite"), ("phrases",), ("elite",)])
def test_going_on_from_an_elite_starts_with_it_and_keeps_the_rest(starts):
    settings = StudySettings(starts=starts, kick=(1, 2))
    rest = tuple(kind for kind in starts if kind != "elite")
    again = settings.from_elite()
    assert tuple(again.starts) == ("elite", *rest)
    assert again.kick == (1, 2)
    assert settings.starts == starts
