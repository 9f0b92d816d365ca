"""Check of the database that the workers of a shared search use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mean_prompt.doctor.diagnosis import Diagnosis
from mean_prompt.doctor.disks import probe
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.system import InputError

if TYPE_CHECKING:
    from mean_prompt.workers import StorageURL

_CHECK: Final = "storage"
_RUNS: Final = "mean_prompt_runs"


def check_storage(settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the workers' database can be opened; no tables are created in it."""
    from mean_prompt.workers import StorageURL

    if settings.storage is None:
        found = "none is named: a search keeps its study in a file of its own folder"
        yield Diagnosis(_CHECK, "skipped", found)
        return
    try:
        url = StorageURL.parse(settings.storage)
        if url.path is None or url.path.exists():
            yield from _opened(url, settings.study)
        else:
            probe(url.path.parent)
            found = f"{url.shown} is not there yet: the first search makes it"
            yield Diagnosis(_CHECK, "good", found)
    except InputError as error:
        yield Diagnosis.of_error(_CHECK, error)
    except OSError as error:
        found = f"its file cannot be made: {error.strerror or error}"
        yield Diagnosis(_CHECK, "fault", found, "name a file in a folder that can be written")


def _opened(url: StorageURL, study: str | None) -> Iterator[Diagnosis]:
    import sqlalchemy as sa

    from mean_prompt.workers import (
        Registry,
        close_storage,
        engine_options,
        explained,
        open_storage,
    )

    engine = sa.create_engine(url.with_secrets(), **engine_options(url))
    try:
        with explained(url):
            is_new = not sa.inspect(engine).has_table(_RUNS)
        if is_new:
            found = f"{url.shown} answers, without tables: the first search makes them"
            yield Diagnosis(_CHECK, "good", found)
            return
        close_storage(open_storage(url, make=False))
        yield Diagnosis(_CHECK, "good", f"{url.shown} answers, with tables of these versions")
        if study is not None:
            workers = Registry(engine, study).look().workers
            live = sum(worker.is_live() for worker in workers)
            yield Diagnosis("study", "good", f"{study!r}: {live} of {len(workers)} workers live")
    finally:
        engine.dispose()
