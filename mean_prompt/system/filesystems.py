"""Detecting network file systems, on which SQLite's locks cannot be relied on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mean_prompt.system.errors import InputError

#: The table of mounts, which only Linux has.
_MOUNTS: Final = Path("/proc/self/mountinfo")
#: Types of file systems that several machines may use at once; the roots of containers and virtual
#: machines (overlay, 9p, virtiofs) are not among them.
_NETWORK: Final = frozenset(
    {"acfs", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "gfarm"}
    | {"glusterfs", "gpfs", "ibrix", "lustre", "moosefs", "ncpfs", "nfs", "nfs4", "openafs"}
    | {"orangefs", "panfs", "pvfs2", "quobyte", "smb", "smb2", "smb3", "smbfs", "vboxsf", "wekafs"}
)
#: The same for file systems that run as a program (FUSE), such as ``fuse.sshfs``.
_NETWORK_FUSE: Final = _NETWORK | frozenset(
    {"afpfs", "blobfuse", "blobfuse2", "ceph-fuse", "cephfs", "curlftpfs", "davfs2", "gcsfuse"}
    | {"goofys", "hdfs", "juicefs", "mfs", "mount.glusterfs", "mountpoint-s3", "rclone", "s3fs"}
    | {"seaweedfs", "sshfs", "weed"}
)
#: Blanks and backslashes in a mount's path are written as three octal digits.
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that a path is on, such as ``nfs4``.

    The path need not exist; links are followed. ``None`` stands for a local or unknown type.
    """
    place = Path(os.path.realpath(path))
    # Of several mounts on one point the last one counts.
    holding = [(len(point.parts), kind) for point, kind in _mounts() if _holds(point, place)]
    deepest = max((depth for depth, _ in holding), default=0)
    kind = next((kind for depth, kind in reversed(holding) if depth == deepest), "")
    family, _, program = kind.partition(".")
    is_network = program in _NETWORK_FUSE if family == "fuse" else kind in _NETWORK
    return kind if is_network else None


def check_local(path: Path, what: str, remedy: str) -> None:
    """Raise an error that names ``what`` if an SQLite file's path is on a network file system."""
    kind = network_file_system(path)
    if kind:
        raise InputError(
            f"{what} must be on a local disk, since SQLite relies on locks that a network file "
            f"system does not keep: {path} is on {kind}; {remedy}"
        )


def _holds(point: Path, place: Path) -> bool:
    return place == point or point in place.parents


def _mounts() -> Iterator[tuple[Path, str]]:
    """Yield the path and the file system type of every mount, in the order of mounting."""
    try:
        lines = _MOUNTS.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    except OSError:  # not Linux, or no /proc
        return
    for line in lines:
        # 36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/sda1 rw
        mount, mark, source = line.partition(" - ")
        fields = mount.split(" ")
        if mark and len(fields) > 4:
            yield Path(_unescaped(fields[4])), source.split(" ")[0]


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
