"""What is examined: the run that was asked for, and what checks found that later ones go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mean_prompt.encoder import ModelFolder

#: Under which runs make their folders where none is named.
RUNS: Final = Path("results") / "runs"


@dataclass(slots=True)
class RunSettings:
    """A run as somebody would start it.

    Attributes:
        model: as for a search: a folder or a name, or ``None`` for the default.
        trust: whether the model may run code.
        storage: URL of a shared storage, or ``None``.
        study: name of a run in it, or ``None``.
        out: where runs are to be written.
        unusable: packages that are missing, too old or broken; the check of packages fills it.
        found: the model's folder, once its check knows that it is whole.
    """

    model: str | None = None
    trust: bool = False
    storage: str | None = None
    study: str | None = None
    out: Path = RUNS
    unusable: set[str] = field(default_factory=set)
    found: ModelFolder | None = None
