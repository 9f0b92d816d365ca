"""Writes a vector predictor to a folder, and reads it back: safetensors and a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from mean_prompt.encoder import EmbeddingSpace
from mean_prompt.system import InputError, os_errors, preview_name, write_together
from mean_prompt.training.familiarity import Calibration, Familiarity
from mean_prompt.training.ladder import Forecast, Ladder, Rung, RungName, Tried
from mean_prompt.training.regression import ViewRegression
from mean_prompt.training.vector import FittedViews, VectorPredictor
from mean_prompt.training.views import VIEWS, RowView
from mean_prompt.training.wording import Wording

MANIFEST: Final = "manifest.json"
VECTORS: Final = "vector.safetensors"
FORMAT: Final = "mean-prompt vector 1"
_RULE: Final = "a folder of a vector predictor must be whole"
_REMEDY: Final = "train it again with mean-prompt train vector"

_Arrays = dict[str, np.ndarray[Any, Any]]


class SideManifest(BaseModel):
    """One side of a predictor (without or with predictions), but for its arrays.

    Attributes:
        best, fallback: the rungs chosen, their penalties, and the numbers of their views.
        foreign, familiar: bounds of the likeness to known rows.
        keys, rows: hashes and numbers of the known rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    views: tuple[str, ...]
    best: tuple[RungName, float, tuple[int, ...]]
    fallback: tuple[RungName, float, tuple[int, ...]]
    foreign: float
    familiar: float
    tried: tuple[dict[str, Any], ...]
    keys: tuple[str, ...]
    rows: tuple[int, ...]


