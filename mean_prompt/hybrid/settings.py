"""What fitting a hybrid predictor chooses: the settings of each blend."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Most heads (opening words of known prompts) that are put before predictions' endings.
MOST_HEADS: Final = 8
#: Neighbours that are looked up; a blend uses as many of them as its settings say.
MOST_NEIGHBOURS: Final = 64


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
TEXT_DEFAULTS: Final = BlendSettings(joined=None, affixed=False, heads=0, shortened=False)
LLM_DEFAULTS: Final = BlendSettings(joined=None, affixed=False, heads=4)


class FitOutcome(BaseModel):
    """Settings chosen by tuning, which a second fit can use as they are.

    Attributes:
        text: settings of the blend without predictions.
        llm: those with predictions; ``None`` if too few known rows had one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: BlendSettings
    llm: BlendSettings | None = None
