"""What a run needs, looked at piece by piece, and what to do where something is amiss."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.doctor.examination import examine as examine
    from mean_prompt.doctor.finding import Finding as Finding, State as State
    from mean_prompt.doctor.patient import RUNS as RUNS, RunSettings as RunSettings

__getattr__, __all__ = lazy_exports(
    __name__,
    {
        "examination": ["examine"],
        "finding": ["Finding", "State"],
        "patient": ["RunSettings", "RUNS"],
    },
)
