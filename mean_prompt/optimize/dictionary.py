"""Which words count as dictionary-like."""

from __future__ import annotations

import importlib.resources
import re
from functools import cache
from typing import Final

#: Occurrences in the dictionary's source below which a word is too rare to be read with ease.
_RARE: Final = 50_000
_SINGLE_LETTERS: Final = frozenset({"a", "i"})
_READABLE: Final = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*")


@cache
def dictionary() -> frozenset[str]:
    """Return lower-case English words, the very rare ones left out.

    The list is the frequency dictionary of the symspellpy package: words that are both in a
    spell checker's list and in a large corpus of books.
    """
    package = importlib.resources.files("symspellpy")
    text = (package / "frequency_dictionary_en_82_765.txt").read_text("utf-8-sig")
    rows = (line.split() for line in text.splitlines())
    words = {word for word, count in rows if int(count) >= _RARE and word.isalpha()}
    return frozenset({word for word in words if len(word) > 1} | _SINGLE_LETTERS)


def is_readable(text: str) -> bool:
    """Return whether a string is dictionary words with one blank between each two."""
    return bool(_READABLE.fullmatch(text)) and dictionary().issuperset(text.lower().split())
