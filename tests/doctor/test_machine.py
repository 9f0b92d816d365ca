"""Load, memory, threads and devices of machines that are made up."""

import os
from pathlib import Path

import joblib
import pytest
import torch

from mean_prompt.doctor import device, machine
from mean_prompt.doctor.device import check_device
from mean_prompt.doctor.machine import check_load, check_memory, check_threads
from mean_prompt.doctor.settings import RunSettings
from tests.doctor.conftest import findings


@pytest.fixture
def cores(monkeypatch):
    """Return a function that sets the cores, and torch's threads."""

    def put(count, threads, physical=None):
        def cpu_count(only_physical_cores=False):
            return physical or count if only_physical_cores else count

        monkeypatch.setattr(joblib, "cpu_count", cpu_count)
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    for name in machine._THREADS:
        monkeypatch.delenv(name, raising=False)
    return put


def threads():
    return findings(check_threads, RunSettings())["threads"]


def test_a_thread_a_core_is_good(cores):
    cores(4, 4)
    assert threads().state == "good"
    cores(8, 4, physical=4)
    assert threads().state == "good"


def test_idle_cores_are_a_warning_and_what_is_set_is_named(cores, monkeypatch):
    cores(4, 1)
    assert threads().remedy == "set OMP_NUM_THREADS=4: cores stand idle"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads().state == "warning"
    assert threads().found == "torch uses 1 thread on 4 cores; set: OMP_NUM_THREADS=1"
    assert threads().remedy == "unset what is set: cores stand idle"


def test_more_threads_than_cores_are_a_warning(cores):
    cores(2, 64)
    assert threads().state == "warning"
    assert threads().remedy.startswith("set OMP_NUM_THREADS=2: threads that wait")


@pytest.mark.parametrize(("load", "state"), [(0.5, "good"), (9.0, "warning")])
def test_others_on_the_machine_are_a_warning(cores, monkeypatch, load, state):
    cores(2, 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert findings(check_load, RunSettings())["load"].state == state


@pytest.mark.parametrize(
    ("free", "state"), [(10**8, "warning"), (10**11, "good"), (None, "skipped")]
)
def test_little_memory_is_a_warning(monkeypatch, free, state):
    monkeypatch.setattr(machine, "available_memory", lambda: free)
    assert findings(check_memory, RunSettings())["memory"].state == state


def test_a_gpu_that_torch_does_not_use_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.mps, "is_available", lambda: False)
    monkeypatch.setattr(device, "_DRIVER", tmp_path / "none")
    assert findings(check_device, RunSettings())["device"].state == "good"
    monkeypatch.setattr(device, "_DRIVER", tmp_path)
    Path(tmp_path / "0000:01").touch()
    monkeypatch.setattr(torch.version, "cuda", None)
    assert findings(check_device, RunSettings())["device"].found.endswith("is built without CUDA")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = findings(check_device, RunSettings())["device"]
    assert found.state == "warning"
    assert found.remedy == "unset CUDA_VISIBLE_DEVICES, to use the GPU"


def test_a_gpu_that_cannot_be_used_is_a_fault(monkeypatch):
    def fail(_device):
        raise RuntimeError("CUDA error: no kernel image is available\nmore")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**10, 10**10))
    monkeypatch.setattr(device, "_compute", fail)
    found = findings(check_device, RunSettings())["device"]
    assert found.state == "fault"
    assert found.found.startswith("cuda: Old GPU cannot be used: CUDA error: no kernel image")
    monkeypatch.setattr(device, "_compute", lambda _device: None)
    assert findings(check_device, RunSettings())["device"].state == "good"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10**8, 10**10))
    assert findings(check_device, RunSettings())["device"].state == "warning"
