"""The storage that workers share: reachable, writable, and of the versions that this one reads."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mean_prompt.doctor.disks import probe
from mean_prompt.doctor.finding import Finding
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.system import InputError
from mean_prompt.workers import StorageURL

if TYPE_CHECKING:
    import sqlalchemy as sa

_CHECK: Final = "storage"
#: Seconds that SQLite's lock is waited for: workers hold it for moments.
_PATIENCE: Final = 5.0
#: Tables of Optuna's that say which version made the others.
_OPTUNA: Final = "alembic_version"
_OPTUNA_OLD: Final = "version_info"
_RUNS: Final = "mean_prompt_runs"


def check_storage(patient: RunSettings) -> Iterator[Finding]:
    """Reach the storage and read the versions of its tables, without making any."""
    if patient.storage is None:
        found = "none was named: a search keeps its study in a file of its own folder"
        yield Finding(_CHECK, "skipped", found)
        return
    try:
        url = StorageURL.parse(patient.storage)
        if url.path is not None and not url.path.exists():
            yield _yet_to_be_made(url, url.path)
            return
        with _connected(url) as connection:
            yield _reached(url, connection)
            versions = list(_versions(url, connection))
            yield from versions
            if patient.study is not None and all(one.state == "good" for one in versions):
                yield _study(connection, patient.study)
    except InputError as error:
        yield Finding.of_error(_CHECK, error)


def _yet_to_be_made(url: StorageURL, path: Path) -> Finding:
    try:
        probe(path.parent)
    except OSError as error:
        found = f"{url.shown} is not there, and cannot be made: {error.strerror or error}"
        return Finding(_CHECK, "fault", found, "name a file in a folder that can be written")
    return Finding(_CHECK, "good", f"{url.shown} is not there yet: the first search makes it")


@contextmanager
def _connected(url: StorageURL) -> Iterator[sa.Connection]:
    """Connect to a storage; whatever SQLAlchemy raises meanwhile is one line without a password.

    Raises:
        InputError: it cannot be reached, or not be read.
    """
    from mean_prompt.workers import explained

    with explained(url):
        engine = _engine(url)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def _engine(url: StorageURL) -> sa.Engine:
    import sqlalchemy as sa

    from mean_prompt.workers import engine_options

    if url.path is None:
        return sa.create_engine(url.with_secrets(), **engine_options(url))
    # One that is gone meanwhile is not made anew.
    place = f"{url.path.absolute().as_uri()}?mode=rw"
    return sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(place, timeout=_PATIENCE, uri=True),
        poolclass=sa.NullPool,
    )


def _reached(url: StorageURL, connection: sa.Connection) -> Finding:
    """Return how quickly a storage answers, and whether it lets itself be written.

    Raises:
        SQLAlchemyError: it is an SQLite file that does not.
    """
    import sqlalchemy as sa

    start = time.perf_counter()
    connection.execute(sa.text("SELECT 1"))
    found = f"{url.shown} answers in {1000 * (time.perf_counter() - start):.1f} ms"
    closed = None
    if url.kind == "postgresql":
        closed = _closed(connection)
    else:
        # The lock of somebody who is about to write; nothing is.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.rollback()
    if closed:
        remedy = "connect to the primary server, or as a user who may: GRANT it"
        return Finding(_CHECK, "fault", f"{found}, but {closed}", remedy)
    return Finding(_CHECK, "good", f"{found}, and can be written")


def _closed(connection: sa.Connection) -> str | None:
    """Return why a PostgreSQL database takes nothing from this user, or ``None``."""
    import sqlalchemy as sa

    if connection.execute(sa.text("SHOW transaction_read_only")).scalar_one() == "on":
        return "it is read-only"
    if sa.inspect(connection).has_table(_RUNS):
        asked = f"SELECT has_table_privilege('{_RUNS}', 'INSERT')"
        what = f"this user may not write the table {_RUNS}"
    else:
        asked = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)"
        what = "this user may not make the tables that it lacks"
    return None if connection.execute(sa.text(asked)).scalar_one() else what


def _versions(url: StorageURL, connection: sa.Connection) -> Iterator[Finding]:
    import sqlalchemy as sa

    tables = set(sa.inspect(connection).get_table_names())
    check = "storage's tables"
    if not tables & {_OPTUNA, _OPTUNA_OLD, _RUNS}:
        yield Finding(check, "good", "none yet: the first search makes them")
        return
    yield _optuna_tables(url, connection, has_version=_OPTUNA in tables)
    if _RUNS in tables:
        yield _own_tables(connection)


def _optuna_tables(url: StorageURL, connection: sa.Connection, *, has_version: bool) -> Finding:
    """Return what is to be said of Optuna's tables, which it would change where it opened them."""
    import optuna
    import sqlalchemy as sa

    check = "Optuna's tables"
    found = None
    if has_version:
        found = connection.execute(sa.text(f"SELECT version_num FROM {_OPTUNA}")).scalar()  # noqa: S608
    # A storage in memory is asked what this Optuna would make.
    own = optuna.storages.RDBStorage("sqlite://")
    head, known = own.get_head_version(), own.get_all_versions()
    own.remove_session()
    own.engine.dispose()
    if found == head:
        return Finding(check, "good", f"of version {found}, which Optuna {optuna.__version__} made")
    said = f"of version {found or 'unknown'}; Optuna {optuna.__version__} needs {head}"
    if found is None or found in known:
        remedy = f"make a copy, then run: optuna storage upgrade --storage '{url.shown}'"
    else:
        remedy = "install the Optuna that made them on this machine: pip install --upgrade optuna"
    return Finding(check, "fault", said, remedy)


def _own_tables(connection: sa.Connection) -> Finding:
    import sqlalchemy as sa

    from mean_prompt.workers import SCHEMA

    check = "mean-prompt's tables"
    rows = connection.execute(sa.text(f"SELECT study, schema FROM {_RUNS} ORDER BY study")).all()  # noqa: S608
    strange = [row for row in rows if row.schema != SCHEMA]
    if strange:
        study, schema = strange[0]
        found = f"{study!r} is of version {schema}, this program reads {SCHEMA}"
        remedy = "install one version of mean-prompt everywhere, or take another storage"
        return Finding(check, "fault", found, remedy)
    return Finding(check, "good", f"of version {SCHEMA}, studies: {len(rows)}")


def _study(connection: sa.Connection, study: str) -> Finding:
    """Return how a study stands.

    Raises:
        InputError: it is of another version.
    """
    import sqlalchemy as sa

    from mean_prompt.workers import Registry

    check = "study"
    here = sa.text(f"SELECT count(*) FROM {_RUNS} WHERE study = :study")  # noqa: S608
    has_table = sa.inspect(connection).has_table(_RUNS)
    if not has_table or not connection.execute(here, {"study": study}).scalar_one():
        found = f"there is no {study!r} yet: a search makes it, a worker would be refused"
        return Finding(check, "note", found)
    news = Registry(connection.engine, study).look()
    live = sum(worker.is_live() for worker in news.workers)
    return Finding(check, "good", f"{study!r}: {live} of {len(news.workers)} workers live")
