"""Helpers for the tokenizers of sentence-transformers models: special tokens, vocabulary."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mean_prompt.system import InputError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

TokenIds = tuple[int, ...]


def plain_tokenizer(model: SentenceTransformer, name: str) -> Tokenizer:
    """Return a copy of the model's fast tokenizer that neither pads nor truncates."""
    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"a model needs a fast tokenizer (tokenizer.json): {name} has none")
    plain: Tokenizer = copy.deepcopy(backend)
    plain.no_padding()
    plain.no_truncation()
    return plain


def special_frame(tokenizer: Tokenizer) -> tuple[TokenIds, TokenIds]:
    """Return the ids of the special tokens that a tokenizer puts before and after a string."""
    probe = tokenizer.encode("text", add_special_tokens=True)
    inner = probe.special_tokens_mask
    first = inner.index(0)
    last = len(inner) - inner[::-1].index(0)
    return tuple(probe.ids[:first]), tuple(probe.ids[last:])


def token_strings(tokenizer: Tokenizer) -> list[str]:
    """Return the vocabulary as a list indexed by token id, in raw form (``##ing``, ``▁the``)."""
    entries = tokenizer.get_vocab(with_added_tokens=True)
    strings = [""] * (max(entries.values()) + 1)
    for entry, index in entries.items():
        strings[index] = entry
    return strings


def special_ids(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return the sorted ids of all special and added tokens of a tokenizer."""
    return np.array(sorted(tokenizer.get_added_tokens_decoder()), np.int64)
