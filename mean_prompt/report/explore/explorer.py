"""The explorer's work, without a page: looks and suggestions for whoever types."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from mean_prompt.objective import to_numpy
from mean_prompt.report.analysis.data import Advice, Look
from mean_prompt.report.analysis.opening import OpenRun
from mean_prompt.report.analysis.space import Space
from mean_prompt.report.analysis.suggestions import Suggester
from mean_prompt.report.analysis.tokens import token_worths
from mean_prompt.report.explore.figure import map_figure
from mean_prompt.system import Listener, ignore

#: Whose text it is: a page that somebody has open, and the string's letter there.
Place = tuple[str, str]

#: Texts that are remembered as the newest of their places: pages that were closed fall out.
_REMEMBERED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a text so far.

    Attributes:
        look: at it; without its tokens' worths at first.
        whole: whether these are known.
        fault: which rule of the run it breaks, if any.
        advice: ``None`` until suggestions are found.
    """

    look: Look
    whole: bool
    fault: str | None
    advice: Advice | None = None


class _Superseded(Exception):  # noqa: N818 - no error: something newer was typed
    """A newer text was typed in the same place."""


class Explorer:
    """Looks at texts as they are typed; may be called from several threads.

    Args:
        space: in which they are looked at.
        suggester: of edits.
        facts: of the run, for the head of the page.
    """

    def __init__(self, space: Space, suggester: Suggester, facts: dict[str, Any]) -> None:
        self._space = space
        self._suggester = suggester
        self.facts = facts
        clusters = space.clusters()
        corpus = space.map(clusters)
        weights = to_numpy(space.objective.weights).astype(np.float64)
        ordered = clusters.scored(np.zeros(len(weights)), weights)
        self.figure = map_figure(corpus, [cluster.words for cluster in ordered])
        self.limit = suggester.rules.constraints.max_tokens
        self._newest: dict[Place, str] = {}
        # The model's inner states are read through hooks, so that one text is looked at at a time.
        self._turn = threading.Lock()
        self._notes = threading.Lock()

    @classmethod
    def of_run(cls, run: OpenRun, listener: Listener = ignore) -> Self:
        """Return the explorer of a run."""
        facts = {
            "run": str(run.folder),
            "finished": run.result is not None,
            "prompts": len(run.problem.prompts),
            "model": run.encoder.identity.name,
            "ceiling": run.problem.ceiling.value,
        }
        return cls(run.space, Suggester.of_run(run, listener), facts)

    def note(self, place: Place, text: str) -> None:
        """Take down what now stands in a place: answers to what stood there before are dropped."""
        with self._notes:
            self._newest.pop(place, None)
            self._newest[place] = text
            while len(self._newest) > _REMEMBERED:
                del self._newest[next(iter(self._newest))]

    def is_newest(self, place: Place, text: str) -> bool:
        """Tell whether nothing newer than a text is known to stand in a place."""
        with self._notes:
            return self._newest.get(place, text) == text

    def see(self, text: str, place: Place = ("", "")) -> Iterator[Seen]:
        """Yield more and more of what there is to see of a text; stop where a newer one is typed.

        Args:
            text: any string but a blank one.
            place: where it was typed.
        """

        def check() -> None:
            if not self.is_newest(place, text):
                raise _Superseded

        try:
            with self._turn:
                check()
                look = self._space.look(text, with_worths=False)
                [ids] = self._space.encoder.tokenize([text])
                fault = self._suggester.rules.violation(text, ids)
            yield Seen(look, whole=False, fault=fault)
            with self._turn:
                check()
                worths = token_worths(text, self._space.encoder, self._space.objective, check=check)
                look = look.model_copy(update={"worths": worths})
            yield Seen(look, whole=True, fault=fault)
            with self._turn:
                check()
                advice = self._suggester.suggest(text, check=check)
                check()
            yield Seen(look, whole=True, fault=fault, advice=advice)
        except _Superseded:
            return

    def beginnings(self) -> Advice:
        """Return what to begin with where nothing is typed."""
        with self._turn:
            return self._suggester.suggest("")


def readable(text: str) -> str:
    """Return a text that every tokenizer takes: halves of characters become question marks."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
