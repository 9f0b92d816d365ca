"""Workers on a clock of evaluations are the real ones, with a fake encoder and short climbs."""

import pytest

from benchmarks import virtual as module
from benchmarks.virtual import POINTS, VirtualCrew
from mean_prompt.optimize import study as study_module
from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.climb import ClimbSettings
from mean_prompt.optimize.constraints import Constraints
from mean_prompt.optimize.sampling import StudySettings
from mean_prompt.optimize.study import ClimbStudy
from mean_prompt.runs.recipe import Recipe
from tests.fakes import WORDS, FakeEncoder

EVALUATIONS = 100
RECIPE = Recipe(
    constraints=Constraints(max_tokens=4),
    climb=ClimbSettings(width=4),
    study=StudySettings(climb_evaluations=30, rivals=2),
)


@pytest.fixture(scope="module")
def crew(tmp_path_factory):
    corpus = tmp_path_factory.mktemp("crew") / "prompts.txt"
    rows = [f"{one} the {other}" for one in WORDS for other in WORDS if one < other]
    corpus.write_text("\n".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_encoder", lambda _model, **_options: FakeEncoder())
        patch.setattr(study_module, "_LEAST_RIVAL", 10)
        crew = VirtualCrew(corpus, "fake", max_tokens=4)
        crew._recipe = RECIPE
        yield crew


def test_one_worker_is_a_search_on_its_own(crew):
    """With rivals of its own in every round, of which it has none among other workers."""
    budget = Budget(None, EVALUATIONS)
    task = crew._arena.task(budget, 5)
    study = ClimbStudy(
        RECIPE.study,
        RECIPE.climb,
        list(task.starts),
        task.vocabulary,
        task.evaluator,
        ceiling=task.ceiling,
        rate=crew._rate,
        seed=5,
    )
    trials = {event.trial for event in study.run()}
    assert len(trials) > 2
    curve = crew.run(1, EVALUATIONS, 5)
    assert curve[-1] == study.elite.score / task.ceiling
    assert curve == crew.run(1, EVALUATIONS, 5, together=False)
    alone, _ = crew._study(module._Seat(module._Board(), 0), EVALUATIONS, 5, 1)
    assert alone._settings == RECIPE.study
    among, _ = crew._study(module._Seat(module._Board(), 0), EVALUATIONS, 5, 2)
    assert among._settings == RECIPE.study.model_copy(update={"rivals": 1})


def test_curves_are_of_the_best_so_far_and_repeat(crew):
    curve = crew.run(3, EVALUATIONS, 1)
    assert len(curve) == POINTS
    assert curve == sorted(curve)
    assert 0.0 < curve[-1] <= 1.0
    assert curve == crew.run(3, EVALUATIONS, 1)
    assert curve != crew.run(3, EVALUATIONS, 2)


def test_workers_apart_are_as_good_as_the_best_of_them(crew):
    """The first of them does what one does without rivals of its own."""
    apart = crew.run(3, EVALUATIONS, 1, together=False)
    seats = [module._Seat(module._Board(), worker) for worker in range(3)]
    best = 0.0
    for seat in seats:
        study, _ = crew._study(seat, EVALUATIONS, 1, 3)
        for _ in study.run():
            pass
        best = max(best, study.elite.score)
    assert apart[-1] == best / crew._arena.problem.train_ceiling


def test_the_worker_that_has_spent_least_is_next(crew, monkeypatch):
    spent, numbers = [], {}
    run = ClimbStudy.run

    def record(study):
        for event in run(study):
            worker = numbers.setdefault(study, len(numbers))
            spent.append((worker, study._evaluator.budget.evaluations))
            yield event

    monkeypatch.setattr(ClimbStudy, "run", record)
    crew.run(3, EVALUATIONS, 1)
    ahead = dict.fromkeys(range(3), 0)
    for worker, evaluations in spent:
        working = [spent for spent in ahead.values() if spent < EVALUATIONS]
        assert not working or ahead[worker] == min(working)
        ahead[worker] = evaluations
    assert min(ahead.values()) >= EVALUATIONS


def test_a_seat_shows_the_others_alone():
    board = module._Board()
    mine, other = module._Seat(board, 0), module._Seat(board, 1)
    assert (mine.elite(), list(mine.marks())) == (None, [])
    for worker, score in ((0, 0.9), (1, 0.5)):
        board.elites[worker] = {"body": [worker], "score": score}
        board.marks[worker] = {"body": [worker], "score": score, "share": 0.3}
    assert mine.elite()["body"] == [1]
    assert other.elite()["body"] == [0]
    assert [mark["body"] for mark in mine.marks()] == [[1]]
