"""Checks of this machine's load, memory, cores and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from mean_prompt.doctor.diagnosis import Diagnosis, format_bytes
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.system import available_memory

#: Bytes that a search takes: with all-MiniLM-L6-v2 over the packaged corpus, 64 tokens, on a CPU,
#: 1.3 GB were resident at its peak. A T5 of base size has 0.5 GB more in its two copies.
_MEMORY: Final = 18 * 10**8
#: Variables that set the threads of the libraries below torch, numpy and the tokenizers.
_THREADS: Final = tuple(f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "RAYON"))


def check_load(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the machine is already busy: its load average against its cores."""
    import joblib

    if not hasattr(os, "getloadavg"):
        yield Diagnosis("load", "skipped", "this system does not report it")
        return
    load, cores = os.getloadavg()[0], joblib.cpu_count()
    found = f"{load:.1f} processes at work over the last minute, on {_counted(cores, 'core')}"
    if load > cores:
        remedy = "wait for them: a search by time finds less, and the speeds below are of now"
        yield Diagnosis("load", "warning", f"{found}: others use this machine", remedy)
    else:
        yield Diagnosis("load", "good", found)


def check_memory(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether the available memory is enough for a search."""
    free = available_memory()
    if free is None:
        yield Diagnosis("memory", "skipped", "this system does not report what is available")
        return
    found = f"{format_bytes(free)} available"
    if free < _MEMORY:
        found += f": a search may take {format_bytes(_MEMORY)}"
        remedy = "end other programs, or search a smaller corpus with a smaller model"
        yield Diagnosis("memory", "warning", found, remedy)
    else:
        yield Diagnosis("memory", "good", found)


def check_threads(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether torch's number of threads fits the cores that this process may use."""
    import joblib
    import torch

    # The first count is within a container's share of time. Torch starts one thread per physical
    # core: a second thread on a core gains little.
    cores, physical = joblib.cpu_count(), joblib.cpu_count(only_physical_cores=True)
    threads = torch.get_num_threads()
    found = f"torch uses {_counted(threads, 'thread')} on {_counted(cores, 'core')}"
    settings = [f"{name}={os.environ[name]}" for name in _THREADS if os.environ.get(name)]
    if settings:
        found += f"; set: {', '.join(settings)}"
    if threads < physical:
        remedy = "unset what is set" if settings else f"set OMP_NUM_THREADS={cores}"
        yield Diagnosis("threads", "warning", found, f"{remedy}: cores stand idle")
    elif threads > cores:
        remedy = f"set OMP_NUM_THREADS={cores}: threads that wait for each other slow a search down"
        yield Diagnosis("threads", "warning", found, remedy)
    else:
        yield Diagnosis("threads", "good", found)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
