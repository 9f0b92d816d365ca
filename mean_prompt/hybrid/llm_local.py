"""A local causal model of transformers as a predictor."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from mean_prompt.errors import InputError
from mean_prompt.hybrid.cleaning import RULES_VERSION
from mean_prompt.hybrid.llm import Counts, Example, Prediction, one_line
from mean_prompt.hybrid.llm_instruction import (
    TEXT_LIMIT,
    Question,
    instruction_hash,
    questions_of,
)
from mean_prompt.hybrid.llm_models import find_chat_model, weights_identity
from mean_prompt.hybrid.llm_options import LLMOptions
from mean_prompt.hybrid.rows import Rows
from mean_prompt.models import _LOADING_ERRORS, ModelFolder, _choose_device, quiet_loading

#: Characters below which texts are not shortened to fit the model: while there are examples, of
#: which one is dropped instead, and without any.
_SHORTEST_BESIDE_EXAMPLES: Final = 1000
_SHORTEST: Final = 200
#: Batches of rows that are sorted by length together, so that a batch has little padding and the
#: first predictions still come soon.
_WINDOW: Final = 32


class LocalPredictor:
    """Asks a causal model on this machine.

    The model is loaded when the first row is asked about. Each answer draws from a generator of
    its own, seeded by the row's texts, so that it does not depend on the rows beside it beyond
    the rounding of a padded batch.

    Args:
        model: a folder with safetensors weights and a tokenizer, or a name on the hub.
        options: how it is asked.
        device: ``cpu``, ``cuda``, ``mps``, or ``auto`` for the best there is.

    Raises:
        InputError: the model or the device is not there, or 4-bit weights need a missing package.
    """

    def __init__(
        self, model: str, options: LLMOptions | None = None, *, device: str = "auto"
    ) -> None:
        self._options = options or LLMOptions()
        self._device = _choose_device(device)
        self._dtype = _choose_dtype(self._options.dtype, self._device)
        if self._options.four_bit:
            _need_quantization()
        self._found = find_chat_model(model)
        self._counts = Counts()

    @cached_property
    def identity(self) -> str:
        """Weights, dtype, sampling, instruction and cleaning; the batch is not part of it."""
        bits = " four_bit" if self._options.four_bit else ""
        return (
            f"transformers {self._found.name} {weights_identity(self._found)} {self._dtype}{bits} "
            f"{self._options.sampling} instruction={instruction_hash()} cleaning={RULES_VERSION}"
        )

    def predict(
        self,
        rows: Rows,
        examples: Sequence[Sequence[Example]] | None = None,
        *,
        deadline: float | None = None,
    ) -> Iterator[Prediction]:
        """Write answers batch by batch; see :class:`~mean_prompt.hybrid.llm.Predictor`.

        Raises:
            InputError: the model does not load, or its chat template takes no such chat.
        """
        questions = questions_of(rows.originals, rows.rewritten, examples)
        size = max(1, self._options.batch // self._options.samples)
        for start in range(0, len(questions), size * _WINDOW):
            if _is_past(deadline):
                return
            asked = []
            for row in range(start, min(start + size * _WINDOW, len(questions))):
                fitting = self._model.fit(row, questions[row])
                if fitting is None:
                    yield self._counts.failure(row, "too long for the model's context")
                else:
                    asked.append(fitting)
            asked.sort(key=lambda one: len(one.tokens))
            for first in range(0, len(asked), size):
                yield from self._answer(asked[first : first + size], deadline)

    def notes(self) -> list[str]:
        """Return the model, the dtype, how it was asked, and the counts."""
        bits = ", 4-bit" if self._options.four_bit else ""
        lines = [f"local model: {self._found.name}, {self._dtype}{bits} on {self._device}"]
        if "_model" in vars(self) and not self._model.chats:
            lines.append("the model has no chat template: it continued a plain text")
        return [*lines, *self._counts.notes()]

    @cached_property
    def _model(self) -> _ChatModel:
        return _load(self._found, self._options, self._device, self._dtype)

    def _answer(self, asked: list[_Fitting], deadline: float | None) -> Iterator[Prediction]:
        """Yield the predictions of a batch; a batch too large for the memory is halved."""
        if not asked or _is_past(deadline):
            return
        try:
            answers = self._model.answer(asked, deadline)
        except torch.OutOfMemoryError as error:
            fault = f"out of memory: {one_line(error)}"
        else:
            yield from self._predictions(asked, answers)
            return
        # Out of the handler, since the error holds on to the memory of the batch that failed.
        if len(asked) == 1:
            yield self._counts.failure(asked[0].row, fault)
            return
        half = len(asked) // 2
        yield from self._answer(asked[:half], deadline)
        yield from self._answer(asked[half:], deadline)

    def _predictions(
        self, asked: list[_Fitting], answers: list[list[_Answer]]
    ) -> Iterator[Prediction]:
        for one, texts in zip(asked, answers, strict=True):
            if all(text.ended for text in texts):
                self._counts.truncated += one.shortened
                self._counts.cut += sum(text.cut for text in texts)
                written = [text.text for text in texts]
                yield self._counts.prediction(one.row, written, blank_fault="empty answer")


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A question as tokens that fit the model, and whether its texts had to be shortened."""

    row: int
    question: Question
    tokens: list[int]
    shortened: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was written: whether it came to an end, and whether that was the limit's."""

    text: str
    ended: bool
    cut: bool


