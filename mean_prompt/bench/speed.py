"""``bench speed``: strings per second of each way to encode with a model, timed in turns.

The ways (paths) are timed on the same strings, one after another in every repeat, so that a
machine whose speed drifts affects all alike; ratios are medians of the repeats' own ratios. A plain
matrix product of the screening dtype (that of candidates in a search), timed in the same turns,
shows the hardware's speed limit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import torch

from mean_prompt.bench.markup import code_span, escaped
from mean_prompt.bench.models import RANDOM_T5, random_sentence_t5
from mean_prompt.bench.setup import Frozen, Machine, ReportFolder
from mean_prompt.encoder import PACKAGED_MODEL, Encoder, load_encoder, special_ids
from mean_prompt.system import InputError, Listener, ProgressEvent, ignore

#: Models timed if none is named: the packaged one, and the competition's true shape.
DEFAULT_MODELS: Final = (PACKAGED_MODEL, RANDOM_T5)
#: The path that the others are compared with, in the library's default batch size.
BASELINE: Final = "SentenceTransformer.encode"
_BASELINE_BATCH: Final = 32
_SQUARE: Final = 2_048
#: Seconds that a matrix product is repeated for in one timing: about as long as a path takes, so
#: that other load on the machine disturbs both alike.
_PRODUCT_SECONDS: Final = 0.2

#: Rows, inner size and columns of a matrix product.
Shape = tuple[int, int, int]


class PathSpeed(Frozen):
    """The speed of one way to encode strings: the median, slowest and fastest of the repeats.

    ``ratio`` is the speed divided by that of ``SentenceTransformer.encode``.
    """

    path: str
    strings_per_second: float
    slowest: float
    fastest: float
    ratio: float


class ProductSpeed(Frozen):
    """The median FLOP/s of a plain matrix product ``(rows, inner) x (inner, columns)``."""

    rows: int
    inner: int
    columns: int
    flops_per_second: float


class ModelSpeed(Frozen):
    """The speeds of one model: each way to encode strings, and plain matrix products to compare.

    Attributes:
        tokens: number of tokens of each string, without special ones.
        screening: dtype in which a search encodes most candidates.
        lowest_cosine: lowest cosine of a vector in that dtype with its float32 one, at loading.
        speedup: speed of screening relative to float32, at loading.
        flops_per_string: FLOPs of a string's matrix products; a multiplication and addition are 2.
        achieved: median FLOP/s of ``screen_ids``.
        products: speeds of matrix products of the screening dtype, the fastest first.
        share_of_product: FLOP/s of ``screen_ids`` divided by the fastest product's.
    """

    model: str
    tokens: int
    strings: int
    screening: str
    lowest_cosine: float
    speedup: float
    paths: tuple[PathSpeed, ...]
    flops_per_string: float
    achieved: float
    products: tuple[ProductSpeed, ...]
    share_of_product: float


class SpeedReport(Frozen):
    """The encoding speeds of some models on one machine, as ``bench speed`` measured them."""

    machine: Machine
    repeats: int
    models: tuple[ModelSpeed, ...]


def bench_speed(
    models: Sequence[str | Encoder] | None = None,
    *,
    tokens: int = 32,
    batch: int = 192,
    repeats: int = 5,
    device: str = "auto",
    trust: bool = False,
    out: str | Path | None = None,
    listener: Listener = ignore,
) -> SpeedReport:
    """Measure how many strings per second some models encode, in float32 and faster dtypes.

    Models are names, folders, ``random-sentence-t5-base`` or loaded encoders; by default the
    packaged MiniLM and sentence-t5-base's shape with random weights. ``tokens`` excludes special
    ones. If ``trust`` is true, models may run their own code. ``out`` is a folder for the report.
    """
    for name, value in (("--tokens", tokens), ("--batch", batch), ("--repeats", repeats)):
        if value < 1:
            raise InputError(f"{name} must be at least 1: found {value}")
    folder = ReportFolder(out) if out is not None else None
    rows = []
    for model in models or DEFAULT_MODELS:
        if model == RANDOM_T5:
            encoder = random_sentence_t5(device="cpu" if device == "auto" else device)
        elif isinstance(model, str):
            encoder = load_encoder(model, device=device, trust=trust)
        else:
            encoder = model
        rows.append(_time_model(encoder, tokens, batch, repeats, listener))
    report = SpeedReport(machine=Machine.here(encoder.device), repeats=repeats, models=tuple(rows))
    if folder:
        folder.write("speed.json", report.model_dump_json(indent=2) + "\n")
        folder.write("speed.md", speed_markdown(report))
    return report


def speed_markdown(report: SpeedReport) -> str:
    """Return a report of encoding speeds as Markdown, with a table for each model."""
    machine = report.machine
    where = f"{machine.cpu}, {machine.cores} cores, {machine.threads} threads, {machine.date}"
    repeats = f"medians of {report.repeats} interleaved repeats"
    lines = ["# Strings a second", "", code_span(machine.command), ""]
    lines.append(f"{escaped(where)}; {repeats}.")
    for row in report.models:
        what = f"{row.strings} strings of {row.tokens} tokens"
        lines += [
            "",
            f"## {escaped(row.model)}, {what}, screening in {row.screening}",
            "",
            "| path | strings/s | by SentenceTransformer.encode |",
            "| --- | ---: | ---: |",
            *(
                f"| {path.path} | {path.strings_per_second:,.0f} | {path.ratio:.2f} |"
                for path in row.paths
            ),
            "",
            f"{product_line(row)}.",
        ]
    return "\n".join([*lines, ""])


def product_line(row: ModelSpeed) -> str:
    """Return a sentence that compares encoding in the fast dtype with a plain matrix product."""
    best = row.products[0]
    return (
        f"screen_ids does {row.achieved / 1e9:,.0f} GFLOP/s of matrix products, "
        f"{row.share_of_product:.2f} of a plain {row.screening} product's "
        f"{best.flops_per_second / 1e9:,.0f} ({best.rows} x {best.inner} by {best.inner} x "
        f"{best.columns})"
    )


def _time_model(
    encoder: Encoder, tokens: int, batch: int, repeats: int, listener: Listener
) -> ModelSpeed:
    if tokens > encoder.max_tokens:
        raise InputError(
            f"--tokens must be at most what the model reads: {encoder.identity.name} reads "
            f"{encoder.max_tokens}, found {tokens}"
        )
    texts = sample_strings(encoder, batch, tokens)
    ids = encoder.tokenize(texts)
    paths: dict[str, Callable[[], object]] = {
        "screen_ids": lambda: encoder.screen_ids(ids),
        "screen": lambda: encoder.screen(texts),
        "encode": lambda: encoder.encode(texts),
        BASELINE: lambda: encoder.library_model.encode(
            texts, batch_size=_BASELINE_BATCH, show_progress_bar=False
        ),
    }
    products = _products(encoder)
    for run in (*paths.values(), *products.values()):  # the first call is slow
        _seconds(run, encoder.device)
    loops = {
        shape: max(1, round(_PRODUCT_SECONDS / _seconds(run, encoder.device)))
        for shape, run in products.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in paths}
    rates: dict[Shape, list[float]] = {shape: [] for shape in products}
    for repeat in range(repeats):
        listener(ProgressEvent(f"timing {encoder.identity.name}", repeat, repeats, "repeats"))
        for name, run in paths.items():
            seconds[name].append(_seconds(run, encoder.device))
        for shape, run in products.items():
            taken = _seconds(run, encoder.device, loops[shape])
            rates[shape].append(2 * math.prod(shape) * loops[shape] / taken)
    return _summary(encoder, tokens, batch, seconds, rates)


def _summary(
    encoder: Encoder,
    tokens: int,
    batch: int,
    seconds: dict[str, list[float]],
    rates: dict[Shape, list[float]],
) -> ModelSpeed:
    rows = tuple(
        PathSpeed(
            path=name,
            strings_per_second=batch / median(times),
            slowest=batch / max(times),
            fastest=batch / min(times),
            ratio=_median_ratio(seconds[BASELINE], times),
        )
        for name, times in seconds.items()
    )
    products = [
        ProductSpeed(rows=m, inner=k, columns=n, flops_per_second=median(seen))
        for (m, k, n), seen in sorted(rates.items(), key=lambda pair: -median(pair[1]))
    ]
    flops = flops_per_string(encoder, tokens)
    screening = [flops * batch / taken for taken in seconds["screen_ids"]]
    best = max(rates.values(), key=median)
    return ModelSpeed(
        model=encoder.identity.name,
        tokens=tokens,
        strings=batch,
        screening=encoder.screening.dtype,
        lowest_cosine=encoder.screening.lowest_cosine,
        speedup=encoder.screening.speedup,
        paths=rows,
        flops_per_string=flops,
        achieved=median(screening),
        products=tuple(products),
        share_of_product=_median_ratio(screening, best),
    )


def _median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return median(a / b for a, b in zip(above, below, strict=True))


def flops_per_string(encoder: Encoder, tokens: int) -> float:
    """Return the FLOPs of the matrix products that encode one string of ``tokens`` tokens.

    Projections, feed-forward and attention products are counted by torch as they run, in the
    float32 model, whose kernels torch knows; the screening copy does the same products. A
    multiplication and addition count as 2. Special tokens are added to ``tokens``.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    token = encoder.tokenize(["text"])[0][:1]
    # The counter does not know the CPU's fused attention, and counts the plain one's products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        encoder.encode_ids([token * tokens])
    return float(counter.get_total_flops())


