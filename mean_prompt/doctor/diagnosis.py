"""The result of one check of the machine, and the formatting of its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Self

from mean_prompt.system import MeanPromptError

State = Literal["good", "note", "warning", "fault", "skipped"]

_UNITS: Final = ("bytes", "kB", "MB", "GB")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of one check of the machine, and what to do about it.

    Attributes:
        state: ``fault`` if a run would fail; ``warning`` if it would be slower, or other than the
            user may expect; ``note`` if worth knowing; ``skipped`` if the check was not asked for
            or not possible.
    """

    check: str
    state: State
    found: str
    remedy: str | None = None

    @classmethod
    def of_error(cls, check: str, error: MeanPromptError) -> Self:
        """Return an error as a diagnosis of state ``fault``; its message ends in the remedy."""
        found, semicolon, remedy = str(error).rpartition("; ")
        return cls(check, "fault", found, remedy) if semicolon else cls(check, "fault", remedy)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if it has none."""
    return (str(error).strip() or repr(error)).splitlines()[0]


def format_bytes(count: float) -> str:
    """Format a number of bytes with three digits and a unit: ``36.4 MB``."""
    for unit in _UNITS:
        if abs(count) < 999.5 or unit == _UNITS[-1]:
            break
        count /= 1000
    return f"{count:.3g} {unit}" if count < 999.5 else f"{count:,.0f} {unit}"
