"""Many workers on one study: what they share, and how they go about it."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.workers.conductor import Conductor as Conductor
    from mean_prompt.workers.connection import (
        engine_options as engine_options,
        explained as explained,
    )
    from mean_prompt.workers.crew import Crew as Crew
    from mean_prompt.workers.pool import (
        TETHER_VARIABLE as TETHER_VARIABLE,
        available_cores as available_cores,
    )
    from mean_prompt.workers.registry import Registry as Registry
    from mean_prompt.workers.status import Status as Status, find_status as find_status
    from mean_prompt.workers.storage_url import StorageURL as StorageURL
    from mean_prompt.workers.store import open_storage as open_storage
    from mean_prompt.workers.study_store import close_storage as close_storage
    from mean_prompt.workers.worker import Assignment as Assignment, Worker as Worker

__getattr__, __all__ = lazy_exports(__name__, __file__)
