"""What a model is: the name, the revision and the hash that caches and results are keyed by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mean_prompt.encoder.trust import UNUSED_FOLDERS

#: Files that a model is loaded from, and what is loaded too where it is trusted.
_LOADED: Final = frozenset({".json", ".txt", ".model", ".safetensors"})
_LOADED_TRUSTED: Final = _LOADED | {".bin", ".py"}


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What a model is, for caches and results; the revision is a commit on the hub, if known."""

    name: str
    revision: str | None
    content_hash: str
    dtype: str = "float32"

    @property
    def key(self) -> str:
        """A file-name-safe key, equal for equal files and dtype, whatever their name."""
        return f"{self.content_hash[:24]}-{self.dtype}"


def content_hash(folder: Path, *, trust: bool = False) -> str:
    """Return the SHA-256 over the relative names and bytes of the files a model is loaded from.

    Documentation and other frameworks' weights do not change a vector and are left out; so are
    pickled weights and code, which are loaded only if the model is trusted.
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
