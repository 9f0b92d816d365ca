"""What texts of known rows begin with alike: openers of rewrites, heads of prompts.

An LLM opens its rewrite with a phrase such as ``Sure, here is the text as`` and then names what it
was asked for; a prompt begins with a request such as ``Rewrite the text as`` and then does the
same. Such beginnings are found by how many different prompts they go with, so that they work in
any language that is written in words.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mean_prompt.corpus import Triples
    from mean_prompt.system import State

#: Different prompts that a beginning must go with to be common, and most words in one.
_LEAST: Final = 3
_MOST_WORDS: Final = 12
#: Beginnings of prompts that are kept as heads.
MOST_HEADS: Final = 16
#: Characters of a first line that are read, and marks of Markdown and quotes at its ends.
_LINE: Final = 200
_MARKS: Final = " \t*#-:_>|\"'`()[]{}\u201c\u201d\u201e\u00ab\u00bb"
_PUNCTUATION: Final = re.compile(r"[^\w']+")

#: Openers of English rewrites that are known before any row is.
ENGLISH_OPENERS: Final = (
    "sure here is", "sure here's", "here is", "here's", "certainly here is", "certainly here's",
    "of course here is", "of course here's", "sure",
)  # fmt: skip
#: Requests that are known before any prompt is.
ENGLISH_REQUESTS: Final = ("Rewrite this as", "Turn the text into", "Write the text as if it were")


class Beginnings:
    """Word sequences that texts of several different prompts begin with.

    Case and punctuation do not matter. ``known`` are sequences that count as common in any case.
    """

    def __init__(
        self, texts: Sequence[str], groups: Sequence[int], known: Iterable[str] = ()
    ) -> None:
        seen: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        for text, group in zip(texts, groups, strict=True):
            words = _plain(text.split()[: _MOST_WORDS + 1])
            for length in range(1, len(words)):
                seen[words[:length]].add(group)
        self._common = {words for words, owners in seen.items() if len(owners) >= _LEAST}
        # At single spaces: a word of a beginning may be empty, as punctuation alone is.
        self._common |= {_plain(text.split(" ")) for text in known}

    def state(self) -> list[str]:
        """Return the beginnings, from which :meth:`of_state` makes this again."""
        return sorted(" ".join(words) for words in self._common)

    @classmethod
    def of_state(cls, state: Sequence[str]) -> Beginnings:
        """Return the beginnings whose :meth:`state` this is."""
        return cls((), (), state)

    def length(self, text: str) -> int:
        """Return the number of words of the longest common beginning that leaves a word over."""
        words = _plain(text.split()[: _MOST_WORDS + 1])
        lengths = range(len(words) - 1, 0, -1)
        return next((length for length in lengths if words[:length] in self._common), 0)

    def rest(self, text: str) -> str:
        """Return a text without its longest common beginning; never empty unless the text is."""
        return " ".join(text.split()[self.length(text) :])

    def head(self, text: str) -> str:
        """Return a text's longest common beginning; empty if it has none."""
        return " ".join(text.split()[: self.length(text)])

    def heads(self, texts: Sequence[str], groups: Sequence[int], count: int) -> list[str]:
        """Return the beginnings that most texts of different groups have as their longest."""
        owners: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        spelling: dict[tuple[str, ...], str] = {}
        for text, group in zip(texts, groups, strict=True):
            if head := self.head(text):
                key = _plain(head.split())
                owners[key].add(group)
                spelling.setdefault(key, head)
        ranked = sorted(owners, key=lambda key: (-len(owners[key]), key))
        return [spelling[key] for key in ranked[:count]]


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """How known rows are worded.

    Attributes:
        openers: what their rewrites' first lines begin with.
        predicted: what their predictions begin with.
        heads: the most frequent beginnings of their prompts, the most frequent first.
    """

    openers: Beginnings
    predicted: Beginnings
    heads: tuple[str, ...]

    @classmethod
    def of(cls, triples: Triples, predictions: Sequence[Sequence[str]] | None = None) -> Wording:
        """Learn the wording of known rows, and of predictions of their prompts, if given."""
        groups = triples.groups().tolist()
        lines = [first_line(text) for text in triples.rows.rewritten]
        requests = Beginnings(triples.prompts, groups, ENGLISH_REQUESTS)
        heads = requests.heads(triples.prompts, groups, MOST_HEADS)
        said = [
            (text, group)
            for texts, group in zip(predictions or (), groups, strict=False)
            for text in texts
        ]
        predicted = Beginnings(
            [text for text, _ in said], [group for _, group in said], [*heads, *ENGLISH_REQUESTS]
        )
        heads += [head for head in ENGLISH_REQUESTS if head not in heads]
        return cls(Beginnings(lines, groups, ENGLISH_OPENERS), predicted, tuple(heads))

    def state(self) -> State:
        """Return the wording as plain values, from which :meth:`of_state` makes it again."""
        return {
            "openers": self.openers.state(),
            "predicted": self.predicted.state(),
            "heads": list(self.heads),
        }

    @classmethod
    def of_state(cls, state: State) -> Wording:
        """Return the wording whose :meth:`state` this is."""
        openers, predicted = (Beginnings.of_state(state[name]) for name in ("openers", "predicted"))
        return cls(openers, predicted, tuple(state["heads"]))


def first_line(text: str) -> str:
    """Return a text's first line that is not blank, without Markdown marks around it."""
    return _first(text.split("\n"))


def last_line(text: str) -> str:
    """Return a text's last line that is not blank, without Markdown marks around it."""
    return _first(text.split("\n")[::-1])


def _first(lines: Sequence[str]) -> str:
    bare = (line.strip(_MARKS) for line in lines)
    return next((line for line in bare if line), "")[:_LINE].strip(_MARKS)


def _plain(words: Sequence[str]) -> tuple[str, ...]:
    joined = " ".join(words).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return tuple(_PUNCTUATION.sub("", word) for word in joined.split(" "))
