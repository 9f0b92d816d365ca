"""Climbs that ended, kept in an Optuna study: each once, whatever happens on the way."""

from __future__ import annotations

import time
from typing import Final

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import event
from sqlalchemy.exc import (
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError as PoolTimeout,
)

from mean_prompt.system import InputError
from mean_prompt.workers.connection import (
    engine_options,
    explained,
    open_engine,
    reason,
)
from mean_prompt.workers.registry import METADATA
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.study_store import write_ahead

#: Tries to make the tables, which several processes may do at once.
_TRIES: Final = 5

#: What the libraries raise where a server, its disk or the way to it fails, and may be better
#: later; anything else of SQLAlchemy's will be the same then.
TRANSIENT: Final = (
    StorageInternalError,
    OperationalError,
    InterfaceError,
    InternalError,
    PoolTimeout,
)


def open_storage(url: StorageURL, *, make: bool) -> RDBStorage:
    """Return an Optuna storage, whose engine serves the registry too.

    Args:
        url: where it is.
        make: whether to make the tables that it lacks.

    Raises:
        InputError: it cannot be reached, is refused, holds the tables of another version, or none
            where they are not to be made.
    """
    # Optuna announces every study on standard error; the run has a display of its own.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not make:
        open_engine(url).dispose()  # Optuna would make a file that is not there
    with explained(url, StorageInternalError):
        storage = _made(url) if make else _opened(url, make=False)
    if url.kind == "sqlite":
        event.listen(storage.engine, "connect", write_ahead)
        storage.engine.dispose()  # the connections from before have not heard of it
    return storage


def _made(url: StorageURL) -> RDBStorage:
    for attempt in range(_TRIES):
        try:
            storage = _opened(url, make=True)
            METADATA.create_all(storage.engine)
        except (SQLAlchemyError, StorageInternalError):
            # Another process was quicker with a table: the next look finds it made.
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.2 * 2**attempt)
        else:
            return storage
    raise AssertionError("unreachable")


def _opened(url: StorageURL, *, make: bool) -> RDBStorage:
    try:
        return RDBStorage(
            url.with_secrets(),
            engine_kwargs=engine_options(url),
            skip_table_creation=not make,
        )
    except RuntimeError as error:
        # Optuna's own word for tables of another version.
        raise InputError(
            f"the storage must hold tables of this Optuna ({optuna.__version__}): "
            f"{url.shown}: {reason(url, error)}"
        ) from None
