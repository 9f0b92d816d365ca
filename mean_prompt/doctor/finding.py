"""What a check says of one thing that a run needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from mean_prompt.system import MeanPromptError

State = Literal["good", "note", "warning", "fault", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what it is called.
        state: with a ``fault`` the run that was asked about would not work, with a ``warning`` it
            is slower or another than may be thought; a ``note`` is no more than worth knowing, and
            what was ``skipped`` was not asked about, or could not be looked at.
        found: what there is, in one line.
        remedy: what to do, or ``None`` where there is nothing.
    """

    check: str
    state: State
    found: str
    remedy: str | None = None

    @classmethod
    def of_error(cls, check: str, error: MeanPromptError, remedy: str | None = None) -> Self:
        """Return what a run would say, whose message ends in the remedy unless one is given."""
        message = str(error)
        if remedy is None:
            rule, semicolon, end = message.rpartition("; ")
            message, remedy = (rule, end) if semicolon else (message, None)
        return cls(check, "fault", message, remedy)


def first_line(error: BaseException) -> str:
    """Return what an error says first, or its type where it says nothing."""
    return (str(error).strip() or repr(error)).splitlines()[0]