class VectorManifest(BaseModel):
    """What a folder of a vector predictor holds.

    Attributes:
        model, model_key: name of the encoder, and the hash of its files.
        data: SHA-256 of the known rows.
        sides: without predictions (``text``) and with them (``llm``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mean-prompt vector 1"] = FORMAT
    model: str
    model_key: str
    dimension: int
    data: str
    seed: int
    wording: dict[str, list[str]]
    sides: dict[Literal["text", "llm"], SideManifest]


def save_vector(predictor: VectorPredictor, folder: Path) -> None:
    """Write a fitted predictor to a folder, whose files are replaced together."""
    from safetensors.numpy import save

    arrays: _Arrays = {}
    sides: dict[Literal["text", "llm"], SideManifest] = {}
    fitted: dict[Literal["text", "llm"], FittedViews | None] = {
        "text": predictor.text_,
        "llm": predictor.llm_,
    }
    for name, side in fitted.items():
        if side is not None:
            sides[name] = _side_manifest(side)
            arrays |= {f"{name}.{key}": array for key, array in _side_arrays(side).items()}
    identity = predictor.space.encoder.identity
    manifest = VectorManifest(
        model=identity.name,
        model_key=identity.key,
        dimension=predictor.space.dimension,
        data=predictor.data_hash_,
        seed=predictor.seed,
        wording=predictor.wording_.state(),
        sides=sides,
    )
    with os_errors("a folder must be writable", folder, "choose another"):
        folder.mkdir(parents=True, exist_ok=True)
        write_together(
            {
                folder / VECTORS: save(arrays),
                folder / MANIFEST: f"{manifest.model_dump_json(indent=2)}\n".encode(),
            }
        )


def load_vector(
    folder: Path, space: EmbeddingSpace, *, views: Sequence[RowView] = VIEWS
) -> VectorPredictor:
    """Read a predictor from a folder.

    ``views`` are those that it was trained with, by name, or more.

    Raises:
        InputError: the folder is not whole, or was trained with another encoder or other views.
    """
    manifest, arrays = _read(folder)
    identity = space.encoder.identity
    if manifest.model_key != identity.key:
        raise InputError(
            f"--vector must be of the same encoder: {folder} was trained with {manifest.model}, "
            f"and {identity.name} is used; name the one with --model, or train it again"
        )
    by_name = {view.name: view for view in views}
    for side in manifest.sides.values():
        for name in side.views:
            if name not in by_name:
                raise InputError(
                    f"--vector must have views that are known: {folder} was trained with "
                    f"{preview_name(name)}; load it in Python with views=, or {_REMEDY}"
                )
    predictor = VectorPredictor(space=space, views=tuple(views), seed=manifest.seed)
    predictor.data_hash_ = manifest.data
    try:
        predictor.wording_ = Wording.of_state(manifest.wording)
        predictor.text_ = _side(manifest.sides["text"], arrays, "text", by_name)
        predictor.llm_ = None
        if "llm" in manifest.sides:
            predictor.llm_ = _side(manifest.sides["llm"], arrays, "llm", by_name)
    except KeyError as error:
        raise InputError(f"{_RULE}: {folder} lacks {error}; {_REMEDY}") from error
    return predictor


def _read(folder: Path) -> tuple[VectorManifest, _Arrays]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    with os_errors(_RULE, folder, _REMEDY):
        if not (folder / MANIFEST).is_file():
            raise InputError(f"{_RULE}: {folder} has no {MANIFEST}; {_REMEDY}")
        try:
            manifest = VectorManifest.model_validate_json((folder / MANIFEST).read_bytes())
            return manifest, load((folder / VECTORS).read_bytes())
        except (ValidationError, SafetensorError) as error:
            raise InputError(f"{_RULE}: {folder} cannot be read; {_REMEDY}") from error


def _side_manifest(side: FittedViews) -> SideManifest:
    ladder = side.ladder
    return SideManifest(
        views=tuple(view.name for view in side.views),
        best=(ladder.best.name, ladder.best.alpha, ladder.best.views),
        fallback=(ladder.fallback.name, ladder.fallback.alpha, ladder.fallback.views),
        foreign=ladder.familiarity.foreign,
        familiar=ladder.familiarity.familiar,
        tried=tuple(asdict(one) for one in ladder.tried),
        keys=side.keys,
        rows=tuple(side.rows.tolist()),
    )


def _side_arrays(side: FittedViews) -> _Arrays:
    ladder, left_out = side.ladder, side.left_out
    arrays: _Arrays = {
        "known": ladder.familiarity.known.astype(np.float16),
        "calibration": np.array(
            [*ladder.calibration.weights, *astuple(ladder.calibration)[1:]], np.float64
        ),
        "left_out.vectors": left_out.vectors,
        "left_out.expected": left_out.expected,
        "left_out.familiar": left_out.familiar,
    }
    for name, rung in (("best", ladder.best), ("fallback", ladder.fallback)):
        for part in ("scalars", "mean", "centre", "weights"):
            arrays[f"{name}.{part}"] = getattr(rung.regression, part).astype(np.float32)
    return arrays


def _side(
    manifest: SideManifest, arrays: Mapping[str, Any], name: str, views: Mapping[str, RowView]
) -> FittedViews:
    def array(part: str) -> Any:  # noqa: ANN401 - of any dtype
        return arrays[f"{name}.{part}"]

    def rung(which: str, said: tuple[RungName, float, tuple[int, ...]]) -> Rung:
        parts = (array(f"{which}.{part}") for part in ("scalars", "mean", "centre", "weights"))
        scalars, mean, centre, weights = (part.astype(np.float64) for part in parts)
        none = np.empty((0, len(mean)))
        return Rung(*said, ViewRegression(scalars, mean, centre, weights, none))

    ladder = Ladder(
        rung("best", manifest.best),
        rung("fallback", manifest.fallback),
        Familiarity(array("known").astype(np.float32), manifest.foreign, manifest.familiar),
        Calibration(array("calibration")[:4], *array("calibration")[4:].tolist()),
        tuple(Tried(**one) for one in manifest.tried),
    )
    left_out = Forecast(
        *(array(f"left_out.{part}") for part in ("vectors", "expected", "familiar"))
    )
    return FittedViews(
        tuple(views[view] for view in manifest.views),
        ladder,
        left_out,
        manifest.keys,
        np.array(manifest.rows, np.int64),
    )
