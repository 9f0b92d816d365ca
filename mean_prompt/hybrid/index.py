"""Nearest neighbours among known rows, by FAISS, saved with a manifest that says what they are.

Vectors are of unit length, so that an inner product is a cosine. Up to ``APPROXIMATE_ABOVE``
vectors every one is compared; above, an inverted file (IVF) is asked, which visits a share of
its cells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mean_prompt.objective import Vectors
from mean_prompt.system import InputError, write_together

IndexKind = Literal["exact", "ivf", "hnsw"]

#: Vectors above which an approximate index pays. Measured on one core at 384 numbers each: with
#: 50,000 all comparisons take 4 ms a query, an inverted file 0.4 ms and 5 s to build; with 10,000
#: 0.5 and 0.1 ms, and the inverted file misses 2 % of 64 neighbours. HNSW is quicker still (0.07
#: ms) and misses a tenth.
APPROXIMATE_ABOVE: Final = 50_000
#: An inverted file has about four times the root of its vectors as cells, and visits this share
#: of them.
_CELLS_PER_ROOT: Final = 4
_VISITED: Final = 1 / 16
_HNSW_LINKS: Final = 32
_FILE: Final = "index.faiss"
_MANIFEST: Final = "manifest.json"
#: Beside the manifest's own fields: FAISS would read damaged vectors without a word.
_CHECKSUM: Final = "sha256"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index holds; one with another manifest is never used.

    Attributes:
        model: key of the model's identity.
        data: hash of what was embedded.
        key: what rows are compared by.
        kind: how neighbours are found.
        vectors, dimension: its size.
        faiss: version of the library that wrote it.
    """

    model: str
    data: str
    key: str
    kind: IndexKind
    vectors: int
    dimension: int
    faiss: str

    @classmethod
    def of(cls, vectors: Vectors, *, model: str, data: str, key: str) -> Manifest:
        """Return the manifest of an index over (n, f) vectors."""
        rows, dimension = vectors.shape
        kind = choose_kind(rows)
        return cls(model, data, key, kind, rows, dimension, version("faiss-cpu"))


def choose_kind(rows: int) -> IndexKind:
    """Return the kind of index that pays for so many vectors."""
    return "exact" if rows <= APPROXIMATE_ABOVE else "ivf"


class VectorIndex:
    """Finds the nearest of (n, f) unit vectors.

    Args:
        vectors: one row each; not kept, but by the index.
        kind: ``exact`` compares with all; ``ivf`` and ``hnsw`` are approximate. By the number of
            vectors when left out.

    Raises:
        ValueError: there is no vector.
    """

    def __init__(self, vectors: Vectors, kind: IndexKind | None = None) -> None:
        if vectors.ndim != 2 or not len(vectors):
            raise ValueError(f"an index needs (n, f) vectors with n >= 1, got {vectors.shape}")
        self.kind: IndexKind = kind or choose_kind(len(vectors))
        self._index = _build(np.ascontiguousarray(vectors, np.float32), self.kind)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Return cosines and numbers of the nearest vectors, best first: (m, f) -> (m, k) twice.

        Fewer than k found, as an approximate index may, leaves -1 as number and -1.0 as cosine at
        the end of a row; k is at most the number of vectors.
        """
        k = min(k, len(self))
        cosines, numbers = self._index.search(np.ascontiguousarray(queries, np.float32), k)
        cosines[numbers < 0] = -1.0
        return cosines, numbers.astype(np.int64)

    def save(self, folder: Path, manifest: Manifest) -> None:
        """Write the index and its manifest, without which it does not count.

        Where a crash leaves the new index beside an old manifest, the checksum tells.

        Raises:
            InputError: the folder cannot be written; an index that was there is whole.
        """
        import faiss

        try:
            folder.mkdir(parents=True, exist_ok=True)
            content = faiss.serialize_index(self._index).tobytes()
            fields = asdict(manifest) | {_CHECKSUM: hashlib.sha256(content).hexdigest()}
            described = (json.dumps(fields, indent=2) + "\n").encode()
            write_together({folder / _FILE: content, folder / _MANIFEST: described})
        except OSError as error:
            raise InputError(
                f"the index must be writable: {folder}: {error.strerror or error}; choose another "
                "folder"
            ) from error

    @classmethod
    def open_or_build(
        cls, folder: Path, manifest: Manifest, vectors: Callable[[], Vectors]
    ) -> tuple[VectorIndex, str | None]:
        """Return the index of a folder where its manifest matches, else build and save it.

        Args:
            folder: of the index.
            manifest: what the index must be.
            vectors: computes what it is built from.

        Returns:
            The index, and why it was built anew, ``None`` where it was not.
        """
        kept, reason = _read(folder, manifest)
        if kept is not None:
            index = object.__new__(cls)
            index.kind, index._index = manifest.kind, kept
            return index, None
        built = cls(vectors(), manifest.kind)
        built.save(folder, manifest)
        return built, reason


def _build(vectors: Vectors, kind: IndexKind) -> Any:  # noqa: ANN401 - FAISS's many classes
    import faiss

    rows, dimension = vectors.shape
    cells = max(1, min(int(_CELLS_PER_ROOT * np.sqrt(rows)), rows))
    recipe = {"exact": "Flat", "hnsw": f"HNSW{_HNSW_LINKS},Flat", "ivf": f"IVF{cells},Flat"}[kind]
    index: Any = faiss.index_factory(dimension, recipe, faiss.METRIC_INNER_PRODUCT)
    if kind == "ivf":
        index.cp.min_points_per_centroid = 1  # few are no fault here, and FAISS would print so
        index.train(vectors)
        index.nprobe = max(1, int(cells * _VISITED))
    index.add(vectors)
    return index


def _read(folder: Path, manifest: Manifest) -> tuple[Any, str]:
    """Return a folder's index, or ``None`` and why it cannot be used."""
    import faiss

    try:
        found = json.loads((folder / _MANIFEST).read_text("utf-8"))
        content = (folder / _FILE).read_bytes()
    except FileNotFoundError:
        return None, "there was none"
    except (OSError, ValueError, RecursionError) as error:
        return None, f"it could not be read: {error}"
    fields = found if isinstance(found, dict) else {}
    changed = [name for name, value in asdict(manifest).items() if fields.get(name) != value]
    if changed:
        return None, f"it is of another {', '.join(changed)}"
    if fields.get(_CHECKSUM) != hashlib.sha256(content).hexdigest():
        return None, "its file is damaged"
    try:
        index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
    except RuntimeError:  # FAISS's own: a manifest can be made to match anything
        return None, "its file is no index"
    if (index.ntotal, index.d) != (manifest.vectors, manifest.dimension):
        return None, "its file is not the manifest's"
    return index, ""
