"""Checks that the machine has everything that a run needs, with a remedy for each fault."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.doctor.diagnosis import Diagnosis as Diagnosis, State as State
    from mean_prompt.doctor.examination import examine as examine
    from mean_prompt.doctor.settings import RUNS as RUNS, RunSettings as RunSettings

__getattr__, __all__ = lazy_exports(__name__, __file__)