def sample_strings(encoder: Encoder, count: int, tokens: int, *, seed: int = 0) -> list[str]:
    """Return ``count`` strings of exactly ``tokens`` tokens each, drawn at random.

    Raises:
        InputError: too few decoded strings are tokenized into as many tokens again.
    """
    size = len(encoder.input_embeddings())
    special = set(special_ids(encoder.tokenizer).tolist())
    surfaces = encoder.decode([(token,) for token in range(size)])
    read = encoder.tokenize(surfaces)
    usable = [t for t in range(size) if read[t] == (t,) and t not in special]
    rng = np.random.default_rng(seed)
    found: list[str] = []
    for _ in range(20):
        drawn = [tuple(row) for row in rng.choice(usable or [0], (count, tokens)).tolist()]
        texts = encoder.decode(drawn)
        lengths = map(len, encoder.tokenize(texts))
        found += [text for text, length in zip(texts, lengths, strict=True) if length == tokens]
        if len(found) >= count:
            return found[:count]
    raise InputError(
        f"strings of {tokens} tokens are needed: the tokenizer of {encoder.identity.name} gives "
        "too few; choose another --tokens"
    )


def _products(encoder: Encoder) -> dict[Shape, Callable[[], object]]:
    """Return functions that run a matrix product, by shape: two feed-forward layers', a square."""
    width = encoder.input_embeddings().shape[1]
    rows = encoder.pass_tokens
    shapes = [(rows, width, 4 * width), (rows, 4 * width, width), (_SQUARE, _SQUARE, _SQUARE)]
    dtype = getattr(torch, encoder.screening.dtype)

    def product(m: int, k: int, n: int) -> Callable[[], object]:
        left = torch.randn(m, k, dtype=torch.float32).to(encoder.device, dtype)
        right = torch.randn(k, n, dtype=torch.float32).to(encoder.device, dtype)
        return lambda: torch.mm(left, right)

    return {shape: product(*shape) for shape in shapes}


def _seconds(run: Callable[[], object], device: str, loops: int = 1) -> float:
    began = time.perf_counter()
    for _ in range(loops):
        run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
