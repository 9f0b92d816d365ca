"""Rules on which strings a search may return and which tokens it may build them from."""

from __future__ import annotations

import importlib.resources
import re
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mean_prompt.encoder import TokenIds, special_ids, token_strings
from mean_prompt.system import InputError

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

Alphabet = Literal["ascii", "words", "unicode"]

_ASCII: Final = re.compile(r"[ -~]+")
_READABLE: Final = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*")
#: Occurrences in the dictionary's source below which a word is too rare to be read with ease.
_RARE: Final = 50_000


class Constraints(BaseModel):
    """Rules that the string found by a search must obey, as the user states them.

    Attributes:
        max_tokens: most tokens of the whole string, not counting the tokenizer's special ones.
        alphabet: ``ascii`` printable ASCII; ``words`` dictionary words with single blanks;
            ``unicode`` any printable characters.
        banned_tokens: vocabulary entries that must not be used, as the tokenizer spells them.
        prefix, suffix: text that the string begins and ends with; a blank is put between it and
            the rest if it has none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int = Field(default=64, ge=1)
    alphabet: Alphabet = "ascii"
    banned_words: tuple[str, ...] = ()
    banned_tokens: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""


class Rules:
    """Constraints applied to one model's tokenizer: checks strings and lists allowed tokens.

    Attributes:
        allowed: (A,) ids of the tokens a search may insert, ascending.
        surfaces: (V,) the text of every token on its own.
        frame_tokens: number of tokens of the required prefix, and of the required suffix.
        room: most tokens of the body, the editable part between prefix and suffix.

    Raises:
        InputError: the constraints contradict each other or the model.
    """

    def __init__(self, constraints: Constraints, encoder: Encoder) -> None:
        self.constraints = constraints
        self._encoder = encoder
        self._special = frozenset(special_ids(encoder.tokenizer).tolist())
        entries = token_strings(encoder.tokenizer)
        self._special_texts = tuple(entries[index].lower() for index in sorted(self._special))
        index = {entry: number for number, entry in enumerate(entries)}
        for token in constraints.banned_tokens:
            if token not in index:
                raise InputError(
                    f"banned_tokens must be in the model's vocabulary: found {token!r}"
                )
        self._banned = frozenset(index[token] for token in constraints.banned_tokens)
        words = "|".join(map(re.escape, constraints.banned_words))
        self._banned_words = (
            re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None
        )
        self._prefix = _glued(constraints.prefix, at_end=True)
        self._suffix = _glued(constraints.suffix, at_end=False)
        prefix, suffix = encoder.tokenize([self._prefix, self._suffix])
        self.frame_tokens = (len(prefix), len(suffix))
        self.room = constraints.max_tokens - sum(self.frame_tokens)
        self._check_limits()
        self.surfaces, self.starts_word = _spell(encoder, len(entries))
        self.allowed = self._allowed_tokens()

    def compose(self, body: str) -> str:
        """Return the whole string: required prefix, body (the editable text), required suffix."""
        return f"{self._prefix}{body}{self._suffix}"

    def body_of(self, text: str) -> str:
        """Return a string's editable text, without the required prefix and suffix around it."""
        return text.removeprefix(self._prefix).removesuffix(self._suffix)

    def violation(self, text: str, ids: TokenIds) -> str | None:
        """Return a message on the first rule that a string breaks, or ``None`` if it obeys all."""
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
        """Return which rule on characters, words or tokens a text breaks, or ``None`` if none."""
        lowered = text.lower()
        special = any(entry in lowered for entry in self._special_texts)
        if special or not self._special.isdisjoint(ids):
            return "holds the text of a special token"
        if not self._banned.isdisjoint(ids):
            return "holds a banned token"
        if not _in_alphabet(text, self.constraints.alphabet):
            return f"leaves the alphabet {self.constraints.alphabet!r}"
        if self._banned_words and self._banned_words.search(text):
            return "holds a banned word"
        return None

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
                f"{sum(self.frame_tokens)} of max_tokens {limit}"
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
        # Text cannot produce an unused slot of the vocabulary: its name is cut into pieces.
        spelled = self._encoder.tokenize([self.surfaces[token] for token in keep])
        reachable = [
            token
            for token, ids in zip(keep, spelled, strict=True)
            if not self.starts_word[token] or ids == (token,)
        ]
        if not reachable:
            raise InputError(
                f"the constraints must allow some tokens: none of {len(self.surfaces)} is left"
            )
        return np.array(reachable, np.int64)


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


def _glued(text: str, *, at_end: bool) -> str:
    """Return a required prefix or suffix with a blank between it and the editable text."""
    if not text or text[-1 if at_end else 0].isspace():
        return text
    return f"{text} " if at_end else f" {text}"


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
    return frozenset({word for word in words if len(word) > 1} | {"a", "i"})


def is_readable(text: str) -> bool:
    """Return whether a string consists of dictionary words separated by single blanks."""
    return bool(_READABLE.fullmatch(text)) and dictionary().issuperset(text.lower().split())
