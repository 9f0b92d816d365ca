"""Generate synthetic prompts that ask for a text to be rewritten, from a grammar with a seed.

The grammar is data (`corpora/grammar.toml`): families of templates, and slots whose
options fill them. The same grammar, count and seed always give the same bytes.
"""

import argparse
import json
import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from mean_prompt.system import shipped_folder

DEFAULT_GRAMMAR = shipped_folder("corpora") / "grammar.toml"

FRUITLESS_DRAWS = 2000  # draws in a row without a new prompt before giving up
CASUAL = 0.05  # share of prompts in lower case and without a full stop
STOPPED = 0.7  # share of other one-sentence prompts that end with a full stop

SLOT = re.compile(r"\{(\w+)\}")
STEM = re.compile(r"\b[a-z]{5}")  # takes "drama" and "dramatic" for one word
SENTENCE_START = re.compile(r"(^|[.?!] )([a-z])")
ARTICLE = re.compile(r"\b([Aa])n? (?=(\w+))")
VOWEL_SOUND = re.compile(
    r"(?!eu|one\b|once\b|uni(?![mn])|us[aeu])[aeiou]|hour|heir|hono|hones|8|1[18](?!\d\b)|faq\b"
)


@dataclass(frozen=True)
class Grammar:
    """A grammar of prompts: options to fill the slots of templates, which are grouped by family."""

    slots: dict[str, list[str]]
    templates: dict[str, list[str]]
    weights: list[float]


def load(path: Path) -> Grammar:
    """Read a prompt grammar from a TOML file; raise ValueError if it is invalid."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    try:
        templates = {family["name"]: family["templates"] for family in data["family"]}
        weights = [float(family["weight"]) for family in data["family"]]
        grammar = Grammar(data["slots"], templates, weights)
    except KeyError as missing:
        raise ValueError(
            f"{path.name}: a grammar needs [slots], and [[family]] with name, weight and"
            f" templates; {missing} is missing; add it"
        ) from None
    _check(grammar, path.name)
    return grammar


def _check(grammar: Grammar, where: str) -> None:
    """Raise ValueError if a grammar has bad weights, no texts, or names a slot it lacks."""
    if len(grammar.templates) != len(grammar.weights) or min(grammar.weights, default=0) <= 0:
        raise ValueError(
            f"{where}: families need distinct names and weights above 0; found names"
            f" {list(grammar.templates)} and weights {grammar.weights}; correct them"
        )
    for owner, texts in [*grammar.slots.items(), *grammar.templates.items()]:
        if not texts:
            raise ValueError(f"{where}: no slot or family may be empty; {owner!r} is; fill it")
        for name in SLOT.findall("\n".join(texts)):
            if name not in grammar.slots:
                raise ValueError(
                    f"{where}: every slot used must be defined; {owner!r} names unknown slot"
                    f" {name!r}; define it under [slots] or correct the name"
                )


def generate(count: int, *, seed: int = 0, path: Path | None = None) -> list[dict[str, str]]:
    """Return `count` distinct prompts, each with its family: {"prompt", "family"}.

    Two prompts that differ only in case or punctuation count as one. Raises
    ValueError if the grammar is faulty or cannot give that many.
    """
    grammar = load(path or DEFAULT_GRAMMAR)
    rng = random.Random(seed)
    rows: dict[str, dict[str, str]] = {}
    fruitless = 0
    while len(rows) < count:
        [family] = rng.choices(list(grammar.templates), grammar.weights)
        [template] = rng.choices(grammar.templates[family])
        text = _fill(template, grammar.slots, rng, _marks(template))
        key = " ".join(re.findall(r"\w+", text.lower()))
        fruitless = fruitless + 1 if not key or key in rows else 0
        if fruitless == FRUITLESS_DRAWS:
            raise ValueError(
                f"count must not exceed what the grammar can give; asked for {count}, found"
                f" {len(rows)} distinct prompts; ask for fewer or add options"
            )
        if not fruitless:
            rows[key] = {"prompt": _finish(text, rng), "family": family}
    return list(rows.values())


def _fill(text: str, slots: dict[str, list[str]], rng: random.Random, used: set[str]) -> str:
    """Return a template with all slots filled at random, or "" if options run out.

    An option that is in the prompt already, or shares the start of a long word
    with it, is skipped: nobody writes "a gloomy poem in a gloomy tone". As no
    option is used twice, filling ends even if slots contain each other.
    """
    while slot := SLOT.search(text):
        fresh = [option for option in slots[slot[1]] if used.isdisjoint(_marks(option))]
        if not fresh:
            return ""
        [option] = rng.choices(fresh)
        used |= _marks(option)
        text = text[: slot.start()] + option + text[slot.end() :]
    return text


def _marks(text: str) -> set[str]:
    """Return a text and the stems of its long words, none of which may occur again in a prompt."""
    return {text, *STEM.findall(SLOT.sub(" ", text.lower()))}


def _finish(text: str, rng: random.Random) -> str:
    """Correct the spaces, articles, capitals and end of a filled template."""
    text = ARTICLE.sub(_article, " ".join(text.split()))
    text = SENTENCE_START.sub(lambda start: start[1] + start[2].upper(), text)
    if rng.random() < CASUAL:
        return text.lower().rstrip(".")
    if text[-1] not in ".?!" and (". " in text or rng.random() < STOPPED):
        text += "."
    return text


def _article(match: re.Match[str]) -> str:
    """Return the match with "a" or "an" as the sound of the next word requires."""
    return match[1] + ("n " if VOWEL_SOUND.match(match[2].lower()) else " ")


def to_jsonl(rows: list[dict[str, str]]) -> str:
    """Return prompts with their families as JSON Lines, one object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write distinct rewrite prompts to a JSONL file.")
    parser.add_argument("--count", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    rows = to_jsonl(generate(given.count, seed=given.seed))
    given.out.write_text(rows, encoding="utf-8", newline="\n")
