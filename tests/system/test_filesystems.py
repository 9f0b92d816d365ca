"""Network file systems are distinguished from local ones by the mounts of this process."""

from pathlib import Path

import pytest

from mean_prompt.system import filesystems as mounts
from mean_prompt.system.errors import InputError
from mean_prompt.system.filesystems import check_local, network_file_system

NETWORK = ["nfs4", "cifs", "lustre", "fuse.sshfs", "fuse.s3fs"]
LOCAL = ["ext4", "tmpfs", "overlay", "virtiofs", "fuse", "fuseblk", "fuse.ntfs-3g"]


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """Return a function that mounts file systems: points below a folder, and their types."""
    monkeypatch.setattr(mounts, "_MOUNTS", tmp_path / "mountinfo")
    place = tmp_path / "place"
    place.mkdir()

    def mounted(*rows):
        lines = ["22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw"]
        for number, (point, kind) in enumerate(rows, 30):
            written = f"{place}{point}".replace("\\", "\\134").replace(" ", "\\040")
            lines.append(f"{number} 22 0:{number} / {written} rw,noatime - {kind} server:/ rw,x=1")
        (tmp_path / "mountinfo").write_text("\n".join(lines) + "\n")
        return place

    return mounted


@pytest.mark.parametrize("kind", NETWORK)
def test_network_file_systems_are_named(mounted, kind):
    place = mounted(("/data", kind))
    assert network_file_system(place / "data") == kind
    assert network_file_system(place / "data" / "deep" / "study.db") == kind
    assert network_file_system(place / "database") is None
    assert network_file_system(place) is None


@pytest.mark.parametrize("kind", LOCAL)
def test_local_ones_and_those_of_containers_are_not(mounted, kind):
    assert network_file_system(mounted(("/data", kind)) / "data" / "study.db") is None


def test_the_deepest_mount_counts(mounted):
    place = mounted(("/data/scratch", "xfs"), ("/data", "nfs4"), ("/data/scratch/far", "lustre"))
    assert network_file_system(place / "data" / "a") == "nfs4"
    assert network_file_system(place / "data" / "scratch" / "a") is None
    assert network_file_system(place / "data" / "scratch" / "far" / "a") == "lustre"


def test_of_two_mounts_on_a_point_the_later_counts(mounted):
    assert network_file_system(mounted(("/data", "nfs"), ("/data", "ext4")) / "data") is None
    assert network_file_system(mounted(("/data", "ext4"), ("/data", "nfs")) / "data") == "nfs"


def test_blanks_and_backslashes_in_a_point_are_read(mounted):
    place = mounted((r"/my data\x", "cifs"))
    assert network_file_system(place / "my data\\x" / "a") == "cifs"


def test_links_and_relative_paths_are_followed_to_where_they_lead(mounted, monkeypatch):
    place = mounted(("/far", "nfs"))
    (place / "far").mkdir()
    (place / "near").symlink_to(place / "far")
    assert network_file_system(place / "near" / "study.db") == "nfs"
    monkeypatch.chdir(place / "far")
    assert network_file_system(Path("study.db")) == "nfs"


def test_links_that_go_round_and_broken_lines_are_no_fault(mounted):
    place = mounted()
    (place / "round").symlink_to(place / "round")
    assert network_file_system(place / "round") is None
    mounts._MOUNTS.write_bytes(b"\n- - \nx\n1 2 3 4 - nfs\n\xff\xff \xff \xff \xff \xff - \n")
    assert network_file_system(place) is None
    mounts._MOUNTS.unlink()
    assert network_file_system(place) is None


def test_the_refusal_says_what_where_and_what_to_do(mounted):
    place = mounted(("/far", "nfs4"))
    check_local(place / "near.db", "a study", "take another")
    with pytest.raises(InputError) as caught:
        check_local(place / "far" / "study.db", "a study's SQLite file", "take another")
    assert str(caught.value) == (
        "a study's SQLite file must be on a local disk, since SQLite relies on locks that a "
        f"network file system does not keep: {place}/far/study.db is on nfs4; take another"
    )
