"""The encoder: a sentence-transformers model that gives unit vectors and gradients by token.

Symbols used throughout:

    n   strings, L tokens of one string without the special tokens around it
    d   width of the sentence vector, h width of the input embeddings, V size of the vocabulary
"""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from mean_prompt.encoder.identity import ModelIdentity
from mean_prompt.encoder.kernels import fast_dtypes, use_fast_kernels
from mean_prompt.encoder.tokens import TokenIds, plain_tokenizer, special_frame
from mean_prompt.objective import Vectors, to_numpy
from mean_prompt.system import InputError, RunError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


#: Largest difference allowed between our float32 vectors and SentenceTransformer.encode's.
PROOF_TOLERANCE: Final = 1e-5
#: Lowest cosine allowed between a screening vector (computed in a faster, less exact dtype) and its
#: float32 reference. In bfloat16 all-MiniLM-L6-v2 and a T5 of base size stay above 0.999.
PARITY_COSINE: Final = 0.995
#: A faster dtype must be faster by this factor to be worth its noise.
PARITY_SPEEDUP: Final = 1.1
#: Tokens in one forward pass. On a CPU the activations of more leave the cache (506 strings/s of
#: 32 tokens at 2,176, 442 at 4,352); a GPU wants more.
_BATCH_TOKENS: Final = {"cpu": 2_048, "cuda": 131_072, "mps": 16_384}
#: Timings that the parity gate (the choice of the screening dtype) takes the best of, since a busy
#: machine must not decide the dtype, and the speedup or slowdown at which one timing is enough: on
#: a CPU without bfloat16 instructions it is ten times slower, and more would delay the loading.
_GATE_TIMINGS: Final = 3
_GATE_CLEAR: Final = 1.5
#: Tokens differentiated in one pass, which keeps every layer's activations: by count, 0.7 MB a
#: token for a T5 of base size in float32.
_GRADIENT_TOKENS: Final = {"cpu": 1_024, "cuda": 16_384, "mps": 4_096}

#: Tokens that one forward pass costs before it does any work: 5 ms for all-MiniLM-L6-v2 on two
#: cores, the time of two strings of 32 tokens.
_PASS_TOKENS: Final = 64

PROBES: Final = (
    "Rewrite this text.",
    "Improve the clarity, tone and style of the following paragraph while keeping its meaning.",
    "Turn the story into a sea shanty, with a chorus!",
    "please make it formal",
    "Summarise the meeting notes below as three bullet points for a busy manager: who, what, when.",
    "convert into a haiku about autumn & loss (5-7-5)",
    "Caf\u00e9 \u201cna\u00efve\u201d \u2014 d\u00e9j\u00e0 vu?",
    "word " * 600,
)


@dataclass(frozen=True, slots=True)
class Screening:
    """The dtype chosen for fast scoring, and the measured cosine and speedup that decided it."""

    dtype: str
    lowest_cosine: float
    speedup: float
    notice: str | None = None


