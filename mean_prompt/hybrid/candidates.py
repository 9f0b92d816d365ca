"""Makes the strings that may answer a row: of its texts, of predictions, of known prompts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Literal

from mean_prompt.hybrid.settings import MOST_HEADS, BlendSettings
from mean_prompt.training import Row, Wording

Kind = Literal[
    "universal",
    "prediction",
    "consensus",
    "shortened",
    "template",
    "line",
    "retrieved",
    "joined",
    "affixed",
]

SEPARATORS: Final = (" ", ". ")
#: Number of retrieved prompts that become candidates, and of those that are joined in pairs.
RETRIEVED: Final = 8
JOINED: Final = 3
#: Numbers of words that a prediction is shortened to.
_OPENINGS: Final = (6, 8, 10, 12, 16)
_TAIL_WORDS: Final = 12
#: Predictions of one row that can have a consensus.
_LEAST_VOICES: Final = 3

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
        row: the row's texts and predictions.
        by_text: known prompts retrieved by the row's texts, the nearest first.
        by_all: known prompts retrieved by texts and prediction, the nearest first; none if the
            predictions are left out.
    """

    row: Row
    by_text: Sequence[str] = ()
    by_all: Sequence[str] = ()

    @property
    def predictions(self) -> tuple[str, ...]:
        """Cleaned predictions of an LLM, the likeliest first; none if they are left out."""
        return self.row.predictions if self.by_all else ()


class CandidateFactory:
    """Makes the strings that may answer a row, from predictions and similar rows' prompts."""

    def __init__(
        self,
        universal: str,
        *,
        prefix: str | None = None,
        suffix: str | None = None,
    ) -> None:
        self.universal = universal
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
            yield from _of_prediction(text, inputs.row.wording)
        yield AnswerCandidate(consensus(inputs.predictions), "consensus")
        for text in (inputs.row.line, inputs.row.subject, *inputs.row.requests):
            yield AnswerCandidate(text, "line")
        for text in (*inputs.by_all[:RETRIEVED], *inputs.by_text[:RETRIEVED]):
            yield AnswerCandidate(text, "retrieved")
        for separator in SEPARATORS:
            yield from self._joined(inputs, separator)
            yield from self._affixed(inputs, separator)

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


def _of_prediction(text: str, wording: Wording) -> Iterator[AnswerCandidate]:
    sentence, clause, core = shortenings(text)
    openings = (opening(sentence, words) for words in _OPENINGS)
    for short in (sentence, clause, core, *openings):
        yield AnswerCandidate(short, "shortened")
    parts = (sentence, core, opening(sentence, _TAIL_WORDS))
    tails = dict.fromkeys(wording.predicted.rest(part) for part in parts)
    for number, head in enumerate(wording.heads[:MOST_HEADS]):
        for tail in tails:
            if tail:
                yield AnswerCandidate(f"{head} {tail}", "template", number)


def consensus(predictions: Sequence[str]) -> str:
    """Return the words of the first of several predictions that most others have as well.

    Empty for fewer than three predictions, which have no majority.
    """
    if len(predictions) < _LEAST_VOICES:
        return ""
    others = [set(text.lower().split()) for text in predictions[1:]]
    kept = [
        word
        for word in predictions[0].split()
        if 2 * sum(word.lower() in words for words in others) >= len(others)
    ]
    return " ".join(kept)


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


def shortenings(text: str) -> tuple[str, str, str]:
    """Return a prompt's first sentence, its first clause, and its words before any elaboration."""
    sentence = _cut(_SENTENCE_END, text)
    return sentence, _cut(_CLAUSE_END, sentence), _cut(_CORE_END, sentence)


def opening(text: str, words: int) -> str:
    """Return the first ``words`` words of a text, without punctuation at the end."""
    return " ".join(text.split()[:words]).rstrip(",;:.")


def joined(parts: Sequence[str], separator: str) -> str:
    """Join strings by a separator without doubling full stops; blank strings are left out."""
    *firsts, last = parts
    bare = [part.rstrip(". ") if separator.startswith(".") else part for part in firsts]
    return separator.join(part for part in [*bare, last] if part.strip())


def _cut(end: re.Pattern[str], text: str) -> str:
    return end.split(text, maxsplit=1)[0].strip(" ,;:.")
