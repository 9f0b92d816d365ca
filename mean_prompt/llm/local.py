"""Predict prompts with a causal model that transformers runs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from mean_prompt.corpus import Rows
from mean_prompt.encoder import LOADING_ERRORS, choose_device, quiet_loading
from mean_prompt.llm.base import Counts, Examples, Prediction, short_reason
from mean_prompt.llm.chat import ChatModel, TokenizedQuestion
from mean_prompt.llm.instruction import asking_identity, questions_of
from mean_prompt.llm.models import find_chat_model, weights_identity
from mean_prompt.llm.options import LLMOptions
from mean_prompt.system import Deadline, InputError

#: Batches of rows that are sorted by length together: enough that a batch has little padding, few
#: enough that the first predictions come soon.
_WINDOW: Final = 32


class LocalPredictor:
    """Predicts prompts with a causal model that transformers runs on this machine.

    The model is loaded for the first row. Each answer is sampled with a random generator of its
    own, seeded by the row's texts, so that it does not depend on the other rows of its batch,
    except by the rounding that padding causes.

    Args:
        model: a folder with safetensors weights and a tokenizer, or a name on the hub.
        trust: whether the model may run code: load pickled weights, and classes that come with it.

    Raises:
        InputError: the model or the device is missing, the model would run code without being
            trusted, or 4-bit weights need a missing package.
    """

    def __init__(
        self,
        model: str,
        options: LLMOptions | None = None,
        *,
        device: str = "auto",
        trust: bool = False,
    ) -> None:
        self._options = options or LLMOptions()
        self._device = choose_device(device)
        self._dtype = _choose_dtype(self._options.dtype, self._device)
        needed = ("bitsandbytes", "accelerate") if self._options.four_bit else ()
        if missing := [name for name in needed if find_spec(name) is None]:
            raise InputError(
                f"4-bit weights need bitsandbytes and accelerate: {' and '.join(missing)} not "
                "found; run: pip install 'mean-prompt[quantized]'"
            )
        self._trust = trust
        self._found = find_chat_model(model, trust=trust)
        self._counts = Counts()

    @cached_property
    def identity(self) -> str:
        """The model, dtype, sampling, instruction and cleaning as a cache key; no batch size."""
        bits = " four_bit" if self._options.four_bit else ""
        weights = weights_identity(self._found, trust=self._trust)
        return (
            f"transformers {self._found.name} {weights} {self._dtype}{bits} "
            f"{asking_identity(self._options.sampling)}"
        )

    def predict(
        self, rows: Rows, examples: Examples | None = None, *, deadline: Deadline | None = None
    ) -> Iterator[Prediction]:
        """Generate answers batch by batch, and yield each row's prediction."""
        questions = questions_of(rows, examples)
        deadline = deadline or Deadline()
        size = max(1, self._options.batch // self._options.samples)
        for start in range(0, len(questions), size * _WINDOW):
            if deadline.expired:
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
        """Return lines on the model, its dtype, a missing chat template, and the counts."""
        bits = ", 4-bit" if self._options.four_bit else ""
        lines = [f"local model: {self._found.name}, {self._dtype}{bits} on {self._device}"]
        if "_model" in vars(self) and not self._model.chats:
            lines.append("the model has no chat template: it continued a plain text")
        return [*lines, *self._counts.notes()]

    @cached_property
    def _model(self) -> ChatModel:
        from safetensors import SafetensorError

        settings: dict[str, Any] = {"dtype": getattr(torch, self._dtype)}
        if self._options.four_bit:
            settings["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=settings["dtype"],
            )
            settings["device_map"] = {"": self._device}
        shared = {"local_files_only": True, "trust_remote_code": self._trust}
        path, safe = self._found.path, None if self._trust else True
        with quiet_loading():
            try:
                tokenizer = AutoTokenizer.from_pretrained(path, **shared)
                model: Any = AutoModelForCausalLM.from_pretrained(
                    path, use_safetensors=safe, **shared, **settings
                )
                model = model.eval() if self._options.four_bit else model.eval().to(self._device)
            except (*LOADING_ERRORS, SafetensorError) as error:
                raise InputError(
                    f"the LLM {self._found.name} does not load: {short_reason(error)}"
                ) from error
        return ChatModel(model, tokenizer, self._options)

    def _answer(self, asked: list[TokenizedQuestion], deadline: Deadline) -> Iterator[Prediction]:
        """Yield the predictions for a batch of questions; if memory runs out, halve the batch."""
        if not asked or deadline.expired:
            return
        try:
            answers = self._model.answer(asked, deadline)
        except torch.OutOfMemoryError as error:
            fault = f"out of memory: {short_reason(error)}"
        else:
            for one, samples in zip(asked, answers, strict=True):
                if all(sample.ended for sample in samples):
                    self._counts.truncated += one.shortened
                    self._counts.cut += sum(sample.cut for sample in samples)
                    written = [sample.text for sample in samples]
                    yield self._counts.prediction(one.row, written, blank_fault="empty answer")
            return
        # Outside the handler, since the error keeps the memory of the batch that failed alive.
        if len(asked) == 1:
            yield self._counts.failure(asked[0].row, fault)
            return
        half = len(asked) // 2
        yield from self._answer(asked[:half], deadline)
        yield from self._answer(asked[half:], deadline)


def _choose_dtype(dtype: str, device: str) -> str:
    """Resolve dtype ``auto``: bfloat16 if the device multiplies it in hardware, else float32.

    Chat models are trained in bfloat16, which halves memory. With avx512_bf16 a Llama of 220
    million weights took 14 s for eight questions of 400 tokens, and 30 s in float32 (2 busy
    cores). CPUs without such instructions emulate it, slowly; a torch that does not report its
    CPU's capabilities gets float32.
    """
    if dtype != "auto":
        return dtype
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast_cpu = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if device == "cuda" or (device == "cpu" and fast_cpu) else "float32"
