"""Who works on a study, told the same by a file and by a server."""

import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from mean_prompt.system.errors import InputError
from mean_prompt.workers import connection as connection_module, registry as module
from mean_prompt.workers.registry import Registry, Report
from mean_prompt.workers.status import find_status
from tests.workers.conftest import PLAN

ELITE = {"body": [4, 1, 4], "score": 0.5}
SAID = Report("climbing", 1_200, 60.5, 2, "a string \N{PARROT}", ELITE)


def test_a_run_is_what_was_begun(registry):
    run = registry.look().run
    assert run.plan == PLAN
    assert (run.crew, run.seconds, run.max_evaluations, run.stopped) == (2, 600.0, None, False)
    assert 0.0 <= run.elapsed < 5.0
    assert len(run.id) == 32


def test_workers_are_numbered_and_say_what_they_do(registry):
    assert [registry.join(name) for name in ("a:1", "b:2")] == [0, 1]
    news = registry.beat(1, SAID)
    assert [(row.number, row.name) for row in news.workers] == [(0, "a:1"), (1, "b:2")]
    assert news.workers[0].report == Report()
    assert news.workers[1].report == SAID
    assert all(row.is_live() for row in news.workers)
    assert all(0.0 <= row.silent < 5.0 for row in news.workers)


def test_where_a_climb_stands_is_told_and_forgotten_with_its_end(registry):
    registry.join("a:1")
    mark = {"body": [4, 1, 4], "score": 0.1 + 0.2, "share": 1 / 3}
    [row] = registry.beat(0, replace(SAID, mark=mark)).workers
    assert row.report.mark == mark
    assert registry.look().workers[0].report == replace(SAID, mark=mark)
    # A climb that has ended is nobody's rival; neither is that of a process that died.
    assert registry.beat(0, SAID).workers[0].report.mark is None


def test_a_worker_that_is_silent_past_its_lease_is_lost_until_it_is_heard_again(registry):
    registry.join("a:1")
    time.sleep(0.3)
    [row] = registry.look().workers
    assert row.silent >= 0.3
    assert row.is_live()
    assert not row.is_live(lease=0.2)
    [row] = registry.beat(0, SAID).workers
    assert row.is_live(lease=0.2)


@pytest.mark.parametrize("phase", ["ended", "failed"])
def test_a_worker_that_said_it_ended_is_not_live(registry, phase):
    registry.join("a:1")
    [row] = registry.beat(0, Report(phase)).workers
    assert row.is_over
    assert not row.is_live()


def test_a_worker_goes_on_in_another_process(registry):
    registry.join("a:1")
    registry.beat(0, SAID)
    assert registry.rejoin(0, "a:2") == Report("starting", *vars_of(SAID)[1:])
    [row] = registry.look().workers
    assert (row.name, row.report.evaluations) == ("a:2", 1_200)


def vars_of(report):
    return [getattr(report, name) for name in type(report).__slots__]


def test_a_worker_that_never_was_cannot_go_on(registry):
    with pytest.raises(InputError, match=r"'study' has no worker 7; begin with another folder"):
        registry.rejoin(7, "a:1")


def test_the_end_is_heard_of(registry):
    registry.join("a:1")
    registry.stop()
    assert registry.beat(0, SAID).run.stopped


def test_a_run_gone_on_with_counts_what_was_spent_and_not_the_pause(registry):
    registry.conduct(120.0)
    time.sleep(0.2)
    spent = registry.begin(PLAN, crew=4, seconds=900.0, max_evaluations=50, elapsed=3.0)
    assert spent == 120.0
    run = registry.look().run
    assert 123.0 <= run.elapsed < 128.0
    assert (run.crew, run.seconds, run.max_evaluations) == (4, 900.0, 50)


def test_a_run_keeps_its_id(registry):
    before = registry.look().run.id
    registry.begin(PLAN, crew=2, seconds=1.0, max_evaluations=None)
    assert registry.look().run.id == before


def test_another_run_of_that_name_is_refused(registry):
    with pytest.raises(InputError, match=r"--study must be a new name, .*: 'study' is of another"):
        registry.begin(PLAN | {"corpus": "xyz"}, crew=1, seconds=1.0, max_evaluations=None)


def test_a_study_that_is_not_there_is_refused(storage):
    with pytest.raises(InputError, match="there is no 'none' in it"):
        Registry(storage.engine, "none").look()


def test_tables_of_another_version_are_refused(registry, storage):
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE mean_prompt_runs SET schema = 99")
    with pytest.raises(InputError, match="has tables of version 99, this one reads 1"):
        registry.look()


def test_studies_in_one_storage_do_not_meet(registry, storage):
    other = Registry(storage.engine, "other")
    other.begin(PLAN, crew=1, seconds=1.0, max_evaluations=None)
    registry.join("a:1")
    assert other.join("b:1") == 0
    assert [row.name for row in registry.look().workers] == ["a:1"]


@pytest.mark.usefixtures("registry")
def test_numbers_are_given_once_to_many_at_the_same_time(at_once):
    numbers = []
    at_once(12, lambda _, storage: numbers.append(Registry(storage.engine, "study").join("a:1")))
    assert sorted(numbers) == list(range(12))


@pytest.mark.usefixtures("refusals")
def test_many_make_the_tables_of_a_fresh_storage_at_once(at_once):
    def begin(number, storage):
        registry = Registry(storage.engine, f"study {number}")
        registry.begin(PLAN, crew=1, seconds=1.0, max_evaluations=None)

    at_once(6, begin, make=True)


def test_the_lease_is_several_beats():
    from mean_prompt.workers.courier import BEAT

    assert module.LEASE >= 5 * BEAT


def test_a_status_that_is_held_up_is_told_all_the_same(registry, url, monkeypatch):
    """A server ends transactions that stand still; a busy machine can hold a reader up as long."""
    registry.join("a:1")
    monkeypatch.setattr(connection_module, "_IDLE", 1)
    look = Registry._look

    def held_up(self, connection):
        look(self, connection)
        time.sleep(1.5)
        return look(self, connection)

    monkeypatch.setattr(Registry, "_look", held_up)
    status = find_status(None, url.with_secrets(), registry.study)
    assert [worker.name for worker in status.workers] == ["a:1"]


def test_a_storage_that_goes_while_it_is_read_is_one_line(registry, url, monkeypatch):
    def gone(_self, connection):
        connection.execute(sa.text("SELECT no_such_column FROM mean_prompt_workers"))

    monkeypatch.setattr(Registry, "_look", gone)
    with pytest.raises(InputError, match=r"the storage must be reachable: .*no_such_column"):
        find_status(None, url.with_secrets(), registry.study)