class _ChatModel:
    """A loaded model with its tokenizer.

    Attributes:
        chats: whether it has a chat template; without one it continues a plain text.
    """

    def __init__(self, model: Any, tokenizer: Any, options: LLMOptions) -> None:  # noqa: ANN401
        self._model = model
        self._tokenizer = tokenizer
        self._options = options
        self.chats = tokenizer.chat_template is not None
        self._ends = _ends_of(model, tokenizer)
        padding = tokenizer.pad_token_id
        self._padding: int = padding if padding is not None else (*self._ends, 0)[0]
        self._room = _context(model, tokenizer) - options.max_new_tokens
        if self._room < 1:
            raise InputError(
                f"the LLM's max_new_tokens must leave room for the question: the model reads "
                f"{self._room + options.max_new_tokens} tokens, found {options.max_new_tokens}"
            )
        # Questions are measured here; the tokenizer need not warn of those yet to be shortened.
        tokenizer.model_max_length = sys.maxsize
        # Nothing of the model's own habits (sampling, penalties) but where its answers end.
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=options.max_new_tokens,
            eos_token_id=list(self._ends) or None,
            pad_token_id=self._padding,
        )

    def fit(self, row: int, question: Question) -> _Fitting | None:
        """Return a question with texts short enough for the model, or ``None``.

        Texts are shortened to 1,000 characters, then the last examples go, one by one, and then
        texts are shortened to 200.
        """
        asked, limit = question, TEXT_LIMIT
        while True:
            short, _ = asked.shortened(limit)
            tokens = self._tokenize(short)
            if len(tokens) <= self._room:
                return _Fitting(row, question, tokens, short != question)
            shortest = _SHORTEST_BESIDE_EXAMPLES if asked.examples else _SHORTEST
            limit = min(limit, asked.longest)
            if limit > shortest:
                limit = max(shortest, int(0.9 * limit * self._room / len(tokens)))
            elif asked.examples:
                asked = Question(asked.original, asked.rewritten, asked.examples[:-1])
                limit = TEXT_LIMIT
            else:
                return None

    def answer(self, asked: list[_Fitting], deadline: float | None) -> list[list[_Answer]]:
        """Return the samples of each question; answers that the deadline cut have not ended."""
        samples = self._options.samples
        inputs = self._padded([one.tokens for one in asked for _ in range(samples)])
        clock = _Clock(deadline)
        processors = LogitsProcessorList()
        if self._options.temperature > 0:
            seeds = [
                one.question.seed(self._options.seed, sample)
                for one in asked
                for sample in range(samples)
            ]
            device = self._model.device
            processors.append(_Sampler(seeds, self._options.temperature, device))
        with torch.inference_mode(), clock.watching(self._model):
            try:
                written = self._model.generate(
                    **inputs,
                    logits_processor=processors,
                    stopping_criteria=StoppingCriteriaList([clock]),
                )
            except _DeadlineError:
                return [[_Answer("", ended=False, cut=False)]] * len(asked)
        answers = [self._read(row) for row in written[:, inputs["input_ids"].shape[1] :].tolist()]
        return [answers[first : first + samples] for first in range(0, len(answers), samples)]

    def _tokenize(self, question: Question) -> list[int]:
        if not self.chats:
            return list(self._tokenizer(question.plain())["input_ids"])
        from jinja2 import TemplateError

        try:
            # Models that can think first would spend all their tokens on it; templates that do
            # not know the switch ignore it.
            text = self._tokenizer.apply_chat_template(
                question.messages(),
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
        except TemplateError as error:
            raise InputError(
                f"a model's chat template must take turns of user and assistant: "
                f"{self._tokenizer.name_or_path} says {one_line(error)}; mend or remove it"
            ) from error
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _padded(self, rows: list[list[int]]) -> dict[str, Tensor]:
        """Return (n, longest) ids and mask, padded on the left: answers follow their question."""
        longest = max(len(row) for row in rows)
        ids = [[self._padding] * (longest - len(row)) + row for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        device = self._model.device
        return {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }

    def _read(self, tokens: list[int]) -> _Answer:
        length = next((n for n, token in enumerate(tokens) if token in self._ends), None)
        cut = length is None and len(tokens) == self._options.max_new_tokens
        text = self._tokenizer.decode(tokens[:length], skip_special_tokens=True)
        return _Answer(text, ended=length is not None or cut, cut=cut)


class _Sampler(LogitsProcessor):
    """Draws by the Gumbel-max trick: argmax(logits / T - log E), E ~ Exp(1), samples softmax.

    The library draws a whole batch from one global generator, so that an answer would depend on
    the rows beside it. Here each row has its own.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, device: torch.device) -> None:
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 its signature
        """Return (n, vocabulary) scores whose greatest is a draw."""
        noise = torch.empty_like(scores, dtype=torch.float32)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores.float() / self._temperature - noise.log()


class _DeadlineError(Exception):
    """The deadline passed before the first token."""


class _Clock(StoppingCriteria):
    """Ends generation at the deadline: between tokens, and between layers before the first.

    Reading a batch of long questions can take minutes on a CPU, and nothing else looks at the
    time in it. Once answers are begun, a step is short, and those that have ended are kept.
    """

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._reading = True

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:  # noqa: ARG002
        """Return (n,) whether each answer must end now."""
        self._reading = False
        return torch.full((len(input_ids),), _is_past(self._deadline), device=input_ids.device)

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Look at the time before each layer of a model."""
        layers = [
            layer
            for stack in model.modules()
            if isinstance(stack, nn.ModuleList)
            for layer in stack
        ]
        hooks = [layer.register_forward_pre_hook(self._check) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _check(self, *_: object) -> None:
        if self._reading and _is_past(self._deadline):
            raise _DeadlineError


def _load(found: ModelFolder, options: LLMOptions, device: str, dtype: str) -> _ChatModel:
    from safetensors import SafetensorError

    settings: dict[str, Any] = {"dtype": getattr(torch, dtype)}
    if options.four_bit:
        settings["quantization_config"] = _quantization(getattr(torch, dtype))
        settings["device_map"] = {"": device}
    with quiet_loading():
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                found.path, local_files_only=True, trust_remote_code=False
            )
            model: Any = AutoModelForCausalLM.from_pretrained(
                found.path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                **settings,
            )
            model = model.eval() if options.four_bit else model.eval().to(device)
        except (*_LOADING_ERRORS, SafetensorError) as error:
            raise InputError(f"the LLM {found.name} does not load: {one_line(error)}") from error
    return _ChatModel(model, tokenizer, options)


def _quantization(dtype: torch.dtype) -> object:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def _need_quantization() -> None:
    missing = [name for name in ("bitsandbytes", "accelerate") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"4-bit weights need bitsandbytes and accelerate: {' and '.join(missing)} not found; "
            "run: pip install 'mean-prompt[quantized]'"
        )


def _choose_dtype(dtype: str, device: str) -> str:
    if dtype != "auto":
        return dtype
    return "bfloat16" if device == "cuda" else "float32"


def _context(model: Any, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the tokens that a model reads, question and answer together."""
    config = model.config.get_text_config()
    positions = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    return int(min(positions, tokenizer.model_max_length))


def _ends_of(model: Any, tokenizer: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Return the tokens that end an answer, by the model and by the tokenizer."""
    ends = model.generation_config.eos_token_id
    several = ends if isinstance(ends, list) else [ends]
    known = dict.fromkeys([*several, tokenizer.eos_token_id])
    return tuple(token for token in known if token is not None)


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
