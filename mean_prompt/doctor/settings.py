"""Settings of the planned run that ``mean-prompt doctor`` checks the machine for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: Default folder for runs.
RUNS: Final = Path("results") / "runs"


@dataclass(slots=True)
class RunSettings:
    """Options of the planned run to check for, and the packages found unusable.

    Attributes:
        model: a folder or a hub name, as for a search, or ``None`` for the default model.
        unusable: packages that are missing, too old or broken, filled in by the check of packages:
            a later check that fails while any are unusable is skipped, not a second fault.
    """

    model: str | None = None
    trust: bool = False
    out: Path = RUNS
    unusable: set[str] = field(default_factory=set)
