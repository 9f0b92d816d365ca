"""Folders to write into: writable, closed, full, a file, and on a network file system."""

import shutil
import tempfile
from pathlib import Path

import pytest

from mean_prompt.doctor.disks import check_disks
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.system import filesystems
from tests.doctor.conftest import findings

RUNS, CACHES = "runs' folder", "caches"


def check(out):
    return findings(check_disks, RunSettings(out=Path(out)))


@pytest.fixture(autouse=True)
def room(monkeypatch):
    """Return a function that sets the free bytes of every disk; there are enough before."""

    def put(free):
        usage = shutil.disk_usage("/")._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    put(10**12)
    return put


def test_writable_folders_are_good_and_left_as_they_were(tmp_path):
    found = check(tmp_path / "results" / "runs")
    assert {name: one.state for name, one in found.items()} == {
        RUNS: "good",
        CACHES: "good",
        "temporary folder": "good",
    }
    assert f"(it is made in {tmp_path})" in found[RUNS].found
    assert not list(tmp_path.iterdir())


def test_a_closed_disk_is_a_fault(closed_disk, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(closed_disk.folder / "cache"))
    with closed_disk.read_only():
        found = check(closed_disk.folder / "mine")
    assert found[RUNS].state == found[CACHES].state == "fault"
    assert found[RUNS].found.endswith("mine cannot be written: Read-only file system")
    assert found[RUNS].remedy.endswith("give another --out")
    assert found[CACHES].remedy.endswith("set MEAN_PROMPT_CACHE to another folder")


def test_a_full_disk_is_a_fault(full_disk):
    with full_disk.full():
        found = check(full_disk.folder)
    assert found[RUNS].state == "fault"
    assert "cannot be written: " in found[RUNS].found


def test_little_room_is_a_warning(tmp_path, room):
    room(50 * 10**6)
    found = check(tmp_path)
    assert found[RUNS].state == "warning"
    assert "50 MB free: a search and its caches may take 500 MB" in found[RUNS].found


@pytest.mark.parametrize("name", ["file", "file/runs", "x" * 300])
def test_a_path_that_can_be_no_folder_is_a_fault(tmp_path, name):
    (tmp_path / "file").write_text("")
    assert check(tmp_path / name)[RUNS].state == "fault"


def test_a_network_file_system_is_a_fault(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text(f"36 35 98:0 / {tmp_path} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(filesystems, "_MOUNTS", table)
    found = check(tmp_path / "runs")[RUNS]
    assert found.state == "fault"
    assert found.found.endswith("is on nfs4")
    assert found.remedy == "give another --out"


def test_no_temporary_folder_is_a_warning(tmp_path, monkeypatch):
    def missing():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", missing)
    found = check(tmp_path)
    assert found["temporary folder"].state == "warning"
    assert found[RUNS].state == "good"
