"""The model at work: that it loads and is itself, and what the faster dtype is worth here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mean_prompt.doctor.finding import Finding
from mean_prompt.doctor.limits import has_fast_bfloat16
from mean_prompt.doctor.model_files import anew
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.system import MeanPromptError

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder, TokenIds

#: Strings of so many tokens are timed, so many at once: a search's usual step.
_TOKENS: Final = 32
_BATCH: Final = 24
#: Timings that the best is taken of, after one that is not counted.
_TIMINGS: Final = 3


def check_precision(patient: RunSettings) -> Iterator[Finding]:
    """Load the model, which proves it and opens the gate of its faster dtype; time both dtypes."""
    if patient.found is None:
        yield Finding("model", "skipped", "there is none on this machine that is whole")
        return
    from mean_prompt.encoder import PROOF_TOLERANCE, load_encoder

    start = time.perf_counter()
    try:
        # Without the warning of a model that is not the default: that is said of its files.
        encoder = load_encoder(replace(patient.found, warning=None), trust=patient.trust)
        took = time.perf_counter() - start
        yield Finding(
            "model",
            "good",
            f"loaded and proven in {took:.1f} s on {encoder.device}: vectors of "
            f"{encoder.dimension} numbers, within "
            f"{encoder.difference:.1e} of SentenceTransformer.encode's (at most "
            f"{PROOF_TOLERANCE:g}); reads {encoder.max_tokens} tokens",
        )
        yield _gate(encoder)
    except MeanPromptError as error:
        yield Finding.of_error("model", error, anew(patient.found))


def _gate(encoder: Encoder) -> Finding:
    """Return what the parity gate decided, and what it is worth."""
    from mean_prompt.encoder import PARITY_COSINE

    gate, batch = encoder.screening, _batch(encoder)
    reference = _rate(encoder.encode_ids, batch)
    if gate.dtype != "float32":
        rate = _rate(encoder.screen_ids, batch)
        found = (
            f"screening in {gate.dtype}, {rate / reference:.2f} times as fast: "
            f"{_speeds(gate.dtype, rate, reference)}; cosines to float32's vectors of at least "
            f"{gate.lowest_cosine:.5f} ({PARITY_COSINE} are asked)"
        )
        return Finding("dtype", "good", found)
    speeds = _speeds("bfloat16", reference * gate.speedup, reference)
    found = f"{gate.notice or 'screening in float32'}; {speeds}"
    if gate.lowest_cosine < PARITY_COSINE:
        remedy = "nothing is wrong but the speed: another --model may agree better"
        return Finding("dtype", "warning", found, remedy)
    if encoder.device == "cpu" and has_fast_bfloat16() is False:
        return Finding("dtype", "note", f"{found}: this processor has no instructions for it")
    remedy = "see the load, threads and device above, and look again when the machine is idle"
    return Finding("dtype", "warning", found, remedy)


def _speeds(dtype: str, rate: float, reference: float) -> str:
    return (
        f"{rate:,.0f} evaluations a second in {dtype}, {reference:,.0f} in float32 "
        f"({_TOKENS} tokens each)"
    )


def _batch(encoder: Encoder) -> list[TokenIds]:
    """Return strings of equal length, which a model of few tokens may read in part."""
    [ids] = encoder.tokenize(["Rewrite this text as a story for children. " * _TOKENS])
    return [ids[: min(_TOKENS, encoder.max_tokens)]] * _BATCH


def _rate(embed: Callable[[Sequence[TokenIds]], Any], batch: list[TokenIds]) -> float:
    """Return strings a second, by the best of a few timings: a busy machine is slower at times."""
    times = []
    for _ in range(_TIMINGS + 1):
        start = time.perf_counter()
        embed(batch)
        times.append(time.perf_counter() - start)
    return len(batch) / min(times[1:])
