"""A model's identity: its name, its revision and the hash of its files, which keys the caches."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mean_prompt.encoder.trust import UNUSED_FOLDERS

#: Suffixes of the files that a model is loaded from, by default and if the user trusts the model.
_LOADED: Final = frozenset({".json", ".txt", ".model", ".safetensors"})
_LOADED_TRUSTED: Final = _LOADED | {".bin", ".py"}


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """The identity of a model's files; the revision is a commit on the Hugging Face hub or None."""

    name: str
    revision: str | None
    content_hash: str
    dtype: str = "float32"

    @property
    def key(self) -> str:
        """A cache key, safe as a file name: equal for equal model files and dtype."""
        return f"{self.content_hash[:24]}-{self.dtype}"


def content_hash(folder: Path, *, trust: bool = False) -> str:
    """Return the SHA-256 over the relative names and bytes of the files a model is loaded from.

    Documentation and other frameworks' weights are left out, since they do not affect the vectors;
    so are pickled weights and code unless ``trust`` is true: otherwise they are not loaded.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        loaded = path.suffix in (_LOADED_TRUSTED if trust else _LOADED) and path.is_file()
        if loaded and not UNUSED_FOLDERS & set(relative.parts):
            digest.update(f"{relative.as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
