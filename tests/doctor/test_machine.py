"""Load, memory, threads and the limits of a container, on machines that are made up."""

import os
from pathlib import Path

import pytest
import torch

from mean_prompt.doctor import device, limits, machine
from mean_prompt.doctor.device import check_device
from mean_prompt.doctor.machine import check_load, check_memory, check_threads
from mean_prompt.doctor.patient import RunSettings
from tests.doctor.conftest import findings


@pytest.fixture
def cores(monkeypatch):
    """Return a function that sets cores, torch's threads, and what a container is given."""

    def put(count, threads, quota=None, physical=None):
        monkeypatch.setattr(machine, "available_cores", lambda: count)
        monkeypatch.setattr(machine, "core_quota", lambda: quota)
        monkeypatch.setattr(machine, "physical_cores", lambda: physical or count)
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)

    for name in machine._THREADS:
        monkeypatch.delenv(name, raising=False)
    return put


def threads():
    return findings(check_threads, RunSettings())["threads"]


def test_a_thread_a_core_is_good(cores):
    cores(4, 4)
    assert threads().state == "good"
    cores(8, 4, physical=4)  # two threads of a core
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


def test_a_container_with_less_time_than_cores_is_a_warning(cores):
    cores(64, 64, quota=1.5)
    assert "of which this process is given the time of 1.5" in threads().found
    assert threads().remedy.startswith("set OMP_NUM_THREADS=2: ")
    cores(64, 2, quota=1.5)
    assert threads().state == "good"


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


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Return a function that writes the files that Linux would tell by."""
    monkeypatch.setattr(limits, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(limits, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(limits, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(limits, "_OWN_GROUPS", tmp_path / "own")

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_the_memory_of_a_machine_is_what_is_available(system):
    system(meminfo="MemTotal: 2048 kB\nMemAvailable: 1024 kB\n")
    assert limits.available_memory() == 1024 * 1024


def test_a_group_above_may_leave_less_and_cached_files_are_left(system, tmp_path):
    system(own="0::/a/b\n", meminfo="MemAvailable: 1024 kB\n", cgroup__a__b__memory="")
    for group, most in (("a/b", "max"), ("a", "1000")):
        folder = tmp_path / "cgroup" / group
        (folder / "memory.max").write_text(most)
        (folder / "memory.current").write_text("900")
        (folder / "memory.stat").write_text("anon 500\ninactive_file 50\n")
    assert limits.available_memory() == 150


def test_the_first_version_of_groups_is_read_too(system, tmp_path):
    system(own="4:memory:/x\n5:cpu,cpuacct:/x\n")
    memory, cpu = (tmp_path / "cgroup" / name / "x" for name in ("memory", "cpu"))
    for folder in (memory, cpu):
        folder.mkdir(parents=True)
    (memory / "memory.limit_in_bytes").write_text("700")
    (memory / "memory.usage_in_bytes").write_text("100")
    (cpu / "cpu.cfs_quota_us").write_text("150000")
    (cpu / "cpu.cfs_period_us").write_text("100000")
    assert limits.available_memory() == 600
    assert limits.core_quota() == 1.5


@pytest.mark.parametrize(("text", "quota"), [("max 100000", None), ("50000 100000", 0.5)])
def test_the_time_of_a_group(system, tmp_path, text, quota):
    system(own="0::/\n")
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup" / "cpu.max").write_text(text)
    assert limits.core_quota() == quota


@pytest.mark.usefixtures("system")
def test_a_system_that_does_not_tell():
    assert limits.available_memory() is None
    assert limits.core_quota() is None
    assert limits.has_fast_bfloat16() is None


@pytest.mark.parametrize(
    ("line", "has"), [("flags : fpu amx_bf16", True), ("Features\t: fp asimd", False)]
)
def test_instructions_for_bfloat16(system, line, has):
    system(cpuinfo=f"processor : 0\n{line}\n")
    assert limits.has_fast_bfloat16() is has


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
