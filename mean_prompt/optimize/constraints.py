"""Which strings a search may answer with, and which tokens it may build them from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.encoder import TokenIds, special_ids, token_strings
from mean_prompt.optimize.dictionary import dictionary, is_readable
from mean_prompt.system import InputError

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

Alphabet = Literal["ascii", "words", "unicode"]

_ASCII: Final = re.compile(r"[ -~]+")


class Constraints(BaseModel):
    """The rules a string obeys, as a recipe states them.

    Attributes:
        max_tokens: tokens of the whole string, without those that the tokenizer puts around it.
        alphabet: ``ascii`` printable ASCII; ``words`` dictionary words with single blanks;
            ``unicode`` any printable characters.
        banned_words: words that the string must not hold, in any case.
        banned_tokens: vocabulary entries that must not be used, as the tokenizer spells them.
        prefix: text that the string begins with; a blank is added if it does not end in one.
        suffix: text that the string ends with; a blank is added before it if it has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int = Field(default=64, ge=1)
    alphabet: Alphabet = "ascii"
    banned_words: tuple[str, ...] = ()
    banned_tokens: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""


class Rules:
    """Constraints bound to a model's vocabulary.

    Attributes:
        allowed: (A,) ids of the tokens a search may insert, ascending.
        surfaces: (V,) the text of every token on its own.
        frame_tokens: tokens that the required prefix and suffix take.
        room: most tokens that a body between them may have.

    Raises:
        InputError: the constraints contradict each other or the model.
    """

    def __init__(self, constraints: Constraints, encoder: Encoder) -> None:
        self.constraints = constraints
        self._encoder = encoder
        self._special = frozenset(special_ids(encoder.tokenizer).tolist())
        entries = token_strings(encoder.tokenizer)
        self._special_texts = tuple(entries[index].lower() for index in sorted(self._special))
        self._banned = _banned_ids(constraints.banned_tokens, entries)
        self._banned_words = _banned_pattern(constraints.banned_words)
        self._prefix = _glued(constraints.prefix, at_end=True)
        self._suffix = _glued(constraints.suffix, at_end=False)
        prefix, suffix = encoder.tokenize([self._prefix, self._suffix])
        self.frame_tokens = (len(prefix), len(suffix))
        self.room = constraints.max_tokens - sum(self.frame_tokens)
        self._check_limits()
        self.surfaces, self.starts_word = _spell(encoder, len(entries))
        self.allowed = self._allowed_tokens()

    def compose(self, body: str) -> str:
        """Return the whole string around a body: required prefix, body, required suffix."""
        return f"{self._prefix}{body}{self._suffix}"

    def body_of(self, text: str) -> str:
        """Return the body of a string that :meth:`compose` made."""
        return text.removeprefix(self._prefix).removesuffix(self._suffix)

    def violation(self, text: str, ids: TokenIds) -> str | None:
        """Return the first rule that a string breaks, or ``None`` if it may be an answer."""
        if not text.strip():
            return "is blank"
        if len(ids) > self.constraints.max_tokens:
            return f"has {len(ids)} tokens, over {self.constraints.max_tokens}"
        if reason := self._unfit(text, ids):
            return reason
        if not (text.startswith(self._prefix) and text.endswith(self._suffix)):
            return "lacks the required prefix or suffix"
        return None

    def _unfit(self, text: str, ids: TokenIds) -> str | None:
        """Return the rule on contents that a string, or a part of one, breaks."""
        if not self._special.isdisjoint(ids) or self._holds_special_text(text):
            return "holds the text of a special token"
        if not self._banned.isdisjoint(ids):
            return "holds a banned token"
        if not _in_alphabet(text, self.constraints.alphabet):
            return f"leaves the alphabet {self.constraints.alphabet!r}"
        if self._banned_words and self._banned_words.search(text):
            return "holds a banned word"
        return None

    def _holds_special_text(self, text: str) -> bool:
        lowered = text.lower()
        return any(special in lowered for special in self._special_texts)

    def _check_limits(self) -> None:
        limit, reads = self.constraints.max_tokens, self._encoder.max_tokens
        if limit > reads:
            raise InputError(
                f"max_tokens must be at most what the model reads: {self._encoder.identity.name} "
                f"reads {reads} tokens, found {limit}"
            )
        if self.room < 1:
            raise InputError(
                f"prefix and suffix must leave room for at least one token: they take "
                f"{sum(self.frame_tokens)} of "
                f"max_tokens {limit}"
            )
        for name, text in (("prefix", self._prefix), ("suffix", self._suffix)):
            part = text.strip()
            if text and (reason := self._unfit(part, self._encoder.tokenize([part])[0])):
                raise InputError(f"the {name} must obey the other constraints: {text!r} {reason}")

    def _allowed_tokens(self) -> NDArray[np.int64]:
        words = dictionary()
        alphabet = self.constraints.alphabet
        keep = [
            index
            for index, surface in enumerate(self.surfaces)
            if surface.strip()
            and index not in self._special
            and index not in self._banned
            and _in_alphabet(surface, "unicode" if alphabet == "unicode" else "ascii")
            and (alphabet != "words" or (self.starts_word[index] and surface.lower() in words))
            and not (self._banned_words and self._banned_words.search(surface))
        ]
        reachable = self._reachable(keep)
        if not reachable:
            raise InputError(
                f"the constraints must allow some tokens: none of {len(self.surfaces)} is left"
            )
        return np.array(reachable, np.int64)

    def _reachable(self, tokens: Sequence[int]) -> list[int]:
        """Return the tokens that text can produce: an unused slot's name is cut into pieces."""
        spelled = self._encoder.tokenize([self.surfaces[token] for token in tokens])
        return [
            token
            for token, ids in zip(tokens, spelled, strict=True)
            if not self.starts_word[token] or ids == (token,)
        ]


def _spell(encoder: Encoder, size: int) -> tuple[list[str], NDArray[np.bool_]]:
    """Return each token's text, and whether it starts a word rather than continues one.

    Decoding a token after a known word shows both, for every kind of tokenizer: ``the`` + ``##ing``
    gives ``theing``, ``the`` + ``cat`` gives ``the cat``.
    """
    anchor = encoder.tokenize(["the"])[0]
    lead = encoder.decode([anchor])[0]
    joined = encoder.decode([(*anchor, token) for token in range(size)])
    tails = [text[len(lead) :] if text.startswith(lead) else "" for text in joined]
    starts = np.array([tail.startswith(" ") for tail in tails])
    return [tail.strip() for tail in tails], starts


def _in_alphabet(text: str, alphabet: Alphabet) -> bool:
    if alphabet == "words":
        return is_readable(text)
    if alphabet == "ascii":
        return bool(_ASCII.fullmatch(text))
    return text.isprintable()


def _banned_ids(banned: Sequence[str], entries: Sequence[str]) -> frozenset[int]:
    index = {entry: number for number, entry in enumerate(entries)}
    for token in banned:
        if token not in index:
            raise InputError(f"banned_tokens must be in the model's vocabulary: found {token!r}")
    return frozenset(index[token] for token in banned)


def _banned_pattern(words: Sequence[str]) -> re.Pattern[str] | None:
    if not words:
        return None
    alternatives = "|".join(re.escape(word) for word in words)
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)


def _glued(text: str, *, at_end: bool) -> str:
    """Return a required text with the blank that keeps it apart from the body."""
    if not text:
        return ""
    if at_end:
        return text if text[-1].isspace() else f"{text} "
    return text if text[0].isspace() else f" {text}"
