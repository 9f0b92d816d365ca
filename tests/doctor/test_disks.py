"""Where runs and caches are written: writable, closed, full, a file, and across a network."""

import shutil
import tempfile
from pathlib import Path

import pytest

from mean_prompt.doctor.disks import check_disks
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.system import filesystems as mounts
from tests.doctor.conftest import findings

RUNS, CACHES = "runs' folder", "caches"


def looked_at(out):
    return findings(check_disks, RunSettings(out=Path(out)))


@pytest.fixture(autouse=True)
def room(monkeypatch):
    """A disk with room, whatever this machine has."""
    usage = shutil.disk_usage("/")._replace(free=10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


def test_writable_folders_are_good_and_left_as_they_were(tmp_path):
    found = looked_at(tmp_path / "results" / "runs")
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
        found = looked_at(closed_disk.folder / "mine")
    assert found[RUNS].state == found[CACHES].state == "fault"
    assert found[RUNS].found.endswith("mine cannot be written: Read-only file system")
    assert found[RUNS].remedy.endswith("give another --out")
    assert found[CACHES].remedy.endswith("set MEAN_PROMPT_CACHE to another folder")


def test_a_full_disk_is_a_fault(full_disk):
    with full_disk.full():
        found = looked_at(full_disk.folder)
    assert found[RUNS].state == "fault"
    assert "cannot be written: " in found[RUNS].found


def test_little_room_is_a_warning(tmp_path, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=50 * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    found = looked_at(tmp_path)
    assert found[RUNS].state == "warning"
    assert "50 MB free: a search and its caches may take " in found[RUNS].found


@pytest.mark.parametrize("below", ["", "runs"])
def test_a_file_in_the_way_is_a_fault(tmp_path, below):
    (tmp_path / "file").write_text("")
    found = looked_at(tmp_path / "file" / below)
    assert found[RUNS].state == "fault"
    assert "Not a directory" in found[RUNS].found


def test_a_name_that_is_too_long_is_a_fault(tmp_path):
    assert looked_at(tmp_path / ("x" * 300))[RUNS].state == "fault"


def test_a_network_file_system_is_a_fault(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text(f"36 35 98:0 / {tmp_path} rw - nfs4 server:/home rw\n")
    monkeypatch.setattr(mounts, "_MOUNTS", table)
    found = looked_at(tmp_path / "runs")
    assert found[RUNS].state == "fault"
    assert found[RUNS].found.startswith("a run's study must be on a local disk")
    assert found[RUNS].found.endswith("is on nfs4")
    assert found[RUNS].remedy == "give another --out"


def test_no_temporary_folder_is_a_warning(tmp_path, monkeypatch):
    def missing():
        raise FileNotFoundError(2, "No usable temporary directory found")

    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "gettempdir", missing)
    monkeypatch.setattr(tempfile, "TemporaryFile", real)
    found = looked_at(tmp_path)
    assert found["temporary folder"].state == "warning"
    assert found[RUNS].state == "good"
