"""Who is to work on a run, and where they meet."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from mean_prompt.runs import STUDY, WORKERS, RunFolder
from mean_prompt.system import MASK, InputError, unwritable, write_atomically
from mean_prompt.workers.pool import STORAGE_VARIABLE
from mean_prompt.workers.storage_url import StorageURL

_CREW: Final = "crew.json"


@dataclass(frozen=True, slots=True)
class Crew:
    """Who is to work on a run.

    Attributes:
        url: of the storage.
        study: its name there.
        workers: on this machine.
    """

    url: StorageURL
    study: str
    workers: int

    def save(self, run: Path) -> None:
        """Write down how to go on with a run; the storage's password is not.

        Raises:
            RunError: the run's folder cannot be written.
        """
        path = run / WORKERS / _CREW
        # A file in the run's folder moves with it.
        is_own = self.url.path is not None and self.url.path.resolve() == (run / STUDY).resolve()
        storage = None if is_own else self.url.shown
        kept = {"study": self.study, "storage": storage, "workers": self.workers}
        try:
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, (json.dumps(kept, indent=2) + "\n").encode())
        except OSError as error:
            raise unwritable(path, error) from error

    @classmethod
    def asked(
        cls, folder: RunFolder | None, workers: int | None, storage: str | None, study: str | None
    ) -> Self | None:
        """Return the processes of a run that is shared by several, or ``None``.

        Raises:
            InputError: the options contradict each other, or the way the run was begun.
        """
        if workers is not None and workers < 1:
            raise InputError(f"--workers must be at least 1: found {workers}")
        is_asked = workers is not None or storage is not None
        if folder is None:
            if is_asked or study is not None:
                raise InputError("a run by several workers must have a folder: give one as out")
            return None
        is_shared = folder.resume and folder.file(WORKERS).is_dir()
        if folder.resume and is_asked and not is_shared:
            # It would begin again in that folder, without what one process found and spent.
            raise InputError(
                f"a run is resumed as it was begun: {folder.path} is of one process; leave out "
                "--workers and --storage (and MEAN_PROMPT_STORAGE), or begin a new run"
            )
        if study is not None and not (is_asked or is_shared):
            raise InputError(
                f"--study is a run's name among workers: found {study!r} without any; give "
                "--workers or --storage too, or leave it out"
            )
        crew = cls.of_run(folder.path, storage, study, workers)
        own = cls.of_run(folder.path, storage, None, workers)
        if is_shared and crew and own and crew.study != own.study:
            raise InputError(
                f"a run is resumed in its own study: that of {folder.path} is {own.study!r}, found "
                f"{crew.study!r}; leave out --study, or begin a new run"
            )
        return crew

    @classmethod
    def of_run(
        cls, run: Path, storage: str | None, study: str | None, workers: int | None
    ) -> Self | None:
        """Return the crew of a run, begun or to be gone on with; ``None`` for a search alone.

        Args:
            run: its folder.
            storage: URL; the run's own, which has to be given again where it has a password, or
                a file in the run's folder, when left out.
            study: name of the study; the run's own, or the folder's, when left out.
            workers: on this machine; as many as the run had, or one, when left out.

        Raises:
            InputError: the run's storage is another one, or has to be given again.
        """
        path = run / WORKERS / _CREW
        kept = json.loads(path.read_text("utf-8")) if path.exists() else None
        if kept is None and storage is None and workers is None:
            return None
        own = StorageURL.of_file((run / STUDY).resolve())
        before = kept and (kept["storage"] or own.shown)
        if storage is None and before and before != own.shown:
            if MASK in before:
                raise InputError(
                    f"a run's password is not kept: that of {run} is {before}; give it as "
                    f"--storage, or in {STORAGE_VARIABLE}"
                )
            storage = before
        url = own if storage is None else StorageURL.parse(storage)
        if before and before != url.shown:
            raise InputError(
                f"a run goes on in its own storage: that of {run} is {before}, found {url.shown}; "
                "give that one as --storage"
            )
        kept = kept or {"study": run.resolve().name, "workers": 1}
        return cls(url, study or kept["study"], workers or kept["workers"])
