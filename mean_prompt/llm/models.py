"""Finding a causal model's files: a folder, the hub's cache, or the hub itself."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path, PurePosixPath
from typing import Final

from mean_prompt.encoder import (
    ModelFolder,
    check_pickles,
    check_shards,
    check_untrusted,
    content_hash,
    hub_answers,
    hub_files,
    is_hub_name,
    shard_names,
    tokenizer_files,
)
from mean_prompt.system import InputError, masked_urls, path_exists, user_path

#: Weights are taken from safetensors: pickles can run code, and are fetched where the model is
#: trusted and has no others, as its own code is where it is trusted.
_WANTED: Final = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
#: Other arrangements of the same weights.
_NOT_WANTED: Final = ["*/*", "consolidated*"]
_PICKLES: Final = "pytorch_model*.bin"

_log = logging.getLogger(__name__)


def find_chat_model(name: str, *, trust: bool = False) -> ModelFolder:
    """Return the folder of a causal model, downloaded where it must and can be.

    Args:
        name: a folder, or a name on the hub.
        trust: whether it may run code: load pickled weights, and classes that come with it.

    Raises:
        InputError: it is no folder, not cached and not to be had, files are missing from it, or
            it would run code without being trusted.
    """
    path = user_path(name)
    if path_exists(path) and path.is_dir():
        found = ModelFolder(path.resolve().name, path.resolve())
    elif not is_hub_name(name):
        raise InputError(
            f"--llm transformers:MODEL must be a folder or a name on the hub: found neither: "
            f"{masked_urls(name)!r}"
        )
    else:
        folder = _from_hub(name, trust=trust)
        if folder is None:
            raise InputError(
                f"--llm transformers:MODEL must be a folder, cached, or reachable on the hub: "
                f"{name!r} is none of these; check the name, or connect once to cache it"
            )
        found = ModelFolder(name, folder)
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
    """Return the commit of a model of the hub, else a hash of the folder's files."""
    if found.path.parent.name == "snapshots":
        return found.path.name
    digest = hashlib.sha256(content_hash(found.path, trust=trust).encode())
    for template in sorted(found.path.glob("*.jinja")):
        digest.update(template.read_bytes())
    return digest.hexdigest()[:32]


def _missing(folder: Path, *, trust: bool) -> str | None:
    """Return what a folder lacks of a causal model with its tokenizer."""
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
    """Return a model's folder from the hub's cache, else from the hub in one short attempt.

    Raises:
        InputError: the hub has the model with pickled weights, and it is not trusted, or the
            cached one names files outside of its folder.
    """
    from huggingface_hub import constants, errors, snapshot_download

    cached = None
    try:
        cached = Path(snapshot_download(name, local_files_only=True))
        check_shards(name, cached)
        if _missing(cached, trust=trust) is None:
            return cached
    except (errors.LocalEntryNotFoundError, errors.HFValidationError, OSError):
        pass
    if constants.HF_HUB_OFFLINE or not hub_answers(constants.ENDPOINT):
        # One with pickled weights is refused by name, and not passed over.
        return cached if cached and _missing(cached, trust=True) is None else None
    try:
        wanted = _wanted(name, hub_files(name), trust=trust)
        return Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=_NOT_WANTED))
    # A failed connection is the HTTPError of whichever client the hub's package uses.
    except (errors.HTTPError, errors.XetDownloadError, OSError) as error:  # type: ignore[attr-defined]
        _log.info("the hub did not give %s: %s", name, error)
        return None


def _wanted(name: str, files: list[PurePosixPath], *, trust: bool) -> list[str]:
    """Return patterns of what is to be fetched of a model on the hub."""
    own = [file for file in files if len(file.parts) == 1]
    if not trust:
        check_pickles(name, own, modules=False)
        return _WANTED
    has_safe = any(file.suffix == ".safetensors" for file in own)
    return [*_WANTED, "*.py", *([] if has_safe else [_PICKLES])]
