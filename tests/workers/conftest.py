"""Storages for the tests of workers: a file, and a real server."""

import gc
import threading
import warnings

import pytest

from mean_prompt.workers.registry import Registry
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.store import open_storage
from mean_prompt.workers.study_store import close_storage
from tests.postgres import running_server


@pytest.fixture(scope="session")
def server():
    """A PostgreSQL server for all tests that leave it as it was."""
    with running_server() as found:
        yield found


@pytest.fixture
def sqlite_url(tmp_path):
    return StorageURL.of_file(tmp_path / "study.db")


@pytest.fixture
def postgres_url(server):
    return StorageURL.parse(server.url(server.new_database()))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    """Every storage in turn."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def storage(url):
    storage = open_storage(url, make=True)
    yield storage
    close_storage(storage)


@pytest.fixture
def refusals():
    """Collect what Optuna leaves open where it refuses a storage, within the test that it is of."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Exception ignored", pytest.PytestUnraisableExceptionWarning
        )
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@pytest.fixture
def at_once(url):
    """Return a function that calls another one in many threads, each with a storage of its own."""

    def run(count, work, *, make=False):
        start, faults = threading.Barrier(count), []

        def call(number):
            try:
                start.wait()
                storage = open_storage(url, make=make)
                try:
                    work(number, storage)
                finally:
                    close_storage(storage)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
                faults.append(error)

        threads = [threading.Thread(target=call, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert faults == []

    return run


PLAN = {"recipe": {}, "corpus": "abc", "model": "def", "name": "tiny"}


@pytest.fixture
def registry(storage):
    """The registry of a study that has begun."""
    registry = Registry(storage.engine, "study")
    registry.begin(PLAN, crew=2, seconds=600.0, max_evaluations=None)
    return registry
