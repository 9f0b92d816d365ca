"""Makes the strings that may answer a row from LLM predictions and similar rows' prompts.

The rules fit English prompts: the subject of a request mostly follows a preposition, so that
``Turn the text | into a limerick`` has the head ``Turn the text``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

from mean_prompt.hybrid.settings import MOST_HEADS, BlendSettings

Kind = Literal["universal", "prediction", "shortened", "template", "retrieved", "joined", "affixed"]

SEPARATORS: Final = (" ", ". ")
#: Number of retrieved prompts that become candidates, and of those that are joined in pairs.
RETRIEVED: Final = 8
JOINED: Final = 3
#: Numbers of words that a prediction is shortened to.
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
class AnswerCandidate:
    """A string that may be chosen as the predicted prompt of a row.

    Attributes:
        head: rank, from 0, of a template's head (opening words) by frequency; 0 for other kinds.
    """

    text: str
    kind: Kind
    head: int = 0
    separator: str = ""


@dataclass(frozen=True, slots=True)
class CandidateInputs:
    """The strings from which the candidate answers to one row are made.

    Attributes:
        predictions: cleaned predictions of an LLM, the likeliest first.
        by_text: known prompts retrieved by the row's texts, the nearest first.
        by_all: known prompts retrieved by texts and prediction, the nearest first.
    """

    predictions: Sequence[str] = ()
    by_text: Sequence[str] = ()
    by_all: Sequence[str] = ()


class CandidateFactory:
    """Makes the strings that may answer a row, from predictions and similar rows' prompts."""

    def __init__(
        self,
        universal: str,
        heads: Sequence[str] = (),
        *,
        prefix: str | None = None,
        suffix: str | None = None,
    ) -> None:
        self.universal = universal
        self._heads = tuple(heads)
        self._prefixes = (universal, *([prefix] if prefix else []))
        self._suffixes = (universal, *([suffix] if suffix else []))

    def candidates(
        self, inputs: CandidateInputs, settings: BlendSettings | None = None
    ) -> list[AnswerCandidate]:
        """Return the candidate answers to one row that the settings allow, none blank or repeated.

        Without settings a string is listed once for each way in which it is made, so that
        candidates can be chosen by any settings later.
        """
        made = list(dict.fromkeys(one for one in self._all(inputs) if one.text.strip()))
        return made if settings is None else [made[n] for n in allowed_numbers(made, settings)]

    def _all(self, inputs: CandidateInputs) -> Iterator[AnswerCandidate]:
        yield AnswerCandidate(self.universal, "universal")
        for text in inputs.predictions:
            yield AnswerCandidate(text, "prediction")
        for text in inputs.predictions:
            yield from self._of_prediction(text)
        for text in (*inputs.by_all[:RETRIEVED], *inputs.by_text[:RETRIEVED]):
            yield AnswerCandidate(text, "retrieved")
        for separator in SEPARATORS:
            yield from self._joined(inputs, separator)
            yield from self._affixed(inputs, separator)

    def _of_prediction(self, text: str) -> Iterator[AnswerCandidate]:
        sentence, clause, core = shortenings(text)
        openings = (opening(sentence, words) for words in _OPENINGS)
        for short in (sentence, clause, core, *openings):
            yield AnswerCandidate(short, "shortened")
        tails = [tail_of(part) for part in (sentence, core, opening(sentence, _TAIL_WORDS))]
        for number, head in enumerate(self._heads):
            for tail in dict.fromkeys(tails):
                if tail:
                    yield AnswerCandidate(f"{head} {tail}", "template", number)

    def _joined(self, inputs: CandidateInputs, separator: str) -> Iterator[AnswerCandidate]:
        for near in (inputs.by_all[:JOINED], inputs.by_text[:JOINED]):
            for pair in combinations(near, 2):
                yield AnswerCandidate(joined(pair, separator), "joined", separator=separator)
            if len(near) > 2:
                yield AnswerCandidate(joined(near[:3], separator), "joined", separator=separator)
        for prediction in inputs.predictions:
            for text in (*inputs.by_all[:2], *inputs.by_text[:1]):
                pair = (prediction, text)
                yield AnswerCandidate(joined(pair, separator), "joined", separator=separator)
        for pair in combinations(inputs.predictions[:JOINED], 2):
            yield AnswerCandidate(joined(pair, separator), "joined", separator=separator)

    def _affixed(self, inputs: CandidateInputs, separator: str) -> Iterator[AnswerCandidate]:
        for text in (*inputs.predictions, *inputs.by_text[:2]):
            pairs = [(text, suffix) for suffix in self._suffixes]
            pairs += [(prefix, text) for prefix in self._prefixes]
            for pair in pairs:
                yield AnswerCandidate(joined(pair, separator), "affixed", separator=separator)


def allowed_numbers(candidates: Sequence[AnswerCandidate], settings: BlendSettings) -> list[int]:
    """Return the indices of the candidates that the settings allow, the first for each text."""
    first: dict[str, int] = {}
    for number, candidate in enumerate(candidates):
        if _is_allowed(candidate, settings):
            first.setdefault(candidate.text, number)
    return list(first.values())


def _is_allowed(candidate: AnswerCandidate, settings: BlendSettings) -> bool:
    if candidate.kind == "template":
        return candidate.head < settings.heads
    if candidate.kind == "shortened":
        return settings.shortened
    if candidate.kind == "joined":
        return candidate.separator == settings.joined
    if candidate.kind == "affixed":
        return settings.affixed and candidate.separator == (settings.joined or " ")
    return True


def learn_heads(prompts: Iterable[str], count: int = MOST_HEADS) -> list[str]:
    """Return the most frequent heads of prompts, that is, the words before a first preposition."""
    found = ((prompt, _PIVOT.search(prompt)) for prompt in prompts)
    heads = Counter(prompt[: pivot.start()].strip() for prompt, pivot in found if pivot)
    heads.pop("", None)
    return [head for head, _ in sorted(heads.items(), key=lambda item: (-item[1], item[0]))[:count]]


def shortenings(text: str) -> tuple[str, str, str]:
    """Return a prompt's first sentence, its first clause, and its words before any elaboration."""
    sentence = _cut(_SENTENCE_END, text)
    return sentence, _cut(_CLAUSE_END, sentence), _cut(_CORE_END, sentence)


def opening(text: str, words: int) -> str:
    """Return the first ``words`` words of a text, without punctuation at the end."""
    return " ".join(text.split()[:words]).rstrip(",;:.")


def tail_of(text: str) -> str:
    """Return the part of a prompt from its first preposition on; empty if it has none."""
    found = _PIVOT.search(text)
    return text[found.start() :] if found else ""


def joined(parts: Sequence[str], separator: str) -> str:
    """Join strings by a separator without doubling full stops; blank strings are left out."""
    *firsts, last = parts
    bare = [part.rstrip(". ") if separator.startswith(".") else part for part in firsts]
    return separator.join(part for part in [*bare, last] if part.strip())


def _cut(end: re.Pattern[str], text: str) -> str:
    return end.split(text, maxsplit=1)[0].strip(" ,;:.")
