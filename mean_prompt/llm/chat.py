"""Generate a causal model's answers to questions that fit its context, until a deadline."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from mean_prompt.llm.base import short_reason
from mean_prompt.llm.instruction import TEXT_LIMIT, Question
from mean_prompt.llm.options import LLMOptions
from mean_prompt.system import Deadline, InputError, OutOfTimeError

#: Fewest characters that texts are shortened to: with examples (one is dropped before going
#: further) and without.
_SHORTEST_BESIDE_EXAMPLES: Final = 1000
_SHORTEST: Final = 200


@dataclass(frozen=True, slots=True)
class TokenizedQuestion:
    """Token ids of a question that fit the model's context; ``shortened`` if texts were cut."""

    row: int
    question: Question
    tokens: list[int]
    shortened: bool


@dataclass(frozen=True, slots=True)
class WrittenAnswer:
    """A generated answer; ``ended`` unless the deadline cut it off, ``cut`` if too long."""

    text: str
    ended: bool
    cut: bool


class ChatModel:
    """A causal model with its tokenizer; without a chat template it continues a plain text."""

    def __init__(self, model: Any, tokenizer: Any, options: LLMOptions) -> None:  # noqa: ANN401
        self._model = model
        self._tokenizer = tokenizer
        self._options = options
        self.chats = tokenizer.chat_template is not None
        ends = model.generation_config.eos_token_id
        several = ends if isinstance(ends, list) else [ends]
        known = dict.fromkeys([*several, tokenizer.eos_token_id])
        self._ends = tuple(token for token in known if token is not None)
        padding = tokenizer.pad_token_id
        self._padding: int = padding if padding is not None else (*self._ends, 0)[0]
        config = model.config.get_text_config()
        positions = getattr(config, "max_position_embeddings", None) or sys.maxsize
        reads = int(min(positions, tokenizer.model_max_length))
        self._room = reads - options.max_new_tokens
        if self._room < 1:
            raise InputError(
                f"the LLM's max_new_tokens must leave room for the question: the model reads "
                f"{reads} tokens, found {options.max_new_tokens}"
            )
        # Questions are measured here: the tokenizer's warnings of long ones would mislead.
        tokenizer.model_max_length = sys.maxsize
        # Of the model's own settings (sampling, penalties) only the end tokens are kept.
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=options.max_new_tokens,
            eos_token_id=list(self._ends) or None,
            pad_token_id=self._padding,
        )

    def fit(self, row: int, question: Question) -> TokenizedQuestion | None:
        """Shorten a question to the model's context and tokenize it; ``None`` if it cannot fit."""
        asked, limit = question, TEXT_LIMIT
        while True:
            short = asked.shortened(limit)
            tokens = self._tokenize(short)
            if len(tokens) <= self._room:
                return TokenizedQuestion(row, question, tokens, short != question)
            shortest = _SHORTEST_BESIDE_EXAMPLES if asked.examples else _SHORTEST
            limit = min(limit, asked.longest)
            if limit > shortest:
                limit = max(shortest, int(0.9 * limit * self._room / len(tokens)))
            elif asked.examples:
                asked = Question(asked.original, asked.rewritten, asked.examples[:-1])
                limit = TEXT_LIMIT
            else:
                return None

    def answer(
        self, asked: list[TokenizedQuestion], deadline: Deadline
    ) -> list[list[WrittenAnswer]]:
        """Generate each question's sampled answers; not ``ended`` if the deadline cut them."""
        options, drawn = self._options, range(self._options.samples)
        inputs = self._padded([one.tokens for one in asked for _ in drawn])
        criterion = DeadlineCriterion(deadline)
        processors = LogitsProcessorList()
        if options.temperature > 0:
            seeds = [one.question.seed(options.seed, sample) for one in asked for sample in drawn]
            processors.append(Sampler(seeds, options.temperature, self._model.device))
        with torch.inference_mode(), criterion.watching(self._model):
            try:
                written = self._model.generate(
                    **inputs,
                    logits_processor=processors,
                    stopping_criteria=StoppingCriteriaList([criterion]),
                )
            except OutOfTimeError:
                return [[WrittenAnswer("", ended=False, cut=False)]] * len(asked)
        answers = [self._read(row) for row in written[:, inputs["input_ids"].shape[1] :].tolist()]
        return [answers[first : first + len(drawn)] for first in range(0, len(answers), len(drawn))]

    def _tokenize(self, question: Question) -> list[int]:
        if not self.chats:
            return list(self._tokenizer(question.plain())["input_ids"])
        from jinja2 import TemplateError

        try:
            # Reasoning models would spend all their tokens on thoughts; templates that do not
            # know the switch ignore it.
            text = self._tokenizer.apply_chat_template(
                question.messages(),
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
        except TemplateError as error:
            raise InputError(
                f"a model's chat template must take turns of user and assistant: "
                f"{self._tokenizer.name_or_path} says {short_reason(error)}; fix or remove it"
            ) from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _padded(self, rows: list[list[int]]) -> dict[str, Tensor]:
        """Return (n, longest) token ids and attention mask, padded on the left for generation."""
        longest = max(len(row) for row in rows)
        ids = [[self._padding] * (longest - len(row)) + row for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        device = self._model.device
        return {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }

    def _read(self, tokens: list[int]) -> WrittenAnswer:
        length = next((n for n, token in enumerate(tokens) if token in self._ends), None)
        cut = length is None and len(tokens) == self._options.max_new_tokens
        text = self._tokenizer.decode(tokens[:length], skip_special_tokens=True)
        return WrittenAnswer(text, ended=length is not None or cut, cut=cut)


class Sampler(LogitsProcessor):
    """Samples tokens by the Gumbel-max trick: argmax(logits / T - log E), E ~ Exp(1), is a draw.

    The library draws a whole batch from one global generator, so that an answer would depend on
    the other rows of its batch. Here each row has a generator of its own.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 its signature
        """Return (n, vocabulary) noisy logits, whose argmax is a sample of the next token."""
        noise = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores.float() / self._temperature - noise.log()


class DeadlineCriterion(StoppingCriteria):
    """Stops generation at the deadline: between tokens, or between layers for the first token.

    The first step, over long questions, can take minutes on a CPU, and the library does not check
    its criteria meanwhile. Later steps are short, and answers that have ended are kept.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._reading = True

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:  # noqa: ARG002
        """Return (n,) booleans: whether the deadline has expired, so that answers must end."""
        self._reading = False
        return torch.full((len(input_ids),), self._deadline.expired, device=input_ids.device)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Within the block, raise ``OutOfTimeError`` before a layer if the deadline expired."""

        def check(*_: object) -> None:
            if self._reading:
                self._deadline.check()

        stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
        with ExitStack() as hooks:
            for layer in itertools.chain.from_iterable(stacks):
                hooks.callback(layer.register_forward_pre_hook(check).remove)
            yield
