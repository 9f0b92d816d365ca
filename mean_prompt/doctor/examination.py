"""Runs all checks of what a search needs, one after another."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from mean_prompt.doctor.corpus import check_corpus
from mean_prompt.doctor.device import check_device
from mean_prompt.doctor.diagnosis import Diagnosis, first_line
from mean_prompt.doctor.disks import check_disks
from mean_prompt.doctor.installation import check_extras, check_packages, check_python
from mean_prompt.doctor.machine import check_load, check_memory, check_threads
from mean_prompt.doctor.model import check_model
from mean_prompt.doctor.settings import RunSettings

Check = Callable[[RunSettings], Iterator[Diagnosis]]

#: Load is checked before this program adds to it, packages before the checks that need them.
CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("load", check_load),
    ("installation", check_python),
    ("packages", check_packages),
    ("extras", check_extras),
    ("memory", check_memory),
    ("threads", check_threads),
    ("device", check_device),
    ("disks", check_disks),
    ("corpus", check_corpus),
    ("model", check_model),
)


def examine(
    settings: RunSettings, checks: Sequence[tuple[str, Check]] = CHECKS
) -> Iterator[Diagnosis]:
    """Check everything that a run needs, and yield each result as soon as it is known.

    Nothing is changed, and a check that crashes does not stop the others.
    """
    for name, check in checks:
        try:
            yield from check(settings)
        # Any exception is a result to report, since the user asks what is broken.
        except Exception as error:  # noqa: BLE001
            yield _crashed(name, error, settings)


def _crashed(name: str, error: Exception, settings: RunSettings) -> Diagnosis:
    reason = f"{type(error).__name__}: {first_line(error)}"
    if settings.unusable:
        missing = ", ".join(sorted(settings.unusable))
        return Diagnosis(name, "skipped", f"it cannot be checked without {missing}: {reason}")
    last = traceback.extract_tb(error.__traceback__)[-1]
    found = f"checking it failed in {Path(last.filename).name}, line {last.lineno}: {reason}"
    return Diagnosis(name, "fault", found, "fix what it names, or report a fault of this program")
