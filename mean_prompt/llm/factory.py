"""Create the LLM predictor that the command line's option ``--llm`` names."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Final

from mean_prompt.llm.base import Predictor
from mean_prompt.llm.cache import CachedPredictor
from mean_prompt.llm.options import LLMOptions
from mean_prompt.llm.recorded import RecordedPredictor
from mean_prompt.system import InputError, path_exists, user_path

#: Every form of ``--llm``.
SPECS: Final = (
    "none",
    "column:NAME",
    "file:PATH",
    "file:PATH#COLUMN",
    "transformers:FOLDER_OR_HUB_NAME",
    "server:MODEL@http://HOST:PORT/v1",
)
_SAMPLING: Final = {"samples", "temperature", "max_new_tokens"}
#: The options that have an effect for each kind, beside the seed, which every run has.
_EFFECTIVE: Final = {
    "none": set[str](),
    "column": set[str](),
    "file": set[str](),
    "transformers": _SAMPLING | {"batch", "dtype", "four_bit"},
    "server": _SAMPLING | {"timeout", "concurrency", "retries"},
}


def make_predictor(
    spec: str,
    *,
    test: Path | None = None,
    options: LLMOptions | None = None,
    device: str = "auto",
    cached: bool = True,
    trust: bool = False,
) -> Predictor | None:
    """Create the LLM predictor of a spec, in a form listed in ``SPECS``; ``None`` for ``none``.

    ``column:NAME`` is read from the file ``test``. If ``cached``, an LLM's predictions are cached
    on disk. Device and trust (whether a model may run code of its own) are for a local model.

    Raises:
        InputError: the spec has no known form, an option has no effect with it, or the file,
            model or server cannot be found or loaded.
    """
    kind, mark, rest = spec.partition(":")
    if kind not in _EFFECTIVE or bool(rest) == (kind == "none"):
        shown = f"{kind}{mark}{'...' if rest else ''}"  # the rest may hold credentials
        raise InputError(f"--llm must be one of {', '.join(SPECS)}: found {shown!r}")
    options = options or LLMOptions()
    _refuse_without_effect(options, kind)
    if kind == "none":
        return None
    if kind == "column":
        if test is None:
            raise InputError(
                "--llm column:NAME needs the file that has the column: there is none; give "
                "file:PATH#COLUMN"
            )
        return RecordedPredictor.from_file(test, rest)
    if kind == "file":
        whole = user_path(rest)
        path, mark, column = rest.rpartition("#")
        if mark and not path_exists(whole):  # a file's own name may hold the mark
            return RecordedPredictor.from_file(user_path(path), column)
        return RecordedPredictor.from_file(whole)
    predictor: Predictor
    if kind == "transformers":
        from mean_prompt.llm.local import LocalPredictor

        predictor = LocalPredictor(rest, options, device=device, trust=trust)
    else:
        predictor = _server(rest, options)
    return CachedPredictor(predictor) if cached else predictor


def _refuse_without_effect(options: LLMOptions, kind: str) -> None:
    effective = _EFFECTIVE[kind] | {"seed"}
    idle = [
        field.name
        for field in fields(options)
        if field.name not in effective and getattr(options, field.name) != field.default
    ]
    if idle:
        raise InputError(
            f"an LLM's options must have an effect: {', '.join(idle)} has none with --llm {kind}; "
            "leave it out"
        )


def _server(rest: str, options: LLMOptions) -> Predictor:
    from mean_prompt.llm.server import ServerPredictor

    found = re.fullmatch(r"(?P<model>.+)@(?P<url>https?://.+)", rest)
    # With a second URL, the first one's password would be part of the model's name, which is shown.
    if found is None or "://" in found["model"]:
        raise InputError(
            f"--llm {SPECS[-1]} must name a model and an address: found no MODEL@http:// in it"
        )
    return ServerPredictor(found["model"], found["url"], options)
