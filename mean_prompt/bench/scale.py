"""``bench scale``: time of a search step, memory and accuracy of scores by number of prompts.

Prompts are synthetic: unit vectors around random centres that share a direction, as sentence
embeddings do. Each size is measured in a separate process, for the sake of its peak memory.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from mean_prompt.corpus import Split
from mean_prompt.encoder import need_half
from mean_prompt.objective import SHARPNESS, Objective, StoredVectors, Vectors
from mean_prompt.optimize import Problem

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder

SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
#: The number of prompts whose time of a search step is the unit for other sizes.
REFERENCE: Final = 10_000
#: Strings that one step of a search scores, and tokens of each.
_STRINGS: Final = 64
_TOKENS: Final = 32
_CHUNK: Final = 10_000
_CENTRES: Final = 500


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """The measured time, memory and accuracy of a search over a given number of prompts.

    Attributes:
        prepare_seconds: time to compress the prompts and to find both ceilings (score maxima).
        objective_seconds: time of a step's work on the objective: 64 scores, one gradient on the
            sphere, one expansion.
        step_seconds: time of a step: 64 strings of 32 tokens encoded, and the work on the
            objective.
        step_ratio: ``step_seconds`` divided by those of a step over 10,000 prompts, measured in
            the same process, with the same encoding.
        error: root mean square error of the compressed objective, as a share of the ceiling; 0
            if the search is exact.
        step_error: the same for differences between neighbours. See
            :class:`~mean_prompt.objective.compression.Compression`.
        exact_seconds: time to score one string over every prompt.
        score_error: relative difference of that score to the same in double precision, over
            vectors that were never rounded to half precision.
        peak_gib: the process's highest memory, with the model; ``None`` if it is not known.
    """

    prompts: int
    dimension: int
    prepare_seconds: float
    objective_seconds: float
    step_seconds: float
    step_ratio: float
    error: float
    step_error: float
    exact_seconds: float
    score_error: float
    peak_gib: float | None


def bench_scale(
    sizes: Sequence[int] = SIZES,
    *,
    dimension: int = 768,
    encode: bool = True,
    repeats: int = 5,
    seed: int = 0,
) -> Iterator[ScaleRow]:
    """Measure a search's costs for each number of prompts, in a fresh process each.

    Times are medians over the repeats. If ``encode`` is true, a step also encodes strings, with a
    randomly initialised model of sentence-t5-base's shape (dimension 768).
    """
    context = multiprocessing.get_context("spawn")
    for size in sizes:
        with ProcessPoolExecutor(1, mp_context=context) as process:
            yield process.submit(measure, size, dimension, encode, repeats, seed).result()


def measure(size: int, dimension: int, encode: bool, repeats: int, seed: int) -> ScaleRow:
    """Measure a search's costs over ``size`` synthetic prompts, in this process."""
    encoder = None
    if encode:
        from mean_prompt.bench.models import random_sentence_t5

        encoder = random_sentence_t5()
    vectors = made_up_prompts(size, dimension, seed)
    began = time.perf_counter()
    problem = _problem(vectors, seed)
    prepared = time.perf_counter() - began
    own_first = size >= REFERENCE
    compared = vectors[:REFERENCE] if own_first else made_up_prompts(REFERENCE, dimension, seed)
    reference = _problem(compared, seed).screening
    found = problem.ceiling.vector
    encoding, own, other = _steps(encoder, problem.screening, reference, found, repeats)
    began = time.perf_counter()
    score = problem.train_score(found)
    exact_seconds = time.perf_counter() - began
    point = found.astype(np.float64)
    chunks = (rows.astype(np.float64) for rows in _chunks(size, dimension, seed))
    truth = np.concatenate([(rows @ point) ** SHARPNESS for rows in chunks]).mean()
    compression = problem.compression
    return ScaleRow(
        prompts=size,
        dimension=dimension,
        prepare_seconds=prepared,
        objective_seconds=own,
        step_seconds=encoding + own,
        step_ratio=(encoding + own) / (encoding + other),
        error=compression.error if compression else 0.0,
        step_error=compression.step_error if compression else 0.0,
        exact_seconds=exact_seconds,
        score_error=float(abs(score - truth) / abs(truth)),
        peak_gib=_peak_gib(),
    )


def made_up_prompts(size: int, dimension: int, seed: int) -> StoredVectors:
    """Return (N, d) synthetic unit vectors around random centres, as float16 if N d is large."""
    kept = np.float16 if need_half(size, dimension) else np.float32
    vectors = np.empty((size, dimension), kept)
    row = 0
    for chunk in _chunks(size, dimension, seed):
        vectors[row : row + len(chunk)] = chunk
        row += len(chunk)
    return vectors


def _chunks(size: int, dimension: int, seed: int) -> Iterator[Vectors]:
    """Yield the synthetic vectors in float32 by chunks, since all at once could fill the memory."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((_CENTRES, dimension), np.float32) / np.sqrt(dimension)
    centres[:, 0] += 0.6
    shares = rng.dirichlet(np.ones(_CENTRES))
    for start in range(0, size, _CHUNK):
        count = min(_CHUNK, size - start)
        noise = rng.standard_normal((count, dimension), np.float32) / np.sqrt(dimension)
        yield _unit(centres[rng.choice(_CENTRES, count, p=shares)] + 0.7 * noise)


def _problem(vectors: StoredVectors, seed: int) -> Problem:
    rows = np.arange(len(vectors))
    ones, split = np.ones(len(rows)), Split(rows, rows[:0])
    return Problem.of_vectors([""] * len(rows), vectors, ones, rows, split, device="cpu", seed=seed)


def _steps(
    encoder: Encoder | None, own: Objective, other: Objective, point: Vectors, repeats: int
) -> tuple[float, float, float]:
    """Return median seconds to encode a step's strings, and to score them by either objective."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((_STRINGS, own.dimension), np.float32) / np.sqrt(own.dimension)
    vectors = _unit(point + noise)
    tokens = rng.integers(10, 1_000, size=(_STRINGS, _TOKENS)).tolist()
    strings = encoder.decode(tokens) if encoder else []
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        if encoder:
            encoder.screen(strings)
        encoded = time.perf_counter()
        _score_step(own, vectors)
        judged = time.perf_counter()
        _score_step(other, vectors)
        seconds.append((encoded - began, judged - encoded, time.perf_counter() - judged))
    # The first round only warms up.
    encoding, mine, others = np.median(seconds[1:], axis=0)
    return float(encoding), float(mine), float(others)


def _score_step(objective: Objective, vectors: Vectors) -> None:
    objective.score(vectors)
    objective.tangent_gradient(vectors[0])
    objective.expansion(vectors[0])


def _unit(rows: Vectors) -> Vectors:
    scaled: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def _peak_gib() -> float | None:
    try:
        import resource
    except ModuleNotFoundError:  # on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) / (2**30 if sys.platform == "darwin" else 2**20)
