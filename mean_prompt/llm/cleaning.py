"""Extract the prompt from an LLM's answer by named rules, such as ``label`` and ``quotes``.

Rules are applied in a fixed order, again and again until none of them changes anything: a label
may stand inside quotes, and quotes after a label. No rule makes a text longer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: Characters of a prediction. True prompts have 10 to 200; sentence-t5's scorer reads 128 tokens,
#: some 500 characters, and a prediction has to leave room for what it is blended with.
MAX_CHARS: Final = 400
#: Characters of an answer that are read: a prompt does not come later, and nested quotes would take
#: quadratic time.
_READ: Final = 16 * 1024
#: To be raised when a rule changes: cached predictions from before the change are then not used.
RULES_VERSION: Final = 1

Rule = tuple[str, Callable[[str], str]]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """The prompt extracted from an LLM's answer, and the rules that changed the answer.

    The text is one line without blanks around it, empty if no prompt is left. Each rule is named
    once, in the order of first use.
    """

    text: str
    rules: tuple[str, ...]


def clean(text: str, *, max_chars: int = MAX_CHARS) -> Cleaned:
    """Return the prompt in an LLM's answer.

    The rules: ``thinking`` (a reasoning model's thoughts), ``control tokens`` (``<|im_end|>``;
    the answer ends there), ``not text`` (control characters, halves of surrogate pairs),
    ``several lines`` (the first with an instruction is kept), ``spaces`` (runs of blanks become
    one), ``markdown`` (bold, headings, quotations, code), ``opener`` ("Sure, here is ..."),
    ``label`` ("Prompt:"), ``list marker``, ``stray punctuation``, ``quotes`` (around the whole, or
    one without its partner), ``over-long`` (cut at the last end of a sentence within
    ``max_chars``, else of a word) and ``empty`` (no letter or digit is left).
    """
    rules = dict.fromkeys(["over-long"] if len(text) > _READ else [])
    limit: Rule = ("over-long", lambda line: _cut(line, max_chars))
    cleaned, applied = _until_stable(text[:_READ], (*_WHOLE, *_INLINE, limit))
    rules |= applied
    if not _has_words(cleaned):
        return Cleaned("", (*rules, "empty"))
    return Cleaned(cleaned, tuple(rules))


def _until_stable(text: str, rules: tuple[Rule, ...]) -> tuple[str, dict[str, None]]:
    """Apply rules until none changes the text; return the text and the rules that did."""
    applied: dict[str, None] = {}
    while True:
        before = text
        for name, rule in rules:
            after = rule(text).strip()
            if after != text.strip():
                applied[name] = None
            text = after
        if text == before:
            return text, applied


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


# Rules for the whole answer.

_THOUGHT: Final = re.compile(r"^.*</think(?:ing)?>|<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_CONTROL: Final = re.compile(
    r"<[|\uff5c][^<>\s]{1,40}[|\uff5c]>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>"
    r"|<(?:eos|bos|pad|unk)>|\[(?:PAD|UNK|CLS|SEP|MASK)\]"
)
#: The zero-width joiner stays, since it holds emoji together; tabs and newlines are blanks.
_NOT_TEXT: Final = re.compile("[\x00-\x08\x0e-\x1b\x7f\u200b\u2060\ufeff\ud800-\udfff]")
#: A line that only leads to the next: "Here is the prompt that was likely used:". A longer one
#: says something.
_INTRODUCTION: Final = re.compile(
    r"^(?=.{1,100}$).*\b(?:prompt|instruction|request|answer|response|here)\b.*:$", re.IGNORECASE
)


def _first_instruction(text: str) -> str:
    """Return an answer's first line with words that does not only introduce another line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return next(iter(lines), "")
    bare = {line: _until_stable(line, _INLINE)[0] for line in lines}
    with_words = [line for line in lines if _has_words(bare[line])]
    instructions = [line for line in with_words if not _INTRODUCTION.search(bare[line])]
    return next(iter(instructions or with_words), "")


# Rules for the one line that is left of the answer.

