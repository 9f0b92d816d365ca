"""Describe a change of token ids in words, and apply the change to the text that was typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from mean_prompt.encoder import Encoder, TokenIds
from mean_prompt.optimize import Rules
from mean_prompt.report.analysis.prompt_scores import truncate
from mean_prompt.report.analysis.tokens import pieces_of

#: Most characters of an inserted or removed part that a description shows.
_SHOWN: Final = 40
#: Most replacements that a description lists one by one.
_LISTED: Final = 6


@dataclass(frozen=True, slots=True)
class TypedText:
    """A text as the user typed it, split into one part per token."""

    text: str
    ids: TokenIds
    pieces: tuple[str, ...]

    @classmethod
    def read(cls, text: str, encoder: Encoder) -> TypedText:
        """Tokenize a text, and split it into one part per token."""
        read = encoder.tokenizer.encode(text, add_special_tokens=False)
        count = len(read.ids)
        pieces = pieces_of(text, read.offsets, count) if count else []
        return cls(text, tuple(read.ids), tuple(pieces))


def edited(typed: TypedText, ids: TokenIds, rules: Rules) -> str:
    """Return the text for new token ids, with the unchanged tokens written as the user typed them.

    Decoding the ids would rewrite the whole text, in lower case with some models. The result may
    be tokenized to other ids, which the caller has to check.
    """
    parts: list[str] = []
    for kind, a, b, c, d in _opcodes(typed.ids, ids):
        if kind == "equal":
            parts += typed.pieces[a:b]
        else:
            parts += [_written(token, rules) for token in ids[c:d]]
    text = "".join(parts)
    return text if typed.text[:1].isspace() else text.lstrip()


def described(typed: TypedText, ids: TokenIds, rules: Rules) -> str:
    """Describe in words how new token ids differ from a text's; tokens are counted from 1."""
    old = typed.ids
    changed = [i for i, (a, b) in enumerate(zip(old, ids, strict=False)) if a != b]
    if len(old) == len(ids) and len(changed) == 2 and _is_swap(old, ids, *changed):
        first, second = changed
        return (
            f"swap {_old(typed, first, first + 1)} and {_old(typed, second, second + 1)} "
            f"(tokens {first + 1} and {second + 1})"
        )
    opcodes = [code for code in _opcodes(old, ids) if code[0] != "equal"]
    if move := _move(typed, ids, opcodes):
        return move
    if len(old) == len(ids) and len(changed) <= _LISTED:
        opcodes = [("replace", i, i + 1, i, i + 1) for i in changed]
    parts = [_described(typed, ids, code, rules) for code in opcodes[:_LISTED]]
    more = len(opcodes) - _LISTED
    return "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


_Opcode = tuple[str, int, int, int, int]


def _opcodes(old: TokenIds, new: TokenIds) -> Sequence[_Opcode]:
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def _is_swap(old: TokenIds, new: TokenIds, first: int, second: int) -> bool:
    return old[first] == new[second] and old[second] == new[first]


def _move(typed: TypedText, ids: TokenIds, opcodes: Sequence[_Opcode]) -> str | None:
    """Return a description of a move if the only change is one part moved, else ``None``."""
    if sorted(code[0] for code in opcodes) != ["delete", "insert"]:
        return None
    out, put = sorted(opcodes, key=lambda code: code[0])
    if typed.ids[out[1] : out[2]] != ids[put[3] : put[4]]:
        return None
    return f"move {_old(typed, out[1], out[2])} from token {out[1] + 1} to token {put[3] + 1}"


def _described(typed: TypedText, ids: TokenIds, code: _Opcode, rules: Rules) -> str:
    kind, a, b, c, d = code
    if kind == "insert":
        where = f"after token {a}" if a else "at the beginning"
        return f"insert {_new(ids[c:d], rules)} {where}"
    place = f"token {a + 1}" if b - a == 1 else f"tokens {a + 1} to {b}"
    if kind == "delete":
        return f"delete {_old(typed, a, b)} ({place})"
    return f"replace {_old(typed, a, b)} by {_new(ids[c:d], rules)} ({place})"


def _old(typed: TypedText, first: int, end: int) -> str:
    return _quoted("".join(typed.pieces[first:end]).strip())


def _new(ids: TokenIds, rules: Rules) -> str:
    text = "".join(_written(token, rules) for token in ids)
    return _quoted(text.strip() if text.startswith(" ") else f"-{text}")


def _quoted(text: str) -> str:
    return f"“{truncate(text, _SHOWN)}”"


def _written(token: int, rules: Rules) -> str:
    return f"{' ' if rules.starts_word[token] else ''}{rules.surfaces[token]}"
