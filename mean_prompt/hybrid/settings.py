"""What fitting a hybrid predictor chooses: retrieval keys, and the settings of each blend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Part = Literal["original", "rewritten", "difference", "prediction"]

#: Most heads (opening words of known prompts) that are put before predictions' endings.
MOST_HEADS: Final = 16
#: Neighbours that are looked up; a blend uses as many of them as its settings say.
MOST_NEIGHBOURS: Final = 64
#: Least number of known rows with a prediction from which trust in predictions is learned.
LEAST_PREDICTED: Final = 24


@dataclass(frozen=True, slots=True)
class Key:
    """The features by which similar rows are retrieved, and how they are compared.

    A *raw* key compares features with known rows' features. A *ridge* key learns from known rows
    a linear map from features to true prompts (Hoerl and Kennard 1970), and compares the point
    that it maps a row to with the known prompts themselves.
    """

    kind: Literal["raw", "ridge"]
    parts: tuple[Part, ...]
    alpha: float = 1.0

    def __str__(self) -> str:
        parts = " + ".join(self.parts)
        return f"raw {parts}" if self.kind == "raw" else f"ridge of {parts} (alpha {self.alpha:g})"


def _keys(*parts: tuple[Part, ...]) -> tuple[Key, ...]:
    ridge = [Key("ridge", some, alpha) for some in parts for alpha in (1.0, 3.0, 10.0)]
    return (*(Key("raw", some) for some in parts), *ridge)


#: Keys that cross-validation chooses from: of the texts alone, and with a prediction. The
#: prediction alone makes the better key, and the worse blend (1.04 against 1.06 times the LLM
#: alone on 505 real rows): it is in the posterior already.
TEXT_KEYS: Final = _keys(
    ("rewritten",), ("difference",), ("original", "rewritten"), ("rewritten", "difference")
)
PREDICTION_KEYS: Final = _keys(
    ("rewritten", "prediction"),
    ("difference", "prediction"),
    ("rewritten", "difference", "prediction"),
)


class BlendSettings(BaseModel):
    """Tuned settings of a blend: how neighbours are weighed, and which candidates are made.

    Attributes:
        temperature: temperature of the softmax over neighbours' cosines.
        joined: separator of joined strings; ``None`` to join none.
        affixed: whether the universal string goes before or after others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(default=0.1, gt=0)
    neighbours: int = Field(default=32, ge=1, le=MOST_NEIGHBOURS)
    strength: float = Field(default=10.0, gt=0)
    heads: int = Field(default=MOST_HEADS, ge=0, le=MOST_HEADS)
    shortened: bool = True
    joined: Literal[" ", ". "] | None = " "
    affixed: bool = True


#: Settings that tuning starts from. If there is a prediction, longer strings mostly score less.
TEXT_DEFAULTS: Final = BlendSettings(heads=0, shortened=False)
LLM_DEFAULTS: Final = BlendSettings(joined=None, affixed=False)


class FitOutcome(BaseModel):
    """Retrieval keys and blend settings chosen by tuning; a second fit can use them as they are.

    Attributes:
        text_key, text: key and settings of the blend without predictions.
        all_key, llm: the same with predictions; ``None`` if too few known rows had one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_key: Key
    text: BlendSettings
    all_key: Key | None = None
    llm: BlendSettings | None = None
