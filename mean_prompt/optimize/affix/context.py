"""Predicted prompts with their true prompts, and the joining of an affix (a string) to each.

An affix stands before or after every prediction, one blank between them. If that makes a row
longer than its token budget, words at the end of the *prediction* are dropped until it fits: the
affix always stands whole, and nothing is left to the model's own cutting, which would drop it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from mean_prompt.corpus import ID, Rows, Split, Triples, read_columns, read_triples
from mean_prompt.encoder import TokenIds
from mean_prompt.system import InputError

Position = Literal["suffix", "prefix"]

#: Column of the predictions when none is named.
PREDICTIONS: Final = "llm_prediction"


@dataclass(frozen=True, slots=True)
class Joiner:
    """Joins an affix (one fixed string) before or after predictions, within a token budget.

    The special tokens that the tokenizer puts around a string do not count towards the budget.
    """

    position: Position
    budget: int
    tokenize: Callable[[Sequence[str]], list[TokenIds]]

    def join(self, predictions: Sequence[str], affix: str) -> list[str]:
        """Return each prediction joined to the affix; the predictions alone if that is empty."""
        if not affix:
            return list(predictions)
        joined = [self._beside(prediction, affix) for prediction in predictions]
        for row, ids in enumerate(self.tokenize(joined)):
            if len(ids) > self.budget:
                joined[row] = self._shortened(predictions[row], affix)
        return joined

    def _beside(self, prediction: str, affix: str) -> str:
        return f"{prediction} {affix}" if self.position == "suffix" else f"{affix} {prediction}"

    def _shortened(self, prediction: str, affix: str) -> str:
        words = prediction.split()
        fits, over = 1, len(words)
        while over - fits > 1:
            middle = (fits + over) // 2
            text = self._beside(" ".join(words[:middle]), affix)
            if len(self.tokenize([text])[0]) <= self.budget:
                fits = middle
            else:
                over = middle
        return self._beside(" ".join(words[:fits]), affix)


@dataclass(frozen=True)
class Context:
    """Rows of data, each with a predicted prompt and the true prompt.

    Attributes:
        predictions: n strings, stripped, not blank.
        triples: the n rows that the predictions were made for, with their true prompts.
        notes: messages on what cleaning changed, one line each.
    """

    predictions: tuple[str, ...]
    triples: Triples
    source: str = "rows"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.predictions) != len(self.triples):
            raise ValueError("each row must have its prediction")
        if not self.predictions:
            raise InputError(
                f"a context must have rows with a prediction and a true prompt: {self.source} has "
                "none; give another file or --context-column"
            )

    def __len__(self) -> int:
        return len(self.predictions)

    @classmethod
    def from_file(cls, path: Path, column: str = PREDICTIONS) -> Context:
        """Read rows and their column of predictions; rows with a blank prediction are dropped.

        Raises:
            InputError: the file cannot be read, lacks a column, or has no row that is left.
        """
        known = read_triples(path)
        columns = read_columns(path, (column,), (ID,))
        cells = [cell.strip() for cell in columns[column]]
        ids = columns.get(ID) or [str(number) for number in range(1, len(cells) + 1)]
        by_id = dict(zip(ids, cells, strict=True))
        texts = [by_id[name] for name in known.triples.rows.ids]
        keep = np.flatnonzero([bool(text) for text in texts])
        blank = len(texts) - len(keep)
        dropped = (f"{blank:,} rows dropped, {column} is blank",) if blank else ()
        return cls(
            tuple(texts[row] for row in keep),
            known.triples.take(keep),
            str(path),
            (*known.notes, *dropped),
        )

    @classmethod
    def from_pairs(cls, predictions: Sequence[str], prompts: Sequence[str]) -> Context:
        """Build a context from predictions and their true prompts, already in memory.

        Raises:
            InputError: they differ in number, one is blank, or there are none.
        """
        if len(predictions) != len(prompts):
            raise InputError(
                f"each prediction needs its true prompt: found {len(predictions)} and "
                f"{len(prompts)}"
            )
        pairs = [(p.strip(), t.strip()) for p, t in zip(predictions, prompts, strict=True)]
        for number, pair in enumerate(pairs, 1):
            if not all(pair):
                raise InputError(
                    f"each row of a context needs a prediction and a prompt: row {number} has a "
                    "blank one; drop it"
                )
        blanks = ("",) * len(pairs)
        rows = Rows(tuple(map(str, range(1, len(pairs) + 1))), blanks, blanks)
        return cls(tuple(p for p, _ in pairs), Triples(rows, tuple(t for _, t in pairs)))

    @property
    def prompts(self) -> tuple[str, ...]:
        """The true prompt of each row."""
        return self.triples.prompts

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 hash of the rows, true prompts and predictions, in order."""
        digest = hashlib.sha256(self.triples.content_hash.encode())
        for text in self.predictions:
            digest.update(f"{len(text)}\0{text}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def split(self, holdout: float, *, seed: int = 0) -> Split:
        """Hold out a random share of the distinct true prompts, with all rows of each.

        Raises:
            InputError: all rows have the same prompt, so that none can be set aside.
        """
        rows = np.arange(len(self))
        if holdout == 0:
            return Split(rows, rows[:0])
        groups = self.triples.groups()
        count = int(groups.max()) + 1
        if count < 2:
            raise InputError(
                "a hold-out needs rows with different prompts: all have the same; set --holdout 0"
            )
        aside = min(math.ceil(holdout * count), count - 1)
        drawn = np.random.default_rng(seed).permutation(count)[:aside]
        is_aside: NDArray[np.bool_] = np.isin(groups, drawn)
        return Split(rows[~is_aside], rows[is_aside])
