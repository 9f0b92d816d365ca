"""Check of the device that a model would run on: a GPU if torch can use one, else the CPU."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mean_prompt.doctor.diagnosis import Diagnosis, first_line, format_bytes
from mean_prompt.doctor.settings import RunSettings

#: Folder in which NVIDIA's driver lists its GPUs, whether or not torch can use them.
_DRIVER: Final = Path("/proc/driver/nvidia/gpus")
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
#: Bytes that a model and a batch of strings take on a GPU.
_MEMORY: Final = 2 * 10**9


def check_device(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the device that a run would choose computes, and has memory free."""
    import torch

    from mean_prompt.encoder import choose_device

    with warnings.catch_warnings(record=True) as caught:  # torch says why it cannot use a GPU
        warnings.simplefilter("always")
        device = choose_device("auto")
    if device == "cpu":
        yield _without_gpu([str(warning.message) for warning in caught])
        return
    name = torch.cuda.get_device_name() if device == "cuda" else "Apple's GPU"
    try:
        free = int(torch.cuda.mem_get_info()[0]) if device == "cuda" else None
        _compute(device)
    except RuntimeError as error:
        found = f"{device}: {name} cannot be used: {first_line(error)}"
        remedy = "install a torch that supports it, end what uses it, or search with --device cpu"
        yield Diagnosis("device", "fault", found, remedy)
        return
    found = f"{device}: {name}"
    if free is not None:
        found += f", {format_bytes(free)} of its memory free"
    if free is not None and free < _MEMORY:
        remedy = "end other programs on it, or search with --device cpu"
        yield Diagnosis("device", "warning", found, remedy)
    else:
        yield Diagnosis("device", "good", found)


def _compute(device: str) -> None:
    import torch

    ones = torch.ones((64, 64), device=device)
    if float((ones @ ones).sum().cpu()) != 64**3:
        raise RuntimeError("it multiplies wrongly")


def _without_gpu(messages: list[str]) -> Diagnosis:
    import torch

    if not (_DRIVER.is_dir() and any(_DRIVER.iterdir())):
        return Diagnosis("device", "good", "cpu: torch sees no GPU")
    found = "cpu: there is an NVIDIA GPU that torch does not use"
    if torch.version.cuda is None:
        remedy = "install a torch with CUDA: https://pytorch.org/get-started/locally"
        return Diagnosis("device", "warning", f"{found}, which is built without CUDA", remedy)
    if _VISIBLE in os.environ:
        found += f", since {_VISIBLE} is {os.environ[_VISIBLE]!r}"
        return Diagnosis("device", "warning", found, f"unset {_VISIBLE}, to use the GPU")
    reason = messages[0].splitlines()[0] if messages else "it does not say why"
    return Diagnosis("device", "warning", f"{found}: {reason}", "update NVIDIA's driver, or torch")
