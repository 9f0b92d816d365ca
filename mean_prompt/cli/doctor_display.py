"""Lines of the doctor: each appears as soon as it is found, and can be copied whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from mean_prompt.doctor import Diagnosis, State

_STYLES: Final[dict[State, str]] = {
    "good": "green",
    "note": "cyan",
    "warning": "yellow",
    "fault": "bold red",
    "skipped": "dim",
}
_WIDTH: Final = max(map(len, _STYLES)) + 2


def print_findings(findings: Iterable[Diagnosis]) -> list[Diagnosis]:
    """Print what is found, what to do on a line below, and a verdict; return the findings."""
    console = Console(highlight=False)
    printed = []
    for finding in findings:
        state = (finding.state.ljust(_WIDTH), _STYLES[finding.state])
        line = Text.assemble(state, (finding.check, "bold"), f": {finding.found}")
        console.print(line, soft_wrap=True)
        if finding.remedy:
            console.print(Text(f"{' ' * _WIDTH}-> {finding.remedy}"), soft_wrap=True)
        printed.append(finding)
    states = Counter(finding.state for finding in printed)
    warnings = _counted(states["warning"], "warning")
    verdict = f"no fault, {warnings}: a run works"
    if states["fault"]:
        verdict = f"{_counted(states['fault'], 'fault')}, {warnings}: a run would not work"
    console.print(Text(verdict), soft_wrap=True)
    return printed


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'s' * (count != 1)}"
