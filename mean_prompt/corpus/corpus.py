"""A corpus: the distinct prompts that a string is scored on, with weights, and a hold-out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import duplicates
from mean_prompt.corpus.readers import read_prompts
from mean_prompt.corpus.sources import Source, parse_source
from mean_prompt.corpus.vectors.folder import VectorFolder
from mean_prompt.system import (
    Cell,
    InputError,
    Table,
    View,
    shortened,
    user_path,
    view_html,
)

_STRATA: Final = 20


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of a corpus's prompts for training and for the hold-out, which may be empty."""

    train: NDArray[np.int64]
    holdout: NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """Distinct prompts, each with a weight, read from files or given as strings.

    A text that occurs in the files three times is one prompt with three times the weight, so
    that the expectation over the corpus is the expectation over the files' rows.

    Attributes:
        prompts: N distinct, stripped, not empty strings.
        weights: (N,) positive, sum 1.
        folders: the folders of precomputed embeddings among the sources.
    """

    prompts: tuple[str, ...]
    weights: NDArray[np.float64]
    sources: tuple[Source, ...] = field(default=())
    folders: tuple[VectorFolder, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.prompts) < 2:
            found = ", ".join(source.path for source in self.sources) or "what was given"
            raise InputError(
                f"a corpus must hold at least two different prompts: {found} holds "
                f"{len(self.prompts)}; give more text"
            )

    def __len__(self) -> int:
        return len(self.prompts)

    def __repr__(self) -> str:
        # Short: a notebook keeps it beside the view, and there may be a million prompts.
        names = ", ".join(source.name for source in self.sources)
        return f"<Corpus of {len(self):,} prompts{names and f' from {names}'}>"

    def _repr_html_(self) -> str:
        return view_html(corpus_view(self))

    @classmethod
    def from_prompts(
        cls,
        prompts: Sequence[str],
        *,
        weights: Sequence[float] | None = None,
        name: str = "prompts",
    ) -> Corpus:
        """Return a corpus of strings already in memory.

        Strings are stripped, blank ones dropped, and repeated ones merged. ``weights`` has one
        number of at least 0 for each string; all are equal by default.

        Raises:
            InputError: a weight cannot be used, or fewer than two prompts are left.
        """
        if weights is not None and len(weights) != len(prompts):
            raise InputError(
                f"each prompt needs one weight: found {len(weights)} for {len(prompts)} prompts"
            )
        if weights is not None and not all(0 <= weight < float("inf") for weight in weights):
            raise InputError("weights must be numbers of at least 0: found one that is not")
        return cls._merge([_clean(list(prompts), Source(name, name, None, len(prompts)), weights)])

    @classmethod
    def from_files(cls, *specs: str | Path, column: str | None = None) -> Corpus:
        """Read files given as ``PATH``, ``NAME=PATH``, ``PATH:WEIGHT`` or ``NAME=PATH:WEIGHT``.

        Weights are shares of the whole: ``a.csv:3 b.csv:1`` gives a's rows three quarters of it,
        however many they are. Without weights every row counts once. A path may also be a folder
        of embeddings written by :func:`~mean_prompt.corpus.vectors.job.embed`.

        Raises:
            InputError: a file or weight cannot be used, or only some of the corpora have weights.
        """
        if not specs:
            raise InputError("a corpus needs at least one file or folder: found none")
        sources = [parse_source(str(spec)) for spec in specs]
        if len({source.weight is None for source in sources}) > 1:
            bare = next(source.path for source in sources if source.weight is None)
            raise InputError(f"give every corpus a weight, or none: {bare} has none")
        parts: list[_Part] = []
        folders: list[VectorFolder] = []
        for source in sources:
            folder = VectorFolder.open_complete(user_path(source.path))
            if folder:
                folders.append(folder)
                parts.append(_of_folder(folder, source, column, before=parts))
            else:
                prompts = read_prompts(user_path(source.path), column)
                part = replace(source, rows=len(prompts))
                parts.append(_clean(prompts, part, before=parts))
        return replace(cls._merge(parts), folders=tuple(folders))

    @classmethod
    def _merge(cls, parts: Sequence[_Part]) -> Corpus:
        weights: dict[str, float] = {}
        for part in parts:
            total = sum(part.weights.values())
            if not total:
                raise InputError(
                    f"a corpus must hold prompts: {part.source.path} has {part.source.rows} rows, "
                    "none with text and weight"
                )
            scale = 1.0 if part.source.weight is None else part.source.weight / total
            for prompt, weight in part.weights.items():
                weights[prompt] = weights.get(prompt, 0.0) + weight * scale
        values = np.array(list(weights.values()))
        return cls(tuple(weights), values / values.sum(), tuple(part.source for part in parts))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the prompts and weights, whatever files they were read from."""
        digest = hashlib.sha256()
        for prompt, weight in zip(self.prompts, self.weights, strict=True):
            digest.update(f"{len(prompt)}\0{prompt}\0{weight:.12g}\n".encode())
        return digest.hexdigest()

    def cleaning(self) -> list[str]:
        """Return one line per source on the rows read and dropped, and a note on large corpora."""
        lines = [source.describe() for source in self.sources]
        return [*lines, duplicates.SKETCH_NOTE] if self._is_large else lines

    def groups(self) -> NDArray[np.int64]:
        """Return each prompt's group number: connected components of near-duplicates, (N,).

        Two prompts are near-duplicates if their TF-IDF vectors over words and pairs of words have
        a cosine of at least ``NEAR_DUPLICATE``. Above 100,000 prompts not all pairs are compared,
        and about one in a thousand is missed; the groups are then cached on disk.
        """
        return self._sketch()[0] if self._is_large else duplicates.groups(self.prompts)

    def split(
        self, holdout: float, *, groups: NDArray[np.int64] | None = None, seed: int = 0
    ) -> Split:
        """Split the prompts into training and hold-out, near-duplicates on the same side.

        Groups of them are drawn within strata of how typical of the corpus they are. On 6,144 real
        prompts that halves the chance difference between the two sides' scores: a standard
        deviation of 0.7 standard errors over twelve seeds, where a plain draw has 1.2.

        ``holdout`` is a share of the groups, within [0, 0.9]; 0 keeps everything for training.

        Raises:
            InputError: there is only one group, so that nothing can be set aside.
        """
        from sklearn.model_selection import train_test_split

        rows = np.arange(len(self))
        if holdout == 0:
            return Split(rows, rows[:0])
        groups = self.groups() if groups is None else groups
        names, members = np.unique(groups, return_inverse=True)
        count = len(names)
        if count < 2:
            raise InputError(
                f"a hold-out needs prompts that differ: all {len(self)} are near-duplicates of "
                "each other; set the hold-out to 0"
            )
        aside = min(math.ceil(holdout * count), count - 1)
        strata = min(_STRATA, aside, count - aside, count // 2)
        kept, _ = train_test_split(
            np.arange(count),
            test_size=aside,
            random_state=seed,
            stratify=self._strata(members, strata) if strata > 1 else None,
        )
        is_kept = np.isin(members, kept)
        return Split(rows[is_kept], rows[~is_kept])

    def _strata(self, members: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Return each group's stratum, by rank of its mean TF-IDF cosine with all prompts."""
        along = self._sketch()[1] if self._is_large else duplicates.typicality(self.prompts)
        typicality = np.bincount(members, weights=along) / np.bincount(members)
        ranks = np.argsort(np.argsort(typicality, kind="stable"), kind="stable")
        return ranks * count // len(ranks)

    @property
    def _is_large(self) -> bool:
        return len(self) > duplicates.COMPARED_UP_TO

    def _sketch(self) -> Sequence[NDArray[Any]]:
        """Return each prompt's near-duplicate group and mean cosine with all, cached on disk."""
        from mean_prompt.encoder import cached_arrays

        key = f"duplicates-{self.content_hash[:24]}"
        return cached_arrays(key, lambda: duplicates.sketch(self.prompts))


