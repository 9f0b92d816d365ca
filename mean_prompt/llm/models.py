"""Find a causal model's files in a folder, in the Hugging Face hub's cache, or on the hub."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Final

from mean_prompt.encoder import (
    ModelFolder,
    check_pickles,
    check_shards,
    check_untrusted,
    content_hash,
    hub_folder,
    is_hub_name,
    shard_names,
    tokenizer_files,
)
from mean_prompt.system import InputError, masked_urls, path_exists, user_path

#: Files to download. Weights come from safetensors: pickles can run code, and are downloaded only
#: if the model is trusted and has no others; so is the model's own code.
_WANTED: Final = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
#: Other copies of the same weights.
_NOT_WANTED: Final = ["*/*", "consolidated*"]
_PICKLES: Final = "pytorch_model*.bin"


def find_chat_model(name: str, *, trust: bool = False) -> ModelFolder:
    """Return the folder of a causal model, downloaded from the hub if it is not cached.

    With ``trust`` the model may run code: load pickled weights, and classes that come with it.

    Raises:
        InputError: the model or a file of it is missing, or it runs code and ``trust`` is false.
    """
    path = user_path(name)
    if path_exists(path) and path.is_dir():
        found = ModelFolder(path.resolve().name, path.resolve())
    elif not is_hub_name(name):
        raise InputError(
            f"--llm transformers:MODEL must be a folder or a name on the hub: found neither: "
            f"{masked_urls(name)!r}"
        )
    elif folder := _from_hub(name, trust=trust):
        found = ModelFolder(name, folder)
    else:
        raise InputError(
            f"--llm transformers:MODEL must be a folder, cached, or reachable on the hub: "
            f"{name!r} is none of these; check the name, or connect once to cache it"
        )
    check_shards(found.name, found.path)
    if not trust:
        check_untrusted(found.name, found.path, modules=False)
    missing = _missing(found.path, trust=trust)
    if missing:
        raise InputError(
            f"a causal model's folder must be whole: {found.path} lacks {missing}; save the model "
            "and its tokenizer there with save_pretrained"
        )
    return found


def weights_identity(found: ModelFolder, *, trust: bool = False) -> str:
    """Return an identity of a model's weights: its commit on the hub, or a hash of its files."""
    if found.path.parent.name == "snapshots":
        return found.path.name
    digest = hashlib.sha256(content_hash(found.path, trust=trust).encode())
    for template in sorted(found.path.glob("*.jinja")):
        digest.update(template.read_bytes())
    return digest.hexdigest()[:32]


def _missing(folder: Path, *, trust: bool) -> str | None:
    """Return the file of a causal model or its tokenizer that a folder lacks, if any."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not tokenizer_files(folder):
        return "a tokenizer"
    kinds = ["*.safetensors", *([_PICKLES] if trust else [])]
    if not any(next(folder.glob(kind), None) for kind in kinds):
        return " or ".join(kinds)
    shards = shard_names(folder / "model.safetensors.index.json")
    return next((shard for shard in shards if not (folder / shard).is_file()), None)


def _from_hub(name: str, *, trust: bool) -> Path | None:
    def is_complete(folder: Path, trust: bool) -> bool:
        check_shards(name, folder)
        return _missing(folder, trust=trust) is None

    def patterns(files: list[PurePosixPath]) -> tuple[list[str], list[str]]:
        own = [file for file in files if len(file.parts) == 1]
        if not trust:
            check_pickles(name, own, modules=False)
            return _WANTED, _NOT_WANTED
        has_safe = any(file.suffix == ".safetensors" for file in own)
        return [*_WANTED, "*.py", *([] if has_safe else [_PICKLES])], _NOT_WANTED

    return hub_folder(name, is_complete, patterns, trust=trust)
