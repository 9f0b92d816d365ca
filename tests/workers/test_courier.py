"""What a courier carries arrives once, whatever its storage goes through, and it never waits."""

import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy.exc import SQLAlchemyError

from mean_prompt.optimize.budget import Budget
from mean_prompt.optimize.sampling import StudySettings
from mean_prompt.system.errors import InputError
from mean_prompt.workers import courier as module
from mean_prompt.workers.courier import Courier
from mean_prompt.workers.registry import Registry, Report
from mean_prompt.workers.spool import Spool
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.store import open_storage
from mean_prompt.workers.study_store import StudyStore, close_storage
from tests.postgres import running_server
from tests.workers.conftest import PLAN
from tests.workers.records import climb

ELITE = {"body": [4, 1, 4], "score": 0.5}
SAID = Report("climbing", 1_200, 60.5, 2, "a string", ELITE)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    monkeypatch.setattr(module, "_LOOK", 0.05)


@contextmanager
def courier_of(url, folder, *, budget=None, beat=0.05):
    """Join a study as one more worker with a courier, and leave it."""
    storage = open_storage(url, make=False)
    registry = Registry(storage.engine, "study")
    number = registry.join("host:1")
    store = StudyStore(storage, "study", StudySettings())
    courier = Courier(
        store, registry, Spool(folder), number, budget or Budget(600.0), url, beat=beat
    )
    courier.start()
    try:
        yield courier
    finally:
        courier.finish("ended", patience=20)
        close_storage(storage)


