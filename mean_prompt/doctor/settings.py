"""The run that the doctor is asked about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: The folder of runs that are given none.
RUNS: Final = Path("results") / "runs"


@dataclass(slots=True)
class RunSettings:
    """The options of a run, and the packages that it cannot use.

    Attributes:
        model: a folder or a name, as for a search, or ``None`` for the default model.
        trust: whether the model may run code.
        storage: URL of a shared storage, or ``None``.
        study: name of a run in the storage, or ``None``.
        out: the folder to write runs into.
        unusable: packages that are missing, too old or broken, which the check of packages fills:
            a later check that fails for want of one is skipped and no second fault.
    """

    model: str | None = None
    trust: bool = False
    storage: str | None = None
    study: str | None = None
    out: Path = RUNS
    unusable: set[str] = field(default_factory=set)
