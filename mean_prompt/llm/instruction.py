"""Build the question that asks an LLM for a row's prompt, as chat messages or as plain text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from mean_prompt.corpus import Rows
from mean_prompt.llm.base import Example, Examples
from mean_prompt.llm.cleaning import RULES_VERSION

INSTRUCTION: Final = (
    "Below are a text and its rewrite by a language model. Say which instruction the model was "
    "given. Answer with that instruction alone, in one line: no explanation, no quotes."
)
#: Characters of each text of the row to predict; the style of a rewrite shows long before.
TEXT_LIMIT: Final = 4000
#: Characters of each text of an example, of which there may be several.
EXAMPLE_LIMIT: Final = 1200


@dataclass(frozen=True, slots=True)
class Question:
    """A row whose prompt an LLM is asked for, and few-shot examples (rows with true prompts)."""

    original: str
    rewritten: str
    examples: tuple[Example, ...] = ()

    @property
    def longest(self) -> int:
        """The smallest limit at which :meth:`shortened` leaves all texts as they are."""
        shown = [len(text) for e in self.examples for text in (e.original, e.rewritten)]
        share = -(-max(shown, default=0) * TEXT_LIMIT // EXAMPLE_LIMIT)
        return max(len(self.original), len(self.rewritten), share)

    def shortened(self, limit: int) -> Question:
        """Truncate the texts to ``limit`` characters, those of examples proportionally."""
        shares = max(1, EXAMPLE_LIMIT * limit // TEXT_LIMIT)
        examples = tuple(
            Example(shown.original[:shares], shown.rewritten[:shares], shown.prompt)
            for shown in self.examples
        )
        return Question(self.original[:limit], self.rewritten[:limit], examples)

    def messages(self) -> list[dict[str, str]]:
        """Return chat messages that ask for the row's prompt; examples are earlier turns.

        There is no system turn, which some chat templates refuse.
        """
        turns = []
        for shown in self.examples:
            turns += [
                {"role": "user", "content": _texts(shown.original, shown.rewritten)},
                {"role": "assistant", "content": shown.prompt},
            ]
        turns.append({"role": "user", "content": _texts(self.original, self.rewritten)})
        turns[0]["content"] = f"{INSTRUCTION}\n\n{turns[0]['content']}"
        return turns

    def plain(self) -> str:
        """Return the question as a text to continue, for models without a chat template."""
        shown = [
            f"{_texts(example.original, example.rewritten)}\n\nInstruction: {example.prompt}"
            for example in self.examples
        ]
        asked = f"{_texts(self.original, self.rewritten)}\n\nInstruction:"
        return "\n\n".join([INSTRUCTION, *shown, asked])

    def seed(self, seed: int, sample: int) -> int:
        """Return the random seed of one sampled answer: a hash of the arguments and question."""
        parts = [seed, sample, self.original, self.rewritten]
        parts += [text for e in self.examples for text in (e.original, e.rewritten, e.prompt)]
        digest = hashlib.sha256(repr(parts).encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1  # servers take 31 bits


def asking_identity(sampling: str) -> str:
    """Return a string of sampling options, instruction hash and cleaning rules for cache keys."""
    example = Example("original", "rewritten", "prompt")
    asked = Question("original", "rewritten", (example,))
    parts = [asked.messages(), asked.plain(), TEXT_LIMIT, EXAMPLE_LIMIT]
    instruction = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return f"{sampling} instruction={instruction} cleaning={RULES_VERSION}"


def _texts(original: str, rewritten: str) -> str:
    return f"Original text:\n{original}\n\nRewritten text:\n{rewritten}"


def questions_of(rows: Rows, examples: Examples | None) -> list[Question]:
    """Return the question about each row, with its few-shot examples if there are any."""
    shown = examples if examples is not None else [()] * len(rows)
    return [
        Question(original, rewritten, tuple(known))
        for original, rewritten, known in zip(rows.originals, rows.rewritten, shown, strict=True)
    ]
