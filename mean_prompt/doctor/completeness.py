"""Whether a model's folder holds all that its modules are loaded from, in files that are whole."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from mean_prompt.encoder import UNUSED_FOLDERS, shard_names, tokenizer_files

#: Modules that have weights; what others need, their loading tells.
_WEIGHTED: Final = frozenset({"Transformer", "Dense"})
_WEIGHTS: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"
#: What Git leaves in place of a large file that was not fetched.
_POINTER: Final = b"version https://git-lfs"
#: The hub's cache keeps large files under their SHA-256.
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Module:
    """A module of a model: its class, and its folder as ``modules.json`` names it."""

    kind: str
    place: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a model's folder holds.

    Attributes:
        modules: how many there are.
        size: of all weights, in bytes.
        faults: what is missing or damaged, a line each.
    """

    modules: int
    size: int
    faults: tuple[str, ...]


def inventory(folder: Path, *, trust: bool) -> Inventory:
    """Look through a model's folder.

    Args:
        folder: of the model.
        trust: whether its weights may be pickles.

    Raises:
        OSError: it cannot be read.
    """
    try:
        modules = _modules(folder)
    except ValueError:
        return Inventory(0, 0, ("modules.json is damaged",))
    faults = [fault for module in modules for fault in _missing(module, folder, trust=trust)]
    if not tokenizer_files(folder):
        faults.append("the tokenizer is missing (tokenizer.json)")
    weights = [
        path
        for path in sorted(folder.rglob("*.safetensors"))
        if not UNUSED_FOLDERS & set(path.relative_to(folder).parts)
    ]
    for path in weights:
        fault = _damage(path)
        if fault:
            faults.append(f"{path.relative_to(folder)} {fault}")
    size = sum(path.stat().st_size for path in weights if path.exists())
    return Inventory(len(modules), size, tuple(faults))


def _modules(folder: Path) -> list[_Module]:
    """Return the modules that a folder says it has: a plain transformer where it says nothing.

    Raises:
        ValueError: what it says cannot be read.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return [_Module("Transformer", "")]
    try:
        entries = json.loads(path.read_text("utf-8"))
        return [_Module(entry["type"].split(".")[-1], str(entry["path"])) for entry in entries]
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} names no modules") from error


def _missing(module: _Module, folder: Path, *, trust: bool) -> Iterator[str]:
    """Yield what a module lacks."""
    if module.kind not in _WEIGHTED:
        return
    place, home = PurePosixPath(module.place), folder / module.place
    if not (home / "config.json").is_file():
        yield f"{place / 'config.json'} is missing"
    if os.path.lexists(home / _WEIGHTS):  # a link to nothing is told as such
        return
    shards = shard_names(home / _INDEX)
    lacking = [name for name in shards if not (home / name).is_file()]
    if lacking:
        yield f"{len(lacking)} of {len(shards)} files of weights are missing, such as {lacking[0]}"
    elif not shards and not (trust and any(home.glob("pytorch_model*.bin"))):
        yield f"{place / _WEIGHTS} is missing"


def _damage(path: Path) -> str | None:
    """Return what is wrong with a file of weights, or ``None``."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return "is a link to a file that is gone"
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            return "is a pointer of Git's to a large file that was not fetched (git lfs pull)"
    try:
        with safe_open(path, framework="np"):
            pass
    except SafetensorError as error:
        return f"is damaged: {error}"
    blob = path.resolve()
    if blob != path and _HASH.fullmatch(blob.name) and blob.name != _sha256(blob):
        return "is damaged: its content is not what its checksum says"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
