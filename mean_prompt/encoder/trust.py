"""Security checks of a model's folder: refuse files that could run code unless it is trusted.

A model is weights and settings, and neither needs to run. Two things in a folder can run code of
its author's choice: weights that are pickles, and settings that name classes, kernels or other
models to be fetched. A folder with any of these is refused before any file in it is loaded,
unless the user trusts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, Final

from mean_prompt.system import InputError

#: Subfolders of a model that are never loaded: other frameworks' weights, and the hub's metadata.
UNUSED_FOLDERS: Final = frozenset({"onnx", "openvino", ".cache"})
#: File names of pickled weights, and of the safetensors loaded instead if beside them.
_PICKLE: Final = "pytorch_model.bin"
_PICKLES: Final = "pytorch_model*.bin"
_SAFE: Final = "model.safetensors"
_SAFE_SHARDS: Final = "model.safetensors.index.json"
#: Loading arguments that a model's settings may name: none of them fetches or runs other code.
_HARMLESS: Final = frozenset({"add_pooling_layer", "attn_implementation", "dtype", "torch_dtype"})
_REMEDY: Final = "trust it with --trust-model (trust = true in a recipe), or take another model"


def check_untrusted(name: str, folder: Path, *, modules: bool = True) -> None:
    """Raise ``InputError`` if a model holds pickled weights or settings that load other code.

    ``modules`` is whether its subfolders are loaded too, as they are by sentence-transformers.
    """
    files = list(_files(folder, "**/*" if modules else "*"))
    check_pickles(name, files, modules=modules)
    if modules:
        _check_types(name, folder)
    for file in files:
        if "config" in file.name.lower() and file.suffix.lower() == ".json":
            asked = _asked(file.name.lower(), _settings(folder / file))
            if asked:
                raise InputError(
                    f"a model must need no code but that of the libraries, unless it is trusted: "
                    f"{file} of {name} asks for {asked}; {_REMEDY}"
                )


def check_pickles(name: str, files: Iterable[PurePosixPath], *, modules: bool = True) -> None:
    """Raise ``InputError`` if some weights among a model's files exist only as a pickle."""
    alone, _ = pickled_weights(files, modules=modules)
    if alone:
        raise InputError(
            f"a model's weights must be safetensors, unless it is trusted: {alone[0]} of {name} is "
            f"a pickle, which can run code; {_REMEDY}"
        )


def pickled_weights(
    files: Iterable[PurePosixPath], *, modules: bool = True
) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Return a model's pickled weight files: those without and those with a safetensors version.

    Safetensors beside a pickle are loaded in its place; but those split into several files are not
    found by sentence-transformers' modules (``modules``), which would fall back to the pickle.
    """
    used = sorted(file for file in files if not UNUSED_FOLDERS & set(file.parts))
    whole = {file.parent for file in used if file.name == _SAFE}
    sharded = {file.parent for file in used if file.name == _SAFE_SHARDS}
    # In any letter case: some file systems ignore case, and the libraries open names they know.
    pickles = [file for file in used if fnmatchcase(file.name.lower(), _PICKLES)]
    copies = [
        file
        for file in pickles
        if file.parent in whole
        or (file.parent in sharded and not (modules and file.name.lower() == _PICKLE))
    ]
    return [file for file in pickles if file not in copies], copies


def check_shards(name: str, folder: Path) -> None:
    """Raise ``InputError`` if a model's weight index names files outside of its own folder."""
    for file in _files(folder, "**/*.index.json"):
        for shard in shard_names(folder / file):
            if PurePosixPath(shard).name != shard or shard in {"", ".."} or "\\" in shard:
                raise InputError(
                    f"a model's weights must be in its folder: {file} of {name} names {shard!r}; "
                    "take another model"
                )


def shard_names(index: Path) -> list[str]:
    """Return the distinct file names in a weight index (``*.index.json``), sorted."""
    table = _settings(index).get("weight_map")
    return sorted(set(map(str, table.values()))) if isinstance(table, dict) else []


def _files(folder: Path, pattern: str) -> Iterator[PurePosixPath]:
    for path in sorted(folder.glob(pattern)):
        file = PurePosixPath(path.relative_to(folder).as_posix())
        if not UNUSED_FOLDERS & set(file.parts) and path.is_file():
            yield file


def _settings(path: Path) -> dict[str, Any]:
    """Return the object in a JSON settings file; empty if the file is invalid."""
    found = _json(path)
    return found if isinstance(found, dict) else {}


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _check_types(name: str, folder: Path) -> None:
    """Raise ``InputError`` if ``modules.json`` names classes not of sentence-transformers."""
    modules = _json(folder / "modules.json")
    for module in modules if isinstance(modules, list) else ():
        kind = module.get("type") if isinstance(module, dict) else None
        if isinstance(kind, str) and not kind.startswith("sentence_transformers."):
            raise InputError(
                f"a model's modules must be those of sentence-transformers, unless it is trusted: "
                f"modules.json of {name} has {kind!r}; {_REMEDY}"
            )


def _asked(file: str, settings: dict[str, Any]) -> str | None:
    """Return a description of outside code or files that settings ask for, or ``None``."""
    if file == "adapter_config.json":
        return f"the model {settings.get('base_model_name_or_path')!r} under it"
    if settings.get("auto_map"):
        return "code of its own (auto_map)"
    if str(settings.get("transformers_weights", "")).endswith(".bin"):
        return "weights that are a pickle (transformers_weights)"
    activation = settings.get("activation_function")  # of a Dense module: a class
    if isinstance(activation, str) and "." in activation and not activation.startswith("torch."):
        return f"the activation {activation!r}"
    for arguments in (settings.get("model_args"), settings.get("model_kwargs")):
        strange = sorted(set(arguments) - _HARMLESS) if isinstance(arguments, dict) else []
        if strange:
            return f"the setting {strange[0]!r} of its loading"
    return next((f"the kernel {kernel!r}" for kernel in _kernels(settings)), None)


def _kernels(settings: object) -> Iterator[str]:
    """Yield the names of attention kernels in settings that would be downloaded from the hub."""
    if not isinstance(settings, dict):
        return
    for key, value in settings.items():
        named = value.values() if isinstance(value, dict) else [value]
        if str(key).endswith("attn_implementation"):
            yield from (kernel for kernel in named if isinstance(kernel, str) and "/" in kernel)
        else:
            yield from _kernels(value)
