"""A recipe: all settings of one search run, as a validated pydantic model and as TOML."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mean_prompt.encoder import Encoder, load_encoder
from mean_prompt.optimize import (
    PREDICTIONS,
    AffixSettings,
    ClimbSettings,
    Constraints,
    Position,
    StudySettings,
)
from mean_prompt.system import (
    InputError,
    check_plain,
    format_duration,
    parse_duration,
    path_exists,
    preview,
    read_toml,
    shipped_folder,
    user_path,
)

#: Fields of a recipe that may change when a run is resumed.
_FREE: Final = frozenset(
    {"search.budget", "search.max_evaluations", "corpus.sources", "context.triples"}
)


def _duration(text: str) -> str:
    try:
        return format_duration(parse_duration(text))
    except InputError as error:
        # pydantic turns a ValueError into a message that names the field.
        raise ValueError(str(error)) from error


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusSection(_Section):
    """Section of a recipe that says which prompts to search against.

    Attributes:
        sources: corpora as on the command line: ``NAME=PATH:WEIGHT``.
        holdout: share of the groups of near-duplicate prompts that the search does not see, to
            test the result on.
    """

    sources: tuple[str, ...] = ()
    column: str | None = None
    holdout: float = Field(default=0.2, ge=0, le=0.9)


class ModelSection(_Section):
    """Section of a recipe that says which embedding model to search with.

    Attributes:
        name: a folder or a hub name. Default: sentence-t5-base if it can be loaded, else the
            packaged all-MiniLM-L6-v2.
        screening: precision of the first scores of strings; ``auto`` takes bfloat16 if that is
            faster and its vectors agree with float32's.
        trust: whether the model may run code: load pickled weights, and classes that come with it.
    """

    name: str | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    screening: Literal["auto", "float32"] = "auto"
    trust: bool = False

    def load(self) -> Encoder:
        """Load the embedding model that this section names."""
        return load_encoder(
            self.name, device=self.device, screening=self.screening, trust=self.trust
        )


class SearchSection(_Section):
    """Section of a recipe that limits a search in time or evaluations, and seeds it.

    Attributes:
        budget: wall-clock time of the whole run, from its start to its last file.
        max_evaluations: number of strings to encode at most; without a budget, the run repeats
            exactly.
    """

    budget: Annotated[str, AfterValidator(_duration)] | None = None
    max_evaluations: int | None = Field(default=None, ge=1)
    # numpy's and Optuna's seeds are 32 bits wide.
    seed: int = Field(default=0, ge=0, le=2**32 - 1)


class ContextSection(_Section):
    """Section of a recipe for an affix search: a string to add to each of given predictions.

    Attributes:
        triples: file of rows with their true prompts and predictions, or ``None`` for a search
            for one string without predictions.
        max_tokens: most tokens of prediction and affix; a longer prediction loses its last words.
    """

    triples: str | None = None
    column: str = PREDICTIONS
    position: Position = "suffix"
    max_tokens: int = Field(default=128, ge=1)


class Recipe(_Section):
    """All settings of a run: corpus or context, model, constraints, limits, search methods."""

    corpus: CorpusSection = CorpusSection()
    model: ModelSection = ModelSection()
    constraints: Constraints = Constraints()
    search: SearchSection = SearchSection()
    climb: ClimbSettings = ClimbSettings()
    study: StudySettings = StudySettings()
    context: ContextSection = ContextSection()
    affix: AffixSettings = AffixSettings()

    @classmethod
    def load(cls, source: str | Path) -> Recipe:
        """Read a recipe from a TOML file, or a packaged recipe by its name (``quick``)."""
        path = _find(source)
        return cls.parse(read_toml(path, "a recipe"), where=str(path))

    @classmethod
    def parse(cls, data: dict[str, Any], *, where: str) -> Recipe:
        """Return the recipe that parsed TOML describes, after validation.

        Raises:
            InputError: a field is unknown or its value is out of range; the message names it.
        """
        check_plain(data, where)
        try:
            recipe = cls.model_validate(data)
        except ValidationError as error:
            raise InputError(_first_fault(error, where)) from error
        # A number may have been given as text.
        check_plain(recipe.model_dump(), where)
        return recipe

    def override(self, **sections: dict[str, Any]) -> Recipe:
        """Return a copy of the recipe with some fields replaced; ``None`` keeps the old value."""
        data = self.model_dump()
        for section, fields in sections.items():
            data[section] |= {key: value for key, value in fields.items() if value is not None}
        return type(self).parse(data, where="the options")

    def differences(self, other: Recipe) -> Iterator[tuple[str, Any, Any]]:
        """Yield (field, own value, other's value) for differences that forbid resuming a run."""
        ours, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        for section, fields in ours.items():
            for name, value in fields.items():
                field = f"{section}.{name}"
                if field not in _FREE and value != theirs[section][name]:
                    yield field, value, theirs[section][name]

    def to_toml(self) -> str:
        """Return the recipe as TOML, which :meth:`load` reads back; unset fields are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))

    def recorded(self, sources: Sequence[str]) -> Recipe:
        """Return a copy of the recipe with the files its corpus was read from filled in."""
        return self.override(corpus={"sources": tuple(sources)})

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 hash of the recipe as TOML, in hexadecimal."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()


def _find(source: str | Path) -> Path:
    path = user_path(source)
    packaged = {file.stem: file for file in sorted(shipped_folder("search").glob("*.toml"))}
    if str(source) in packaged and not path.is_file():
        return packaged[str(source)]
    if not path_exists(path):
        names = ", ".join(packaged)
        raise InputError(f"a recipe must be a file or one of {names}: found neither: {source}")
    return path


def _first_fault(error: ValidationError, where: str) -> str:
    fault = error.errors()[0]
    field = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return (
            f"a recipe may hold only known fields: {where} has {preview(field)}; "
            "search/README.md lists them all"
        )
    reason = fault["msg"].removeprefix("Value error, ")
    found = "" if fault["type"] == "value_error" else f", found {preview(fault['input'])}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{field} in {where} is not valid: {reason}{found}{more}"
