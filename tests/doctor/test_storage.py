"""Storages: whole, missing, unreachable, closed, and with a password."""

import pytest
import sqlalchemy as sa

from mean_prompt.doctor.settings import RunSettings
from mean_prompt.doctor.storage import check_storage
from mean_prompt.workers.registry import Registry
from mean_prompt.workers.store import open_storage
from mean_prompt.workers.study_store import close_storage
from tests.doctor.conftest import findings
from tests.postgres import free_port
from tests.workers.conftest import postgres_url, server, sqlite_url, url  # noqa: F401 - fixtures


def check(url, study=None):  # noqa: F811
    text = url if isinstance(url, str) else url.with_secrets()
    return findings(check_storage, RunSettings(storage=text, study=study))


def begin(url, *statements):  # noqa: F811
    """Make a storage's tables with a study, and change them."""
    storage = open_storage(url, make=True)
    run = {"crew": 1, "seconds": 60.0, "max_evaluations": None}
    Registry(storage.engine, "mine").begin({"what": 1}, **run)
    Registry(storage.engine, "mine").join("host:1")
    with storage.engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    close_storage(storage)


def fault_of(url, study=None):  # noqa: F811
    [fault] = [one for one in check(url, study).values() if one.state == "fault"]
    return fault


def test_none_is_named():
    [found] = check_storage(RunSettings())
    assert found.state == "skipped"


def test_a_storage_with_a_study_is_good(url):  # noqa: F811
    begin(url)
    found = check(url, "mine")
    assert {one.state for one in found.values()} == {"good"}
    assert found["storage"].found == f"{url.shown} answers, with tables of these versions"
    assert found["study"].found == "'mine': 1 of 1 workers live"


def test_an_empty_database_stays_empty(url):  # noqa: F811
    engine = sa.create_engine(url.with_secrets())
    engine.connect().close()
    [found] = check(url, "mine").values()
    assert found.state == "good"
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_file_that_is_not_there_is_not_made(sqlite_url):  # noqa: F811
    [found] = check(sqlite_url).values()
    assert found.state == "good"
    assert not sqlite_url.path.exists()


def test_tables_of_another_optuna_are_a_fault(sqlite_url):  # noqa: F811
    begin(sqlite_url, "UPDATE alembic_version SET version_num = 'v99.0.0'")
    assert "must hold tables of this Optuna" in fault_of(sqlite_url).found


def test_a_file_that_is_no_database_is_a_fault(tmp_path):
    (tmp_path / "notes.db").write_text("dear diary " * 100)
    fault = fault_of(f"sqlite:///{tmp_path}/notes.db")
    assert fault.found.endswith("a file that is not SQLite's")


def test_a_closed_disk_is_a_fault(closed_disk):
    with closed_disk.read_only():
        found = fault_of(f"sqlite:///{closed_disk.folder / 'study.db'}").found
    assert found == "its file cannot be made: Read-only file system"


def test_a_server_that_is_not_there_is_a_fault_without_the_password():
    fault = fault_of(f"postgresql://me:hunter2@127.0.0.1:{free_port()}/db")
    assert fault.found.startswith("the storage must be reachable: postgresql://me:***@127.0.0.1")
    assert "hunter2" not in fault.found + fault.remedy


def test_a_wrong_password_is_a_fault_and_not_shown(server):  # noqa: F811
    fault = fault_of(server.url(server.new_database(), password="wr0ng:pass"))
    assert "password authentication failed" in fault.found
    assert "wr0ng" not in fault.found + fault.remedy


@pytest.mark.parametrize("wrong", ["mysql://me:hunter2@host/db", "study.db"])
def test_a_url_that_is_none_is_a_fault(wrong):
    assert "a storage URL must be" in fault_of(wrong).found
