"""Strings that a row might be answered with, made of predictions, retrieved prompts and affixes.

The rules are of English prompts: what a request is about mostly follows a preposition, so that
``Turn the text | into a limerick`` has the head ``Turn the text``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

Kind = Literal["universal", "prediction", "shortened", "template", "retrieved", "joined", "affixed"]

#: Separators between joined strings.
SEPARATORS: Final = (" ", ". ")
#: Heads of known prompts that predictions are put behind, at most.
MOST_HEADS: Final = 16
#: Retrieved prompts that are candidates themselves, and those that are joined in pairs.
RETRIEVED: Final = 8
JOINED: Final = 3
#: Words that a shortened prediction is cut to.
_OPENINGS: Final = (6, 7, 8, 9, 10, 12, 14, 16, 20)
_TAIL_WORDS: Final = 12

_PIVOT: Final = re.compile(
    r"\b(?:as if|as though|as|into|in|to|for|with|using|so that|that|by|from|like|of)\b",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"(?<=[a-z)])[.;:!?](?:\s|$)")
_CLAUSE_END: Final = re.compile(r",|;|\(| - ")
_CORE_END: Final = re.compile(
    r",|\b(?:while|focusing|making|with|highlighting|that|using|emphasizing|including)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A string that might be the answer.

    Attributes:
        text: the string.
        kind: how it came about.
        head: number of the template's head, the most frequent first; 0 for other kinds.
        separator: between the parts of joined and affixed strings; empty for other kinds.
    """

    text: str
    kind: Kind
    head: int = 0
    separator: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which candidates are made.

    Attributes:
        heads: templates use so many of the known prompts' heads.
        shortened: whether predictions are shortened.
        joined: separator of joined strings; ``None`` to join none.
        affixed: whether the universal string goes before or after others.
    """

    heads: int = MOST_HEADS
    shortened: bool = True
    joined: str | None = " "
    affixed: bool = True

    def allows(self, candidate: Candidate) -> bool:
        """Tell whether a candidate is among those chosen."""
        if candidate.kind == "template":
            return candidate.head < self.heads
        if candidate.kind == "shortened":
            return self.shortened
        if candidate.kind == "joined":
            return candidate.separator == self.joined
        if candidate.kind == "affixed":
            return self.affixed and candidate.separator == (self.joined or " ")
        return True


@dataclass(frozen=True, slots=True)
class CandidateInputs:
    """What a row's candidates are made of.

    Attributes:
        predictions: of an LLM, cleaned, the likeliest first.
        by_text: prompts retrieved by the row's texts, the nearest first.
        by_all: those retrieved by texts and prediction.
    """

    predictions: Sequence[str] = ()
    by_text: Sequence[str] = ()
    by_all: Sequence[str] = ()


class CandidateFactory:
    """Makes candidates.

    Args:
        universal: the string that serves where nothing is known; also put before and after.
        prefixes, suffixes: put before and after predictions.
        heads: of templates, the most frequent first.
    """

    def __init__(
        self,
        universal: str,
        heads: Sequence[str] = (),
        *,
        prefixes: Sequence[str] = (),
        suffixes: Sequence[str] = (),
    ) -> None:
        self.universal = universal
        self._heads = tuple(heads)
        self._prefixes = (universal, *prefixes)
        self._suffixes = (universal, *suffixes)

    def candidates(self, parts: CandidateInputs, choice: Choice | None = None) -> list[Candidate]:
        """Return candidates of one row, none of them blank.

        Args:
            parts: what they are made of.
            choice: which are made, as :func:`chosen` says; their texts are distinct. When left
                out, a string stands there once for every way in which it comes about, so that
                any choice may be made of them afterwards.
        """
        made = list(dict.fromkeys(one for one in self._all(parts) if one.text.strip()))
        return made if choice is None else [made[number] for number in chosen(made, choice)]

    def _all(self, parts: CandidateInputs) -> Iterator[Candidate]:
        yield Candidate(self.universal, "universal")
        for text in parts.predictions:
            yield Candidate(text, "prediction")
        for text in parts.predictions:
            yield from self._of_prediction(text)
        near = [*parts.by_all[:RETRIEVED], *parts.by_text[:RETRIEVED]]
        for text in near:
            yield Candidate(text, "retrieved")
        for separator in SEPARATORS:
            yield from self._joined(parts, separator)
            yield from self._affixed(parts, separator)

    def _of_prediction(self, text: str) -> Iterator[Candidate]:
        sentence, clause, core = shortenings(text)
        openings = (opening(sentence, words) for words in _OPENINGS)
        for short in (sentence, clause, core, *openings):
            yield Candidate(short, "shortened")
        tails = [tail_of(part) for part in (sentence, core, opening(sentence, _TAIL_WORDS))]
        for number, head in enumerate(self._heads):
            for tail in dict.fromkeys(tails):
                if tail:
                    yield Candidate(f"{head} {tail}", "template", number)

    def _joined(self, parts: CandidateInputs, separator: str) -> Iterator[Candidate]:
        for near in (parts.by_all[:JOINED], parts.by_text[:JOINED]):
            for pair in combinations(near, 2):
                yield Candidate(joined(pair, separator), "joined", separator=separator)
            if len(near) > 2:
                yield Candidate(joined(near[:3], separator), "joined", separator=separator)
        for prediction in parts.predictions:
            for text in (*parts.by_all[:2], *parts.by_text[:1]):
                pair = (prediction, text)
                yield Candidate(joined(pair, separator), "joined", separator=separator)
        for pair in combinations(parts.predictions[:JOINED], 2):
            yield Candidate(joined(pair, separator), "joined", separator=separator)

    def _affixed(self, parts: CandidateInputs, separator: str) -> Iterator[Candidate]:
        for text in (*parts.predictions, *parts.by_text[:2]):
            for suffix in self._suffixes:
                yield Candidate(joined((text, suffix), separator), "affixed", separator=separator)
            for prefix in self._prefixes:
                yield Candidate(joined((prefix, text), separator), "affixed", separator=separator)


def chosen(candidates: Sequence[Candidate], choice: Choice) -> list[int]:
    """Return the numbers of the candidates that a choice allows, one of each text.

    A string that comes about in several ways that are allowed counts as the first of them.
    """
    first: dict[str, int] = {}
    for number, candidate in enumerate(candidates):
        if choice.allows(candidate):
            first.setdefault(candidate.text, number)
    return list(first.values())


def learn_heads(prompts: Iterable[str], count: int = MOST_HEADS) -> list[str]:
    """Return the most frequent heads of known prompts: what stands before the first preposition."""
    heads = Counter(head for prompt in prompts if (head := _head_of(prompt)))
    return [head for head, _ in sorted(heads.items(), key=lambda item: (-item[1], item[0]))[:count]]


def shortenings(text: str) -> tuple[str, str, str]:
    """Return a prediction's first sentence, its first clause, and the clause's core."""
    sentence = _cut(_SENTENCE_END, text)
    return sentence, _cut(_CLAUSE_END, sentence), _cut(_CORE_END, sentence)


def opening(text: str, words: int) -> str:
    """Return the first words of a text."""
    return " ".join(text.split()[:words]).rstrip(",;:.")


def tail_of(text: str) -> str:
    """Return what follows the head of a request, its preposition included; empty without one."""
    found = _PIVOT.search(text)
    return text[found.start() :] if found else ""


def joined(parts: Sequence[str], separator: str) -> str:
    """Return strings put together; a full stop is not doubled, and nothing is put beside none."""
    *firsts, last = parts
    bare = [part.rstrip(". ") if separator.startswith(".") else part for part in firsts]
    return separator.join(part for part in [*bare, last] if part.strip())


def _head_of(prompt: str) -> str:
    found = _PIVOT.search(prompt)
    return prompt[: found.start()].strip() if found else ""


def _cut(end: re.Pattern[str], text: str) -> str:
    return end.split(text, maxsplit=1)[0].strip(" ,;:.")