_MARKERS: Final = re.compile(
    r"\*\*|^#{1,6}(?=\s|$)|^>+\s|```\w*|^\*(?=\S)(.+)\*$|^(?P<line>_{1,2})(.+)(?P=line)$"
)
_OPENER: Final = re.compile(
    r"^(?:(?:sure(?: thing)?|certainly|of course|okay|ok|absolutely|great|alright|no problem)"
    r"\s*[,.!:\u2013\u2014]+|here(?:['\u2019]s| is| are)\b[^:.!?]{0,100}:)\s*",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(
    r"^(?:(?:the|a|my|rewrite|rewritten|original|likely|most|possible|probable|final|given|predicted"
    r"|one-line|user|used|suggested)\s+){0,4}"
    r"(?:prompt|instruction|response|answer|output|task|request|query|result|assistant|user)s?"
    r"(?:\s+(?:was|is|used|given|could|might|may|would|have|been|be|likely|probably)){0,5}"
    r"\s*[:\uff1a]\s*",
    re.IGNORECASE,
)
_LIST_MARKER: Final = re.compile(r"^(?:[-*\u2022]\s+|\d{1,2}[.)](?:\s+|$)|[IVX]{1,4}\.(?:\s+|$))")
_STRAY: Final = re.compile(r"^[)\]}>:;,!?|~=\u2013\u2014\-\s]+|[\[({<|~=\u2014\s]+$")
_PAIRS: Final = (('"', '"'), ("'", "'"), ("`", "`"), ("\u201c", "\u201d"), ("\u2018", "\u2019"),
                 ("\u00ab", "\u00bb"), ("\u201e", "\u201c"), ("[", "]"))  # fmt: skip


def _without_quotes(text: str) -> str:
    for opening, closing in _PAIRS:
        if text.startswith(opening) and len(text) > 1:
            end = text.rstrip(".,")
            if end.endswith(closing) and _is_one_quotation(end[1:-1], opening, closing):
                return end[1:-1]
    for mark in '"`\u201c\u201d':
        partner = {"\u201c": "\u201d", "\u201d": "\u201c"}.get(mark, mark)
        alone = text.count(mark) + (text.count(partner) if partner != mark else 0) == 1
        if alone and (text.startswith(mark) or text.endswith(mark)):
            return text.replace(mark, "")
    return text


def _is_one_quotation(inside: str, opening: str, closing: str) -> bool:
    """Return whether the quotes around a text are one pair, unlike those of "A" and "B"."""
    if opening == "'" or closing == "\u2019":  # an apostrophe stands between letters
        return re.search(rf"(?<!\w){opening}|{closing}(?!\w)", inside) is None
    return opening not in inside and closing not in inside


def _cut(text: str, max_chars: int) -> str:
    """Truncate a text to ``max_chars`` characters, after a sentence or else after a word."""
    if len(text) <= max_chars:
        return text
    ends = [found.end() for found in re.finditer(r"[.!?](?=\s)", text[: max_chars + 1])]
    if ends and ends[-1] >= max_chars // 4:
        return text[: ends[-1]]
    return text[: max_chars + 1].rpartition(" ")[0] or text[:max_chars]


def _replacing(pattern: re.Pattern[str], by: str = "") -> Callable[[str], str]:
    return lambda text: pattern.sub(by, text)


_WHOLE: Final[tuple[Rule, ...]] = (
    ("thinking", _replacing(_THOUGHT)),
    ("control tokens", _replacing(_CONTROL, "\n")),
    ("not text", _replacing(_NOT_TEXT)),
    ("several lines", _first_instruction),
)
_INLINE: Final[tuple[Rule, ...]] = (
    ("spaces", lambda text: " ".join(text.split())),
    ("markdown", lambda text: _MARKERS.sub(lambda found: found[1] or found[3] or "", text)),
    ("opener", _replacing(_OPENER)),
    ("label", _replacing(_LABEL)),
    ("list marker", _replacing(_LIST_MARKER)),
    ("stray punctuation", _replacing(_STRAY)),
    ("quotes", _without_quotes),
)
