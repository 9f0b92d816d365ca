"""Analyse texts and suggest edits while the user types: the explorer without its web page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from mean_prompt.objective import to_numpy
from mean_prompt.report.analysis.data import Advice, StringAnalysis
from mean_prompt.report.analysis.opened_run import OpenRun
from mean_prompt.report.analysis.space import CorpusSpace
from mean_prompt.report.analysis.suggestions import Suggester
from mean_prompt.report.analysis.tokens import token_worths
from mean_prompt.report.page.search_figures import map_clusters
from mean_prompt.system import Deadline, Listener, OutOfTimeError, ignore

#: A text box: the session of the open browser page, and the letter of the box on that page.
BoxKey = tuple[str, str]

#: Words that name a cluster in the legend.
_NAMED: Final = 3
#: Most text boxes whose newest text is remembered; the oldest, of closed pages, are dropped.
_REMEMBERED: Final = 1_000


@dataclass(frozen=True, slots=True)
class TextResult:
    """The analysis of a typed text and suggested edits of it, as far as they are computed.

    Attributes:
        look: the analysis of the text; at first without the contribution of each token.
        whole: whether the contributions of the tokens are computed.
    """

    look: StringAnalysis
    whole: bool
    fault: str | None
    advice: Advice | None = None


class Explorer:
    """Analyses texts and suggests edits while the user types; safe to call from several threads.

    Args:
        facts: folder, model and other facts of the run, for the head of the page.
    """

    def __init__(self, space: CorpusSpace, suggester: Suggester, facts: dict[str, Any]) -> None:
        self._space = space
        self._suggester = suggester
        self.facts = facts
        clusters = space.clusters()
        corpus = space.map(clusters)
        weights = to_numpy(space.objective.weights).astype(np.float64)
        ordered = clusters.scored(np.zeros(len(weights)), weights)
        words = [cluster.words[:_NAMED] for cluster in ordered]
        traces = [trace for trace in map_clusters(corpus, words) if trace["x"]]
        landmarks = {
            "mean of the corpus": list(corpus.mean),
            "direction of the ceiling": list(corpus.ceiling),
        }
        #: The map of the corpus, as the page's script draws it.
        self.figure = {
            "traces": traces,
            "landmarks": landmarks,
            "explained": corpus.explained,
            "prompts": len(corpus.x),
        }
        self.limit = suggester.rules.constraints.max_tokens
        self._newest: dict[BoxKey, tuple[str, Deadline]] = {}
        # The model's hidden states are read through hooks, so texts are analysed one at a time.
        self._turn = threading.Lock()
        self._guard = threading.Lock()

    @classmethod
    def of_run(cls, run: OpenRun, listener: Listener = ignore) -> Self:
        """Return an explorer for the corpus, the model and the rules of a search run."""
        facts = {
            "run": str(run.folder),
            "finished": run.result is not None,
            "prompts": len(run.problem.prompts),
            "model": run.encoder.identity.name,
            "ceiling": run.problem.ceiling.value,
        }
        return cls(run.space, Suggester.of_run(run, listener), facts)

    def note(self, box: BoxKey, text: str) -> None:
        """Record the newest text of a text box, and stop the analysis of the text before it."""
        with self._guard:
            _, before = self._newest.pop(box, (text, Deadline()))
            before.stop()
            self._newest[box] = text, Deadline()
            while len(self._newest) > _REMEMBERED:
                del self._newest[next(iter(self._newest))]

    def is_newest(self, box: BoxKey, text: str) -> bool:
        """Return whether ``text`` is the newest text of a text box, as far as is recorded."""
        with self._guard:
            return self._newest.get(box, (text,))[0] == text

    def analyse(self, text: str, box: BoxKey = ("", "")) -> Iterator[TextResult]:
        """Yield ever more complete analyses of a nonblank text until its box has a newer text."""
        with self._guard:
            noted, deadline = self._newest.get(box, (text, Deadline()))
        if noted != text:
            return
        try:
            with self._turn:
                deadline.check()
                look = self._space.analyse_string(text, with_worths=False)
                [ids] = self._space.encoder.tokenize([text])
                fault = self._suggester.rules.violation(text, ids)
            yield TextResult(look, whole=False, fault=fault)
            with self._turn:
                deadline.check()
                worths = token_worths(
                    text, self._space.encoder, self._space.objective, deadline=deadline
                )
                look = look.model_copy(update={"worths": worths})
            yield TextResult(look, whole=True, fault=fault)
            with self._turn:
                advice = self._suggester.suggest(text, deadline=deadline)
                deadline.check()
            yield TextResult(look, whole=True, fault=fault, advice=advice)
        except OutOfTimeError:
            return

    def starting_prompts(self) -> Advice:
        """Return prompts of the corpus to start from, for an empty text box."""
        with self._turn:
            return self._suggester.suggest("")


def readable(text: str) -> str:
    """Return a text with lone surrogates replaced, so that every tokenizer accepts it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
