"""Finding a causal model's files: a folder, the hub's cache, or the hub itself."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Final

from mean_prompt.errors import InputError
from mean_prompt.identity import content_hash
from mean_prompt.models import ModelFolder, hub_answers, is_hub_name, tokenizer_files
from mean_prompt.paths import path_exists, user_path

#: Weights are taken from safetensors alone: pickles can run code.
_WANTED: Final = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
#: Other arrangements of the same weights.
_NOT_WANTED: Final = ["*/*", "consolidated*"]

_log = logging.getLogger(__name__)


def find_chat_model(name: str) -> ModelFolder:
    """Return the folder of a causal model, downloaded where it must and can be.

    Raises:
        InputError: it is no folder, not cached and not to be had, or files are missing from it.
    """
    path = user_path(name)
    if path_exists(path) and path.is_dir():
        found = ModelFolder(path.resolve().name, path.resolve())
    elif not is_hub_name(name):
        raise InputError(
            f"--llm transformers:MODEL must be a folder or a name on the hub: found neither: "
            f"{name!r}"
        )
    else:
        folder = _from_hub(name)
        if folder is None:
            raise InputError(
                f"--llm transformers:MODEL must be a folder, cached, or reachable on the hub: "
                f"{name!r} is none of these; check the name, or connect once to cache it"
            )
        found = ModelFolder(name, folder)
    missing = _missing(found.path)
    if missing:
        raise InputError(
            f"a causal model's folder must be whole: {found.path} lacks {missing}; save the model "
            "and its tokenizer there with save_pretrained"
        )
    return found


def weights_identity(found: ModelFolder) -> str:
    """Return the commit of a model of the hub, else a hash of the folder's files."""
    if found.path.parent.name == "snapshots":
        return found.path.name
    digest = hashlib.sha256(content_hash(found.path).encode())
    for template in sorted(found.path.glob("*.jinja")):
        digest.update(template.read_bytes())
    return digest.hexdigest()[:32]


def _missing(folder: Path) -> str | None:
    """Return what a folder lacks of a causal model with its tokenizer."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not tokenizer_files(folder):
        return "a tokenizer"
    if not list(folder.glob("*.safetensors")):
        return "*.safetensors"
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        return next((shard for shard in sorted(shards) if not (folder / shard).is_file()), None)
    return None


def _from_hub(name: str) -> Path | None:
    """Return a model's folder from the hub's cache, else from the hub in one short attempt."""
    from huggingface_hub import constants, errors, snapshot_download

    try:
        cached = Path(snapshot_download(name, local_files_only=True))
        if _missing(cached) is None:
            return cached
    except (errors.LocalEntryNotFoundError, errors.HFValidationError, OSError):
        pass
    if constants.HF_HUB_OFFLINE or not hub_answers(constants.ENDPOINT):
        return None
    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED, ignore_patterns=_NOT_WANTED))
    # A failed connection is the HTTPError of whichever client the hub's package uses.
    except (errors.HTTPError, errors.XetDownloadError, OSError) as error:  # type: ignore[attr-defined]
        _log.info("the hub did not give %s: %s", name, error)
        return None