def eventually(true, *, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_a_worker_is_heard_of_while_its_climbs_wait(registry, url, tmp_path, monkeypatch):
    """A storage that takes its time with climbs hears of their worker all the same."""
    add = StudyStore.add

    def slow(store, record):
        time.sleep(0.2)
        add(store, record)

    monkeypatch.setattr(StudyStore, "add", slow)
    with courier_of(url, tmp_path / "a") as courier:
        for number in range(12):
            courier.add(climb(number))
        courier.say(SAID)
        eventually(lambda: registry.look().workers[0].report == SAID)
        assert len(Spool(tmp_path / "a")) > 2
        assert registry.look().workers[0].report.phase == "climbing"
    [row] = registry.look().workers
    assert row.report.phase == "ended"
    assert len(Spool(tmp_path / "a")) == 0


@pytest.mark.usefixtures("registry")
def test_climbs_and_strings_reach_the_other_workers(url, tmp_path):
    with courier_of(url, tmp_path / "a") as one, courier_of(url, tmp_path / "b") as other:
        one.say(SAID)
        one.add(climb(0, worker=0))
        eventually(lambda: len(other.ended()) == 1)
        assert list(other.ended()) == [climb(0, worker=0)]
        eventually(lambda: other.elite() == ELITE)
        assert one.elite() is None
    assert len(Spool(tmp_path / "a")) == 0


def test_what_others_spend_counts_on_the_budget_of_all(registry, url, tmp_path):
    budget = Budget(600.0, 10_000)
    registry.begin(PLAN, crew=2, seconds=600.0, max_evaluations=10_000)
    with courier_of(url, tmp_path / "a") as other, courier_of(url, tmp_path / "b", budget=budget):
        other.say(SAID)
        eventually(lambda: budget.others == 1_200)
        assert budget.fraction() == pytest.approx(0.12, abs=0.02)


def test_a_changed_budget_and_the_end_are_heard_of(registry, url, tmp_path):
    budget = Budget(600.0)
    with courier_of(url, tmp_path / "a", budget=budget):
        registry.begin(PLAN, crew=2, seconds=900.0, max_evaluations=77)
        eventually(lambda: budget.limits.max_evaluations == 77)
        assert budget.seconds == 898.0  # the rest is for scoring what they find
        registry.stop()
        eventually(lambda: budget.stopped)


def test_the_runs_clock_is_the_servers(registry, url, tmp_path):
    registry.conduct(100.0)
    registry.begin(PLAN, crew=2, seconds=600.0, max_evaluations=None)
    budget = Budget(600.0)
    with courier_of(url, tmp_path / "a", budget=budget):
        eventually(lambda: budget.elapsed >= 100.0)
        assert budget.elapsed < 115.0


def test_the_last_words_are_said(registry, url, tmp_path):
    with courier_of(url, tmp_path / "a", beat=1_000.0) as courier:
        courier.say(SAID)
        courier.add(climb())
    [row] = registry.look().workers
    assert row.report == replace(SAID, phase="ended", rate=0.0)
    storage = open_storage(url, make=False)
    assert StudyStore(storage, "study", StudySettings()).records() == [climb()]
    close_storage(storage)


# A server that fails


@pytest.fixture
def own_server():
    """A server that the test may do anything to."""
    with running_server() as server:
        yield server


@pytest.fixture
def own_url(own_server):
    url = StorageURL.parse(own_server.url(own_server.new_database()))
    storage = open_storage(url, make=True)
    Registry(storage.engine, "study").begin(PLAN, crew=1, seconds=600.0, max_evaluations=None)
    close_storage(storage)
    return url


def climbs_in(url):
    storage = open_storage(url, make=False)
    try:
        return StudyStore(storage, "study", StudySettings()).records()
    finally:
        close_storage(storage)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_server_that_restarts_loses_nothing_and_nobody_waits(own_server, own_url, tmp_path):
    with courier_of(own_url, tmp_path / "a") as courier:
        courier.add(climb(0))
        eventually(lambda: len(courier.ended()) == 1)
        own_server.stop()
        began = time.monotonic()
        for number in range(1, 4):
            courier.add(climb(number))
            courier.say(replace(SAID, climbs=number))
        assert time.monotonic() - began < 1.0
        assert len(Spool(tmp_path / "a")) == 3
        time.sleep(0.5)
        own_server.start()
        eventually(lambda: len(courier.ended()) == 4)
        assert len(Spool(tmp_path / "a")) == 0
    assert [record.number for record in climbs_in(own_url)] == [0, 1, 2, 3]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_server_that_crashes_loses_nothing(own_server, own_url, tmp_path):
    with courier_of(own_url, tmp_path / "a") as courier:
        for number in range(6):
            courier.add(climb(number))
            if number % 2:
                own_server.stop(how=3)  # SIGQUIT: no farewell to anybody
                own_server.start()
        eventually(lambda: len(courier.ended()) == 6, seconds=60)
    assert [record.number for record in climbs_in(own_url)] == list(range(6))


def test_connections_that_are_broken_off_are_opened_again(own_server, own_url, tmp_path):
    database = own_url.with_secrets().rsplit("/", 1)[1]
    with courier_of(own_url, tmp_path / "a") as courier:
        courier.add(climb(0))
        eventually(lambda: len(courier.ended()) == 1)
        assert own_server.drop_connections(database) > 0
        courier.add(climb(1))
        eventually(lambda: len(courier.ended()) == 2)


def test_a_worker_that_was_paused_with_a_lock_holds_nobody_up_for_long(own_url, tmp_path):
    """As one that is stopped in the middle of handing in a climb."""
    storage = open_storage(own_url, make=False)
    with courier_of(own_url, tmp_path / "a") as courier, storage.engine.connect() as paused:
        paused.exec_driver_sql("SELECT * FROM studies FOR UPDATE")
        courier.add(climb())
        time.sleep(1.0)
        assert len(Spool(tmp_path / "a")) == 1
        eventually(lambda: len(courier.ended()) == 1)
        with pytest.raises(SQLAlchemyError, match="idle-in-transaction timeout"):
            paused.exec_driver_sql("SELECT 1")
    close_storage(storage)


def test_a_server_that_takes_no_writes_is_tried_again(own_server, own_url, tmp_path):
    """As one whose disk is full, or that is being moved."""
    database = own_url.with_secrets().rsplit("/", 1)[1]
    with courier_of(own_url, tmp_path / "a") as courier:
        forbid = f"ALTER DATABASE {database} SET default_transaction_read_only = "
        own_server.execute("postgres", forbid + "on")
        own_server.drop_connections(database)
        courier.add(climb())
        time.sleep(0.6)
        assert len(Spool(tmp_path / "a")) == 1
        own_server.execute("postgres", forbid + "off")
        own_server.drop_connections(database)
        eventually(lambda: len(courier.ended()) == 1)
    assert climbs_in(own_url) == [climb()]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_a_gone_server_did_not_take_waits_for_the_next_process(own_server, own_url, tmp_path):
    storage = open_storage(own_url, make=False)
    registry = Registry(storage.engine, "study")
    number = registry.join("host:1")
    store = StudyStore(storage, "study", StudySettings())
    courier = Courier(store, registry, Spool(tmp_path), number, Budget(600.0), own_url, beat=0.05)
    courier.start()
    own_server.stop()
    courier.add(climb())
    assert not courier.finish("ended", patience=1.0)
    assert len(Spool(tmp_path)) == 1
    own_server.start()
    courier.finish("ended", patience=60.0)
    close_storage(storage)
    with courier_of(own_url, tmp_path):
        pass
    assert climbs_in(own_url) == [climb()]


def test_a_study_that_is_deleted_ends_the_worker_with_a_line(registry, storage, url, tmp_path):
    budget = Budget(600.0)
    courier = Courier(
        StudyStore(storage, "study", StudySettings()),
        registry, Spool(tmp_path), registry.join("host:1"), budget, url, beat=0.05,
    )  # fmt: skip
    courier.start()
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM mean_prompt_runs")
    eventually(lambda: budget.stopped)
    with pytest.raises(InputError, match="there is no 'study' in it"):
        courier.finish("ended", patience=5.0)


def test_pauses_grow_and_end_somewhere(registry, storage, url, tmp_path):
    courier = Courier(
        StudyStore(storage, "study", StudySettings()),
        registry, Spool(tmp_path), 0, Budget(600.0), url,
    )  # fmt: skip
    pauses = []
    for failures in (0, 1, 3, 5, 40):
        courier._failures = failures
        pauses.append(courier._pause())
    assert pauses[0] == module.BEAT
    assert 0.25 <= pauses[1] <= 0.5
    assert 1.0 <= pauses[2] <= 2.0
    assert 15.0 <= pauses[4] <= module._LONGEST_PAUSE