class Encoder:
    """A sentence-transformers model with exact-length batches and two precisions.

    ``encode`` gives the float32 reference, equal to ``SentenceTransformer.encode``; ``screen``
    uses the fastest dtype that agrees with it. Both batch strings of equal token count, to avoid
    padding. Make an encoder with :func:`mean_prompt.encoder.loading.load_encoder`.

    The model needs a fast tokenizer. If ``screening`` is ``auto``, bfloat16 or float16 is used if
    measurements favour it; if it is ``float32``, screening uses the reference model.
    """

    def __init__(
        self, model: SentenceTransformer, identity: ModelIdentity, *, screening: str = "auto"
    ) -> None:
        self.identity = identity
        self.device = str(model.device.type)
        self.library_model = model.float().eval().requires_grad_(False)
        self.dimension = int(model.get_embedding_dimension() or 0)
        self.tokenizer = plain_tokenizer(model, identity.name)
        self._head, self._tail = special_frame(self.tokenizer)
        # The model's default prompt goes before every string, whatever it is.
        prompt = model.prompts.get(model.default_prompt_name or "") or ""
        self._head += self.tokenize([prompt])[0]
        self._pad = int(model.tokenizer.pad_token_id or 0)
        #: Special tokens, and tokens of a default prompt: in front of a string, and around it.
        self.head_tokens = len(self._head)
        self.special_token_count = self.head_tokens + len(self._tail)
        #: Longest string, in tokens without the special ones, that the model reads whole.
        self.max_tokens = int(model.max_seq_length or 512) - self.special_token_count
        #: Most tokens in one forward pass, special ones included.
        self.pass_tokens = _BATCH_TOKENS[self.device]
        #: Largest difference of our float32 vectors from SentenceTransformer.encode's.
        self.difference = self._prove()
        #: The model that screens, in its dtype; the library model itself in float32.
        self.screening_model, self.screening = self._open_gate(screening)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: the screening model is made again from the other one."""
        return self.__dict__ | {"screening_model": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        dtype = self.screening.dtype
        is_same = dtype == "float32"
        self.screening_model = self.library_model if is_same else self._in_dtype(dtype)

    def frame(self, ids: TokenIds) -> torch.Tensor:
        """Return one string's token ids with the model's special tokens around: (L,) -> (1, n)."""
        return self._frame([ids], len(ids))[0]

    def tokenize(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the token ids of each string, without special tokens and never truncated."""
        encodings = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [tuple(encoding.ids) for encoding in encodings]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Return the string that each sequence of token ids decodes to."""
        return self.tokenizer.decode_batch([list(row) for row in ids], skip_special_tokens=False)

    def input_embeddings(self) -> torch.Tensor:
        """Return the model's (V, h) float32 table of input embeddings, one row per token id."""
        return _embedding_layer(self.library_model).weight.detach()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the strings' (n, d) unit vectors in float32; strings are cut to ``max_tokens``."""
        return self.encode_ids(self.tokenize(texts))

    def encode_ids(self, ids: Sequence[TokenIds]) -> Vectors:
        """Encode token ids, without special tokens, as :meth:`encode` does strings."""
        return self._embed(self.library_model, ids)

    def screen(self, texts: Sequence[str]) -> Vectors:
        """Return the strings' (n, d) unit vectors as float32, computed in a faster dtype if any."""
        return self.screen_ids(self.tokenize(texts))

    def screen_ids(self, ids: Sequence[TokenIds]) -> Vectors:
        """Encode token ids, without special tokens, in the faster dtype, as :meth:`screen`."""
        return self._embed(self.screening_model, ids)

    def token_gradients(
        self, ids: Sequence[TokenIds], vector_gradient: Callable[[Vectors], Vectors]
    ) -> Vectors:
        """Return the gradients of a function of the sentence vector at the input embeddings.

        Args:
            ids: token ids of n >= 1 strings of equal length L, without special tokens.
            vector_gradient: (d,) unit vector -> (d,) gradient of the function there.

        Returns:
            (n, L, h) gradients, one row of width h per token.
        """
        length = len(ids[0])
        if any(len(row) != length for row in ids):
            raise ValueError("strings differentiated together must have equally many tokens")
        step = max(1, _GRADIENT_TOKENS[self.device] // (length + self.special_token_count))
        parts = []
        for i in range(0, len(ids), step):
            with torch.enable_grad(), _embedding_leaves(self.library_model) as leaves:
                vectors = self._forward(self.library_model, *self._frame(ids[i : i + step], length))
                numbers = vectors.detach().cpu().numpy()
                cotangents = np.stack([vector_gradient(vector) for vector in numbers])
                vectors.backward(torch.from_numpy(cotangents).to(vectors))  # type: ignore[no-untyped-call]
            parts.append(to_numpy(leaves[-1].grad.float()))
        return np.concatenate(parts)[:, self.head_tokens : self.head_tokens + length]

    def _embed(self, model: SentenceTransformer, ids: Sequence[TokenIds]) -> Vectors:
        out = np.empty((len(ids), self.dimension), np.float32)
        for rows, length in self._batches([min(len(row), self.max_tokens) for row in ids]):
            out[rows] = self._pass(model, [ids[row] for row in rows], length)
        return out

    def _pass(self, model: SentenceTransformer, ids: Sequence[TokenIds], length: int) -> Vectors:
        """Return the vectors of one forward pass, halving this and later passes if memory ends."""
        try:
            with torch.inference_mode():
                vectors = self._forward(model, *self._frame(ids, length))
                return to_numpy(vectors.float())
        except torch.OutOfMemoryError as error:
            if len(ids) == 1:
                raise RunError(
                    f"the memory of {self.device} must hold one string of {length} tokens: it "
                    "does not; free some, take a shorter --max-tokens, or --device cpu"
                ) from error
        # Outside the handler, whose traceback would keep the failed pass's tensors alive.
        half = len(ids) // 2
        self.pass_tokens = min(self.pass_tokens, half * (length + self.special_token_count))
        parts = [self._pass(model, part, length) for part in (ids[:half], ids[half:])]
        return np.concatenate(parts)

    def _batches(self, lengths: Sequence[int]) -> Iterator[tuple[list[int], int]]:
        """Yield batches of row numbers, grouped by token count, and each batch's padded length.

        A forward pass costs as much as ``_PASS_TOKENS`` tokens before it does any work, so that a
        few rows are padded to a longer group's length if that adds no more tokens.
        """
        by_length: dict[int, list[int]] = defaultdict(list)
        for row, length in enumerate(lengths):
            by_length[length].append(row)
        groups: list[tuple[int, list[int]]] = []
        for length, rows in sorted(by_length.items(), reverse=True):
            if groups and (groups[-1][0] - length) * len(rows) <= _PASS_TOKENS:
                groups[-1][1].extend(rows)
            else:
                groups.append((length, rows))
        for length, rows in groups:
            start = 0
            while start < len(rows):
                # Computed at every pass: running out of memory makes passes smaller.
                step = max(1, self.pass_tokens // (length + self.special_token_count))
                yield rows[start : start + step], length
                start += step

    def _frame(self, ids: Sequence[TokenIds], length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the model's input ids and attention mask, (n, length + special tokens) each."""
        framed = [(*self._head, *row[: self.max_tokens], *self._tail) for row in ids]
        width = length + self.special_token_count
        tokens = np.full((len(framed), width), self._pad, np.int64)
        mask = np.zeros((len(framed), width), np.int64)
        for row, sequence in enumerate(framed):
            tokens[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        device = self.library_model.device
        return torch.from_numpy(tokens).to(device), torch.from_numpy(mask).to(device)

    @staticmethod
    def _forward(model: SentenceTransformer, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = model({"input_ids": ids, "attention_mask": mask})[
            "sentence_embedding"
        ]
        return torch.nn.functional.normalize(vectors.float(), dim=-1)

    def _prove(self) -> float:
        library = self.library_model
        theirs = library.encode([*PROBES], normalize_embeddings=True, show_progress_bar=False)
        difference = float(np.abs(self.encode(PROBES) - theirs).max())
        if not difference <= PROOF_TOLERANCE:
            raise InputError(
                f"the model's vectors must be reproducible to {PROOF_TOLERANCE:g}: "
                f"{self.identity.name} differs by {difference:.2g}; choose another --model"
            )
        return difference

    def _open_gate(self, screening: str) -> tuple[SentenceTransformer, Screening]:
        """Choose the fastest dtype whose vectors agree with float32's, float32 if none does."""
        if screening == "float32":
            return self.library_model, Screening("float32", 1.0, 1.0)
        dtypes = fast_dtypes(self.device)
        if not dtypes:
            notice = "screening in float32: this processor has no instructions for a shorter dtype"
            return self.library_model, Screening("float32", 1.0, 1.0, notice)
        tried = {dtype: self._measured(dtype) for dtype in dtypes}
        passed = [found for _, found in tried.values() if found.notice is None]
        if passed:
            chosen = max(passed, key=lambda found: found.speedup)
            return tried[chosen.dtype][0], chosen
        best = max((found for _, found in tried.values()), key=lambda found: found.speedup)
        reasons = "; ".join(str(found.notice) for _, found in tried.values())
        return self.library_model, Screening(
            "float32", best.lowest_cosine, best.speedup, f"screening in float32: {reasons}"
        )

    def _measured(self, dtype: str) -> tuple[SentenceTransformer, Screening]:
        """Return the model in a shorter dtype, with its accuracy and speed, and why it fails."""
        fast = self._in_dtype(dtype)
        probes = self.tokenize(PROBES[:-1])
        cosines = (self._embed(fast, probes) * self._embed(self.library_model, probes)).sum(axis=1)
        lowest = float(np.nan_to_num(cosines, nan=-1.0).min())
        speedup = self._speedup(fast, [probes[1]] * 24)
        if lowest >= PARITY_COSINE and speedup >= PARITY_SPEEDUP:
            return fast, Screening(dtype, lowest, speedup)
        notice = (
            f"{dtype} gave cosines down to {lowest:.4f} (at least {PARITY_COSINE}) and "
            f"{speedup:.2f} times the speed (at least {PARITY_SPEEDUP})"
        )
        return fast, Screening(dtype, lowest, speedup, notice)

    def _in_dtype(self, dtype: str) -> SentenceTransformer:
        """Return a copy of the model in a shorter dtype, with what transformers keeps in float32.

        T5's feed-forward output overflows in float16.
        """
        fast = copy.deepcopy(self.library_model).to(getattr(torch, dtype))
        if dtype == "float16":
            network: Any = getattr(fast[0], "auto_model", None)
            kept = set(getattr(network, "_keep_in_fp32_modules", None) or ())
            for name, module in fast.named_modules():
                if kept.intersection(name.split(".")):
                    module.float()
        use_fast_kernels(fast)
        return fast

    def _speedup(self, fast: SentenceTransformer, batch: list[TokenIds]) -> float:
        """Return how many times faster a copy of the model is, by the best of a few timings."""
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(_GATE_TIMINGS + 1):
            for model, taken in zip((self.library_model, fast), times, strict=True):
                start = time.perf_counter()
                self._embed(model, batch)
                if turn:  # the first pass of each is a warm-up
                    taken.append(time.perf_counter() - start)
            if turn and not 1 / _GATE_CLEAR <= min(times[0]) / min(times[1]) <= _GATE_CLEAR:
                break
        return min(times[0]) / min(times[1])


@contextmanager
def _embedding_leaves(model: SentenceTransformer) -> Iterator[list[Any]]:
    """Collect a model's input embeddings in the ``with`` block as leaf tensors with gradients.

    A hook works for every architecture; only some support passing ``inputs_embeds``.
    """
    leaves: list[Any] = []

    def cut(_module: object, _args: object, output: torch.Tensor) -> torch.Tensor:
        leaf = output.detach().requires_grad_(True)
        leaves.append(leaf)
        return leaf

    # T5 embeds through a layer of its own that shares the table, so all its users are hooked.
    table = _embedding_layer(model).weight.data_ptr()
    hooks = [
        layer.register_forward_hook(cut)
        for layer in model.modules()
        if isinstance(layer, torch.nn.Embedding) and layer.weight.data_ptr() == table
    ]
    try:
        yield leaves
    finally:
        for hook in hooks:
            hook.remove()


def _embedding_layer(model: SentenceTransformer) -> torch.nn.Embedding:
    transformer: Any = model[0]
    layer = transformer.auto_model.get_input_embeddings()
    assert isinstance(layer, torch.nn.Embedding)
    return layer
