"""Checks of the embedding model: where it is, whether it loads, and how fast it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mean_prompt.doctor.diagnosis import Diagnosis, first_line
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.encoder import (
    DEFAULT_MODEL,
    PACKAGED_MODEL,
    check_pickles,
    find_default,
    find_model,
    hub_answers,
    hub_files,
    is_hub_name,
    load_encoder,
)
from mean_prompt.system import InputError, MeanPromptError, path_exists, user_path

if TYPE_CHECKING:
    from mean_prompt.encoder import Encoder, ModelFolder, TokenIds

_FILES: Final = "model files"
_OFFLINE: Final = "offline"
#: Tokens per timed string, and strings per batch: a search's usual step.
_TOKENS: Final = 32
_BATCH: Final = 24
#: Number of timings, of which the best counts, after a warm-up.
_TIMINGS: Final = 3


def check_model(settings: RunSettings) -> Iterator[Diagnosis]:
    """Find the model without downloading anything, load it and time it; yield the results."""
    try:
        found = _find(settings)
    except InputError as error:
        yield from _missing(settings, error)
        return
    if settings.model is None and found.name != DEFAULT_MODEL and _hub_is_there():
        yield from _on_the_hub(settings, DEFAULT_MODEL)
        return
    yield Diagnosis(_FILES, "good", f"{found.name} in {found.path}")
    yield _offline(settings, found)
    start = time.perf_counter()
    try:
        # No warning that the model is not the default: the result before says so.
        encoder = load_encoder(replace(found, warning=None), trust=settings.trust)
        seconds = time.perf_counter() - start
        yield _loaded(encoder, seconds)
        yield _precision(encoder)
    except MeanPromptError as error:
        yield Diagnosis.of_error("model", error)


def _find(settings: RunSettings) -> ModelFolder:
    if settings.model is None:
        return find_default(trust=settings.trust, fetch=False)
    return find_model(settings.model, trust=settings.trust, fetch=False)


def _offline(settings: RunSettings, found: ModelFolder) -> Diagnosis:
    if settings.model is not None or found.name == DEFAULT_MODEL:
        found_here = f"a run needs no network: {found.name} is on this machine"
        return Diagnosis(_OFFLINE, "good", found_here)
    return Diagnosis(
        _OFFLINE,
        "warning",
        f"{DEFAULT_MODEL} is not on this machine, and the hub is not asked or does not answer: a "
        f"run takes the packaged {PACKAGED_MODEL}, whose scores are of another space than the "
        "competition's",
        f"connect once and run: {_download(DEFAULT_MODEL)}; or say --model all-MiniLM-L6-v2",
    )


def _missing(settings: RunSettings, error: InputError) -> Iterator[Diagnosis]:
    """Yield the results for a model that is not on this machine, but may be on the hub."""
    name = DEFAULT_MODEL if settings.model is None else settings.model
    is_folder = path_exists(user_path(name)) and user_path(name).is_dir()
    if is_folder or not is_hub_name(name) or not _hub_is_there():
        yield Diagnosis.of_error(_FILES, error)
    else:
        full = name if "/" in name else f"sentence-transformers/{name}"
        yield from _on_the_hub(settings, full)


def _on_the_hub(settings: RunSettings, name: str) -> Iterator[Diagnosis]:
    """Check whether a model can be had from the Hugging Face hub; download nothing."""
    from huggingface_hub import errors

    try:
        files = hub_files(name)
        if not settings.trust:
            check_pickles(name, files)
    except InputError as error:
        yield Diagnosis.of_error(_FILES, error)
        return
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
        found = f"the hub does not give {name}: {first_line(error)}"
        remedy = "check the name, and log in if the model asks for it: hf auth login"
        yield Diagnosis(_FILES, "fault", found, remedy)
        return
    remedy = f"fetch it now: {_download(name)}"
    found = f"{name} is not on this machine: a run would fetch it from the hub"
    yield Diagnosis(_FILES, "warning", found, remedy)
    found = f"a run needs a network until {name} is fetched"
    if name == DEFAULT_MODEL:
        found += f"; without one it takes the packaged {PACKAGED_MODEL}, if that is installed"
    yield Diagnosis(_OFFLINE, "warning", found, remedy)


def _hub_is_there() -> bool:
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and hub_answers(constants.ENDPOINT)


def _download(name: str) -> str:
    return f"hf download {name} --exclude 'onnx/*' --exclude 'openvino/*'"


def _loaded(encoder: Encoder, seconds: float) -> Diagnosis:
    from mean_prompt.encoder import PROOF_TOLERANCE

    found = (
        f"loaded and proven in {seconds:.1f} s on {encoder.device}: vectors of "
        f"{encoder.dimension} numbers, within {encoder.difference:.1e} of "
        f"SentenceTransformer.encode's (at most {PROOF_TOLERANCE:g}); reads "
        f"{encoder.max_tokens} tokens"
    )
    return Diagnosis("model", "good", found)


def _precision(encoder: Encoder) -> Diagnosis:
    """Time float32 and a shorter dtype; report which gives a search its first scores, and why."""
    from mean_prompt.encoder import PARITY_COSINE, fast_dtypes

    screening, batch = encoder.screening, _batch(encoder)
    reference = _rate(encoder.encode_ids, batch)
    if screening.dtype != "float32":
        rate = _rate(encoder.screen_ids, batch)
        found = (
            f"screening in {screening.dtype}, {rate / reference:.2f} times as fast: "
            f"{_speeds(screening.dtype, rate, reference)}; cosines to float32's vectors of at "
            f"least {screening.lowest_cosine:.5f} ({PARITY_COSINE} are asked)"
        )
        return Diagnosis("dtype", "good", found)
    if not fast_dtypes(encoder.device):
        return Diagnosis(
            "dtype", "note", f"{screening.notice}; {reference:,.0f} evaluations a second"
        )
    found = screening.notice or "screening in float32"
    if screening.lowest_cosine < PARITY_COSINE:
        remedy = "nothing is wrong but the speed: another --model may agree better"
        return Diagnosis("dtype", "warning", found, remedy)
    remedy = "see the load, threads and device above, and check again when the machine is idle"
    return Diagnosis("dtype", "warning", found, remedy)


def _speeds(dtype: str, rate: float, reference: float) -> str:
    return (
        f"{rate:,.0f} evaluations a second in {dtype}, {reference:,.0f} in float32 "
        f"({_TOKENS} tokens each)"
    )


def _batch(encoder: Encoder) -> list[TokenIds]:
    """Return a batch of equal token sequences to time, no longer than the model reads."""
    [ids] = encoder.tokenize(["Rewrite this text as a story for children. " * _TOKENS])
    return [ids[: min(_TOKENS, encoder.max_tokens)]] * _BATCH


def _rate(embed: Callable[[Sequence[TokenIds]], Any], batch: list[TokenIds]) -> float:
    """Return strings embedded per second, the best of a few timings on a possibly busy machine."""
    times = []
    for _ in range(_TIMINGS + 1):
        start = time.perf_counter()
        embed(batch)
        times.append(time.perf_counter() - start)
    return len(batch) / min(times[1:])
