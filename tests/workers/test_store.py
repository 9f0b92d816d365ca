"""Climbs in a study: each once, as it was, beside whatever else is there."""

from contextlib import closing
from dataclasses import asdict, replace

import optuna
import pytest

from mean_prompt.optimize.sampling import ClimbRecord, StudySettings
from mean_prompt.runs.study_file import STUDY_NAME, StudyFile
from mean_prompt.system.errors import InputError
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.store import open_storage
from mean_prompt.workers.study_store import StudyStore, close_storage
from tests.postgres import free_port
from tests.workers.records import climb


@pytest.fixture
def store(storage):
    return StudyStore(storage, "study", StudySettings())


def test_climbs_come_back_as_they_were(store):
    drawn = replace(
        climb(1, worker=3, ended="pruned"),
        params={
            "start": "elite",
            "kick": 2,
            "order": 0.05,
            "phrase": 0.1,
            "width": 30,
            "hot": 0.01,
        },
    )
    for record in (climb(), drawn):
        store.add(record)
    assert store.records() == [climb(), drawn]


def test_a_climb_that_is_handed_in_twice_counts_once(store):
    for _ in range(3):
        store.add(climb())
    store.add(replace(climb(), score=0.9))
    store.add(climb(0, worker=1))
    assert [record.key for record in store.records()] == [(0, 0), (1, 0)]
    assert store.records()[0].score == 0.5


def test_a_climb_whose_arrival_is_not_known_is_looked_for(store, monkeypatch):
    """As where the server took it, and went away before it said so."""
    add = store._study.add_trial

    def torn(trial):
        add(trial)
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(store._study, "add_trial", torn)
        with pytest.raises(OSError, match="gone"):
            store.add(climb())
    store.add(climb())
    assert len(store._study.trials) == 1


def test_a_climb_that_stands_there_twice_is_read_once(store, storage):
    """As where a server had taken it, and a worker was not told."""
    study = optuna.load_study(study_name="study", storage=storage)
    for score in (0.5, 0.6):
        study.add_trial(climb(score=score).trial(StudySettings()))
    assert [record.score for record in store.records()] == [0.5]


def test_no_trial_is_left_running_and_optuna_sees_the_best(store, storage):
    for number, score in enumerate((0.2, 0.7, 0.4)):
        store.add(climb(number, score=score))
    study = optuna.load_study(study_name="study", storage=storage)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
    assert study.best_value == 0.7
    assert study.best_trial.user_attrs["text"] == climb(1).text
    assert study.trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


def test_trials_of_others_are_passed_over(store, storage):
    study = optuna.load_study(study_name="study", storage=storage)
    study.add_trial(optuna.trial.create_trial(value=0.9))
    study.ask()
    store.add(climb())
    assert store.records() == [climb()]


def test_many_at_once_lose_nothing(at_once, store):
    """Eight connections to one study, each handing in three climbs."""

    def add(worker, storage):
        mine = StudyStore(storage, "study", StudySettings())
        for number in range(3):
            mine.add(climb(number, worker=worker))

    at_once(8, add)
    found = sorted(record.key for record in store.records())
    assert found == [(worker, number) for worker in range(8) for number in range(3)]


def test_the_file_of_a_run_knows_its_climbs_again(tmp_path):
    path = tmp_path / "study.db"
    with closing(StudyFile(path, StudySettings())) as first:
        first.add(climb())
        first.add(climb())
    with closing(StudyFile(path, StudySettings())) as second:
        second.add(climb())
        second.add(climb(1))
        assert second.ended() == [climb(), climb(1)]
        assert second.elite() is None
    study = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{path}")
    assert len(study.trials) == 2


def test_a_path_with_the_signs_of_a_url_is_a_path(tmp_path):
    folder = tmp_path / "50% off? #1"
    folder.mkdir()
    with closing(StudyFile(folder / "study.db", StudySettings())) as file:
        file.add(climb())
    assert [path.name for path in folder.iterdir()] == ["study.db"]


def test_a_record_survives_json():
    assert ClimbRecord.of_dict(asdict(climb())) == climb()
    with pytest.raises(KeyError, match="reports"):
        ClimbRecord.of_dict({"worker": 1})


# What cannot be opened


def test_a_server_that_is_not_there_is_one_line_without_its_password():
    url = StorageURL.parse(f"postgresql://me:geheim@127.0.0.1:{free_port()}/study")
    with pytest.raises(
        InputError, match=r"must be reachable: postgresql://me:\*\*\*@127"
    ) as caught:
        open_storage(url, make=True)
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_password_is_one_line_without_it(server):
    url = StorageURL.parse(server.url("postgres", password="falsch"))
    with pytest.raises(InputError, match="password authentication failed") as caught:
        open_storage(url, make=True)
    assert "falsch" not in str(caught.value)


def test_a_storage_without_a_search_is_not_made_into_one(url):
    with pytest.raises(InputError, match=r"in which a search was begun: .* holds none; begin it"):
        open_storage(url, make=False)
    assert url.path is None or not url.path.exists()


@pytest.mark.usefixtures("refusals")
def test_tables_of_another_optuna_are_refused(url):
    storage = open_storage(url, make=True)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
    close_storage(storage)
    with pytest.raises(InputError, match=r"must hold tables of this Optuna \("):
        open_storage(url, make=False)
