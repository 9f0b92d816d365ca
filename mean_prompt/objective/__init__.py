"""The objective: mean sharpened cosine similarity to a corpus's prompts, and its upper bound."""

from typing import TYPE_CHECKING

from mean_prompt.system.lazy import lazy_exports

if TYPE_CHECKING:
    from mean_prompt.objective.compression import (
        Compression as Compression,
        compress_if_large as compress_if_large,
    )
    from mean_prompt.objective.intervals import (
        Interval as Interval,
        bootstrap_interval as bootstrap_interval,
    )
    from mean_prompt.objective.scs import (
        SHARPNESS as SHARPNESS,
        Ceiling as Ceiling,
        Expansion as Expansion,
        ExpectedSCS as ExpectedSCS,
        Objective as Objective,
        StoredVectors as StoredVectors,
        Vectors as Vectors,
        normalized as normalized,
        sharpened as sharpened,
        sharpened_cosines as sharpened_cosines,
        to_numpy as to_numpy,
        to_tensor as to_tensor,
    )

__getattr__, __all__ = lazy_exports(__name__, __file__)
