"""Storages: whole, missing, unreachable, closed, of other versions, and with a password."""

import sqlite3

import pytest
import sqlalchemy as sa

from mean_prompt.doctor import storage as storing
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.storage import check_storage
from mean_prompt.runs.study_file import close_storage
from mean_prompt.workers import storage_url
from mean_prompt.workers.registry import Registry
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.store import open_storage
from tests.doctor.conftest import findings
from tests.postgres import free_port
from tests.workers.conftest import postgres_url, server, sqlite_url, url  # noqa: F401 - fixtures

TABLES, OPTUNA, OWN = "storage's tables", "Optuna's tables", "mean-prompt's tables"
RUN = {"crew": 1, "seconds": 60.0, "max_evaluations": None}


def looked_at(url, study=None):  # noqa: F811
    text = url if isinstance(url, str) else url.with_secrets()
    return findings(check_storage, RunSettings(storage=text, study=study))


def begin(url, *statements):  # noqa: F811
    """Make a storage's tables with a study, and change them."""
    storage = open_storage(url, make=True)
    Registry(storage.engine, "mine").begin({"what": 1}, **RUN)
    Registry(storage.engine, "mine").join("host:1")
    with storage.engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    close_storage(storage)


def fault_of(url, study=None):  # noqa: F811
    [fault] = [one for one in looked_at(url, study).values() if one.state == "fault"]
    return fault


def test_none_is_asked_about():
    [found] = check_storage(RunSettings())
    assert found.state == "skipped"


def test_a_storage_with_a_study_is_good(url):  # noqa: F811
    begin(url)
    found = looked_at(url, "mine")
    assert {one.state for one in found.values()} == {"good"}
    assert found["storage"].found.startswith(f"{url.shown} answers in ")
    assert found[OWN].found == "of version 1, studies: 1"
    assert found["study"].found == "'mine': 1 of 1 workers live"


def test_a_study_that_is_not_there_is_a_note(url):  # noqa: F811
    begin(url)
    assert looked_at(url, "other")["study"].state == "note"


def test_an_empty_database_stays_empty(url):  # noqa: F811
    if url.path:
        sqlite3.connect(url.path).close()
    found = looked_at(url, "mine")
    assert found[TABLES].state == "good"
    assert found["study"].state == "note"
    engine = sa.create_engine(url.with_secrets())
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_file_that_is_not_there_is_not_made(sqlite_url):  # noqa: F811
    [found] = looked_at(sqlite_url).values()
    assert found.state == "good"
    assert not sqlite_url.path.exists()


def test_looking_changes_no_byte(sqlite_url, tmp_path):  # noqa: F811
    begin(sqlite_url)
    before = sqlite_url.path.read_bytes()
    looked_at(sqlite_url, "mine")
    assert [path.name for path in tmp_path.iterdir()] == [sqlite_url.path.name]
    assert sqlite_url.path.read_bytes() == before


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        ("v99.0.0", "install the Optuna that made them on this machine"),
        ("v2.6.0.a", "make a copy, then run: optuna storage upgrade --storage "),
    ],
)
def test_tables_of_another_optuna_are_a_fault(url, version, remedy):  # noqa: F811
    begin(url, f"UPDATE alembic_version SET version_num = '{version}'")
    fault = fault_of(url)
    assert fault.check == OPTUNA
    assert fault.found.startswith(f"of version {version}; Optuna ")
    assert fault.remedy.startswith(remedy)


def test_tables_without_a_version_are_a_fault(url):  # noqa: F811
    begin(url, "DROP TABLE alembic_version")
    assert fault_of(url).found.startswith("of version unknown; ")


def test_tables_of_another_mean_prompt_are_a_fault(url):  # noqa: F811
    begin(url, "UPDATE mean_prompt_runs SET schema = 7")
    fault = fault_of(url)
    assert fault.check == OWN
    assert fault.found == "'mine' is of version 7, this program reads 1"
    assert "study" not in looked_at(url, "mine")


def test_a_file_that_is_no_database_is_a_fault(tmp_path):
    (tmp_path / "notes.db").write_text("dear diary " * 100)
    fault = fault_of(f"sqlite:///{tmp_path}/notes.db")
    assert fault.found.endswith("a file that is not SQLite's")


def test_a_damaged_database_is_a_fault(sqlite_url):  # noqa: F811
    begin(sqlite_url)
    whole = sqlite_url.path.read_bytes()
    sqlite_url.path.write_bytes(whole[:100] + b"\xff" * 4000 + whole[4100:])
    fault = fault_of(sqlite_url)
    assert "malformed" in fault.found
    assert fault.remedy.endswith("or name another file")


def test_a_folder_that_is_not_there_is_a_fault(tmp_path):
    fault = fault_of(f"sqlite:///{tmp_path}/none/study.db")
    assert "its folder is missing" in fault.found


def test_a_file_that_is_locked_is_a_fault(sqlite_url, monkeypatch):  # noqa: F811
    begin(sqlite_url)
    monkeypatch.setattr(storing, "_PATIENCE", 0.05)
    with sqlite3.connect(sqlite_url.path) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert "database is locked" in fault_of(sqlite_url).found
    holder.close()


def test_a_closed_disk_is_a_fault(closed_disk):
    path = closed_disk.folder / "study.db"
    with closed_disk.read_only():
        assert "cannot be made: Read-only file system" in fault_of(f"sqlite:///{path}").found
    begin(StorageURL.of_file(path))
    with closed_disk.read_only():
        assert fault_of(f"sqlite:///{path}").state == "fault"


def test_a_network_file_system_is_a_fault(sqlite_url, monkeypatch):  # noqa: F811
    monkeypatch.setattr("mean_prompt.system.filesystems.network_file_system", lambda _: "nfs4")
    fault = fault_of(sqlite_url)
    assert "is on nfs4" in fault.found
    assert fault.remedy == "use PostgreSQL, or a local disk"


def test_a_server_that_is_not_there_is_a_fault_without_the_password():
    fault = fault_of(f"postgresql://me:hunter2@127.0.0.1:{free_port()}/db")
    assert fault.found.startswith("the storage must be reachable: postgresql://me:***@127.0.0.1")
    assert "hunter2" not in fault.found + fault.remedy
    assert fault.remedy == "see to it that the server runs, and mend the URL"


def test_a_wrong_password_is_a_fault_and_not_shown(server):  # noqa: F811
    fault = fault_of(server.url(server.new_database(), password="wr0ng:pass"))
    assert "password authentication failed" in fault.found
    assert "wr0ng" not in fault.found + fault.remedy


def test_a_url_that_is_none_is_a_fault():
    assert "a storage URL must be" in fault_of("mysql://me:hunter2@host/db").found


def test_postgresql_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setattr(storage_url, "find_spec", lambda _: None)
    fault = fault_of("postgresql://me:hunter2@host/db")
    assert fault.remedy == "run: pip install 'mean-prompt[postgres]'"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("default_transaction_read_only=on", "it is read-only"),
        ("role=guest", "this user may not make the tables that it lacks"),
    ],
)
def test_a_database_that_takes_nothing_is_a_fault(server, option, said):  # noqa: F811
    database = server.new_database()
    if "guest" in option:
        server.execute(database, "DROP ROLE IF EXISTS guest")
        server.execute(database, "CREATE ROLE guest")
        server.execute(database, "REVOKE CREATE ON SCHEMA public FROM public")
    server.execute(database, f"ALTER DATABASE {database} SET {option.replace('=', ' = ')}")
    assert said in fault_of(server.url(database)).found
