"""All checks, one after another: one that fails does not lose what the others find."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from mean_prompt.doctor.corpus import check_corpus
from mean_prompt.doctor.device import check_device
from mean_prompt.doctor.disks import check_disks
from mean_prompt.doctor.faiss import check_faiss
from mean_prompt.doctor.finding import Finding, first_line
from mean_prompt.doctor.machine import check_load, check_memory, check_threads
from mean_prompt.doctor.model_files import check_model_files
from mean_prompt.doctor.packages import check_extras, check_installation, check_packages
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.precision import check_precision
from mean_prompt.doctor.storage import check_storage

Check = Callable[[RunSettings], Iterator[Finding]]

#: By what a check is called. The load is looked at before this program is a part of it; packages
#: stand before what needs them, and a model's files before the model is loaded from them.
CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("load", check_load),
    ("installation", check_installation),
    ("packages", check_packages),
    ("extras", check_extras),
    ("memory", check_memory),
    ("threads", check_threads),
    ("device", check_device),
    ("faiss", check_faiss),
    ("disks", check_disks),
    ("corpus", check_corpus),
    ("model files", check_model_files),
    ("precision", check_precision),
    ("storage", check_storage),
)


def examine(
    patient: RunSettings, checks: Sequence[tuple[str, Check]] = CHECKS
) -> Iterator[Finding]:
    """Look at all that a run needs; yield what is found, as it is found.

    Nothing is changed: what is written to try a disk is gone again.

    Args:
        patient: the run that is asked about.
        checks: what to look at, by name.
    """
    for name, check in checks:
        try:
            yield from check(patient)
        # Whatever broke is what the user came to hear of: it is said, and the rest is looked at.
        except Exception as error:  # noqa: BLE001
            yield _failed(name, error, patient)


def _failed(name: str, error: Exception, patient: RunSettings) -> Finding:
    said = f"{type(error).__name__}: {first_line(error)}"
    if patient.unusable:
        return Finding(
            name, "skipped", f"it cannot be looked at without {_listed(patient.unusable)}: {said}"
        )
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    return Finding(
        name,
        "fault",
        f"looking at it failed in {place}: {said}",
        "mend what it names; if that is nothing of yours, it is a fault of this program: report it",
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
