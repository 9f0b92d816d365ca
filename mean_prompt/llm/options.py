"""The options of LLM predictors (sampling, batch, time-outs, ...) and their bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

from mean_prompt.system import InputError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]

#: Least and greatest value of each number.
_BOUNDS: Final = {
    "samples": (1, 64),
    "temperature": (0, 5),
    "max_new_tokens": (1, 4096),
    "batch": (1, 4096),
    "timeout": (0.01, 86_400),
    "concurrency": (1, 1024),
    "retries": (0, 20),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True, slots=True)
class LLMOptions:
    """Options of an LLM predictor: sampling, a local model's batches, a server's requests.

    Attributes:
        samples: predictions drawn for each row; more than one needs a temperature.
        temperature: sampling temperature; 0 takes the likeliest token each time.
        batch: answers that a local model writes at once.
        dtype: type of a local model's weights; ``auto`` is bfloat16 on CUDA and on CPUs that
            multiply it in hardware, float32 elsewhere.
        timeout: seconds that a server has to begin an answer, and again to finish it.
        retries: times that a request is repeated if the server is busy, broken, or does not begin
            to answer in time.
    """

    samples: int = 1
    temperature: float = 0.0
    max_new_tokens: int = 64
    batch: int = 8
    dtype: Dtype = "auto"
    four_bit: bool = False
    timeout: float = 60.0
    concurrency: int = 8
    retries: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                raise InputError(
                    f"the LLM's {name} must be from {least} to {most}: found {value}; change it"
                )
        if self.dtype not in get_args(Dtype):
            known = ", ".join(get_args(Dtype))
            raise InputError(f"the LLM's dtype must be one of {known}: found {self.dtype!r}")
        if self.samples > 1 and self.temperature == 0:
            raise InputError(
                f"several samples need a temperature above 0, or all are the same: found "
                f"{self.samples} samples at temperature 0; set one, such as 0.7"
            )

    @property
    def sampling(self) -> str:
        """The sampling options as a string for cache keys, with the seed only if it is used."""
        drawn = f" seed={self.seed}" if self.temperature > 0 else ""
        return (
            f"samples={self.samples} temperature={self.temperature:g} "
            f"max_new_tokens={self.max_new_tokens}{drawn}"
        )
