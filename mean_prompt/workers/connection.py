"""Connecting to the storage of a shared study, whose server may be slow, gone or hung."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from mean_prompt.system import InputError
from mean_prompt.workers.registry import METADATA
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.study_store import SQLITE_PATIENCE

#: Seconds that a connection is waited for, and a statement, and SQLite's lock.
_CONNECT: Final = 5
_STATEMENT: Final = 20
#: Seconds after which the server takes its locks from a worker that does nothing with them: one
#: that was paused or cut off in the middle of a transaction would hold up all others.
_IDLE: Final = 5


def open_engine(url: StorageURL) -> Engine:
    """Return an engine for a storage in which a search was begun, without making anything there.

    Raises:
        InputError: the storage cannot be reached, or nobody has begun a search in it.
    """
    with explained(url):
        if url.path is None or url.path.exists():
            engine = create_engine(url.with_secrets(), **engine_options(url))
            there = inspect(engine)
            if all(there.has_table(name) for name in METADATA.tables):
                return engine
            engine.dispose()
    raise InputError(
        f"--storage must be one in which a search was begun: {url.shown} holds none; begin it "
        "first with mean-prompt search --storage, or mend the URL"
    )


def engine_options(url: StorageURL) -> dict[str, Any]:
    """Return SQLAlchemy's options: no wait without an end, and dead connections are noticed."""
    if url.kind == "sqlite":
        return {"connect_args": {"timeout": SQLITE_PATIENCE}}
    return {
        "pool_pre_ping": True,
        "pool_size": 2,
        "pool_timeout": _STATEMENT,
        "pool_recycle": 600,
        "connect_args": {
            "connect_timeout": _CONNECT,
            "options": f"-c statement_timeout={_STATEMENT}s "
            f"-c idle_in_transaction_session_timeout={_IDLE}s",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    }


@contextmanager
def explained(url: StorageURL, *more: type[Exception]) -> Iterator[None]:
    """Turn what SQLAlchemy, and whoever uses it, raise into one line without a password.

    Args:
        url: of the storage.
        more: types that are raised beside SQLAlchemy's own.
    """
    faults: tuple[type[Exception], ...] = (SQLAlchemyError, *more)
    try:
        yield
    except faults as error:
        remedy = "see to it that the server runs, and mend the URL"
        if url.kind == "sqlite":
            remedy = "wait where it is locked, mend its rights or its disk, or name another file"
        raise InputError(
            f"the storage must be reachable: {url.shown}: {reason(url, error)}; {remedy}"
        ) from None


def reason(url: StorageURL, error: Exception) -> str:
    """Return the first line of what went wrong, from the driver where it said something.

    It holds no password of the URL.
    """
    cause: BaseException = error
    while cause.__cause__ is not None or getattr(cause, "orig", None) is not None:
        cause = getattr(cause, "orig", None) or cause.__cause__ or cause
    lines = url.scrub(str(cause)).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
