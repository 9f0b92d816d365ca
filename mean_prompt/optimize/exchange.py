"""What climbs that run side by side adopt from each other, and when: the strategies.

A study calls :meth:`Exchange.meet` after every report of a climb, with where this climb and the
others stand. ``mean-prompt bench methods`` and ``benchmarks/exchange.py`` compare the strategies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np

from mean_prompt.encoder import TokenIds

ExchangeKind = Literal["none", "rivals", "relinking", "tempering"]

#: Tenths of a climb at which rivals are compared, and how far apart, as a share of a climb, two
#: climbs may be to be compared.
_COMPARED: Final = range(2, 10)
_NEAR: Final = 0.1
#: Tempering: the hottest climb's temperature as a multiple of the coldest's.
_LADDER: Final = 4.0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a climb stands.

    Attributes:
        slot: number of the place that it runs in.
        share: share of its length that is over, in [0, 1].
        tenth: the tenth of its length that its last report reached, ``None`` if none was.
        temperature: its present temperature, in units of the score.
        best, best_score: its best string, as token ids, and that string's expected SCS.
        current, current_score: its present string.
    """

    slot: int
    share: float
    tenth: int | None
    temperature: float
    best: TokenIds
    best_score: float
    current: TokenIds
    current_score: float


@dataclass(frozen=True, slots=True)
class Adoption:
    """A string that a climb is to adopt, as token ids.

    Attributes:
        how: ``better`` if it scores above the climb's best string; ``path`` for the best string
            between the two, if that scores above the climb's own best; ``swap`` in any case.
    """

    body: TokenIds
    how: Literal["better", "path", "swap"]


class Exchange(Protocol):
    """A strategy of exchange between climbs that run side by side."""

    def heat(self, slot: int, slots: int) -> float:
        """Return the factor by which a place's climbs are hotter than their settings say."""

    def meet(
        self, mine: Standing, others: Sequence[Standing], rng: np.random.Generator
    ) -> Mapping[int, Adoption]:
        """Return what climbs adopt, by their slot, after one of them has reported."""


class Apart:
    """No exchange: every climb goes its own way."""

    def heat(self, _slot: int, _slots: int) -> float:
        """Return 1: all climbs are as hot as their settings say."""
        return 1.0

    def meet(
        self, _mine: Standing, _others: Sequence[Standing], _rng: np.random.Generator
    ) -> Mapping[int, Adoption]:
        """Return no adoptions."""
        return {}


class Rivals(Apart):
    """Climbs that fall behind continue from a leader's string.

    At every tenth of its length but the first, a climb behind half of those that are as far as it
    is continues from the string of one of the best quarter, with what it has learned, at its
    own temperature ("go with the winners", Aldous and Vazirani 1994).
    """

    def meet(
        self, mine: Standing, others: Sequence[Standing], rng: np.random.Generator
    ) -> Mapping[int, Adoption]:
        """Return the leader's string for a climb that has fallen behind."""
        if mine.tenth not in _COMPARED:
            return {}
        near = [other for other in others if abs(other.share - mine.share) <= _NEAR]
        ahead = [other for other in near if other.best_score > mine.best_score]
        if not near or 2 * len(ahead) < len(near):
            return {}
        ahead.sort(key=lambda other: -other.best_score)
        leaders = ahead[: math.ceil(len(near) / 4)]
        chosen = leaders[int(rng.integers(len(leaders)))]
        return {mine.slot: Adoption(chosen.best, "better")}


class Relinking(Apart):
    """At every tenth a climb looks for a better string between its best and another climb's.

    Path relinking (Glover 1997): tokens of the guiding string are put into the climb's own one by
    one, the most promising first.
    """

    def meet(
        self, mine: Standing, others: Sequence[Standing], rng: np.random.Generator
    ) -> Mapping[int, Adoption]:
        """Return another climb's best string as a guide, at each tenth."""
        if mine.tenth is None or not others:
            return {}
        guide = others[int(rng.integers(len(others)))]
        return {mine.slot: Adoption(guide.best, "path")}


class Tempering(Apart):
    """Climbs at different temperatures swap their present strings.

    Replica exchange (Swendsen and Wang 1986): two neighbours on the ladder of temperatures swap
    with probability ``min(1, exp((1/T - 1/T') (f' - f)))``, f being the score.
    """

    def heat(self, slot: int, slots: int) -> float:
        """Return factors that rise geometrically from slot to slot, 1 in the middle."""
        if slots == 1:
            return 1.0
        power: float = slot / (slots - 1) - 0.5
        return float(_LADDER**power)

    def meet(
        self, mine: Standing, others: Sequence[Standing], rng: np.random.Generator
    ) -> Mapping[int, Adoption]:
        """Return a swap with the next hotter climb, if it is drawn."""
        for other in others:
            if other.slot == mine.slot + 1 and mine.temperature and other.temperature:
                colder = 1 / mine.temperature - 1 / other.temperature
                exponent = colder * (other.current_score - mine.current_score)
                if math.log(max(rng.random(), 1e-300)) < exponent:
                    return {
                        mine.slot: Adoption(other.current, "swap"),
                        other.slot: Adoption(mine.current, "swap"),
                    }
        return {}


#: The strategies by name.
EXCHANGES: Final[Mapping[ExchangeKind, type[Exchange]]] = {
    "none": Apart,
    "rivals": Rivals,
    "relinking": Relinking,
    "tempering": Tempering,
}