@dataclass(frozen=True, slots=True)
class _Part:
    source: Source
    weights: dict[str, float]


def _clean(
    prompts: Sequence[str],
    source: Source,
    weights: Sequence[float] | None = None,
    *,
    before: Sequence[_Part] = (),
) -> _Part:
    merged: dict[str, float] = {}
    # A folder of vectors comes with the counts made when it was embedded.
    stripped, empty, repeats = source.stripped, source.empty, source.duplicates
    for index, prompt in enumerate(prompts):
        text = prompt.strip()
        stripped += bool(text) and text != prompt
        if not text:
            empty += 1
            continue
        repeats += text in merged or any(text in part.weights for part in before)
        merged[text] = merged.get(text, 0.0) + (1.0 if weights is None else weights[index])
    counted = replace(source, stripped=stripped, empty=empty, duplicates=repeats)
    return _Part(counted, {text: weight for text, weight in merged.items() if weight > 0})


def _of_folder(
    folder: VectorFolder, source: Source, column: str | None, *, before: Sequence[_Part]
) -> _Part:
    """Return the prompts of a folder of embeddings, merging repeats in different shards."""
    known = folder.manifest.column
    if column not in {None, known}:
        found = "with the column that was guessed" if known is None else f"with --column {known}"
        raise InputError(
            f"--column is chosen when a corpus is embedded: {folder.path} was embedded {found}, "
            f"not {column!r}; leave it out, or embed the corpus again"
        )
    prompts, counts = zip(*folder.all_prompts(), strict=True)
    for part in folder.manifest.sources:
        source = replace(
            source,
            rows=source.rows + part.rows,
            stripped=source.stripped + part.stripped,
            empty=source.empty + part.empty,
            duplicates=source.duplicates + part.duplicates,
        )
    return _clean(prompts, source, counts, before=before)


def corpus_view(corpus: Corpus) -> View:
    """Return a view of a corpus: number of prompts, sources, weights and a few examples."""
    count, shown = len(corpus), min(len(corpus), 6)
    rows = [round(number * (count - 1) / (shown - 1)) for number in range(shown)]
    examples = Table(
        f"{shown} of the {count:,} prompts, at equal distances",
        ("prompt", "share", "text"),
        tuple(
            (f"{row + 1:,}", f"{corpus.weights[row]:.3%}", shortened(corpus.prompts[row]))
            for row in rows
        ),
    )
    low, high = float(corpus.weights.min()), float(corpus.weights.max())
    weights = (
        f"every prompt has the same weight, {high:.3%}"
        if low == high
        else f"prompts have weights from {low:.3%} to {high:.3%}"
    )
    total = sum(source.weight or 0.0 for source in corpus.sources)
    sources = Table(
        "what was read, and what cleaning did",
        ("source", "prompts", "rows", "empty", "duplicates", "stripped", "weight", "path"),
        tuple(_source_cells(source, total) for source in corpus.sources),
    )
    return View(
        f"corpus of {count:,} prompts",
        tables=(sources, examples) if corpus.sources else (examples,),
        lines=(weights,),
    )


def _source_cells(source: Source, total: float) -> tuple[Cell, ...]:
    counts = (source.kept, source.rows, source.empty, source.duplicates, source.stripped)
    weight = "by its rows" if source.weight is None else f"{source.weight / total:.1%}"
    cells = tuple(f"{count:,}" for count in counts)
    return (shortened(source.name), *cells, weight, shortened(source.path))
