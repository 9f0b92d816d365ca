"""What the engine does beyond what every method must do."""

from mean_prompt.bench.engine import Engine
from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.sampling import StudySettings
from mean_prompt.optimize.study import ClimbStudy
from tests.bench.peers.worlds import evaluations, make_task


def test_a_start_that_is_worse_than_the_corpus_is_not_yielded_first():
    task = make_task(evaluations(100))
    assert next(Engine().search(task, task.starts[-1])) is task.starts[0]


def test_the_settings_reach_the_study(monkeypatch):
    seen = []
    make = ClimbStudy.__init__

    def record(self, settings, base, *rest, **options):
        seen.append((settings, base))
        make(self, settings, base, *rest, **options)

    monkeypatch.setattr(ClimbStudy, "__init__", record)
    climb, study = ClimbSettings(width=3), StudySettings(starts=("phrases",))
    list(Engine(climb, study).search(make_task(evaluations(100))))
    assert seen == [(study, climb)]


def test_the_first_climb_goes_on_from_a_start_as_it_stands(monkeypatch):
    [better] = list(Engine().search(make_task(evaluations(300))))[-1:]
    task = make_task(evaluations(300), seed=1)
    moments = []
    run = ClimbStudy.run

    def record(self):
        for moment in run(self):
            moments.append(moment)
            yield moment

    monkeypatch.setattr(ClimbStudy, "run", record)
    list(Engine().search(task, better))
    assert moments[0].start == "elite"
    assert moments[0].step.best is better
