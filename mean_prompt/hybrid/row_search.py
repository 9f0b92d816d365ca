"""Searches a string for each row, towards where the row's prompt is expected.

The target of a row is the direction ``y + s c``: y is the vector that the predictor expects its
prompt at, c the mean of its candidates' vectors, weighted by a softmax of their expected SCS. The
search begins at the answer chosen from the candidates. It fits the target better than that, and
what the fit is worth is measured on known rows: a share of the gain that ``rho`` times the
difference of the fits would be, rho being the SCS that choices earn for each unit of their fit.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mean_prompt.encoder import EmbeddingSpace, Encoder
from mean_prompt.hybrid.answer import Answer
from mean_prompt.hybrid.posterior import RowCandidates
from mean_prompt.hybrid.samples import Samples
from mean_prompt.hybrid.submission import is_null_to_pandas
from mean_prompt.hybrid.tuning import Chosen, FittedBlend
from mean_prompt.objective import Vectors, normalized, sharpened_cosines
from mean_prompt.optimize import Candidate, Constraints, Inverter, Rules, Target, Vocabulary
from mean_prompt.runs import ENCODER, INVERTER, fitting, inverted, team_of
from mean_prompt.system import Deadline, Listener, ProgressEvent, Team, ignore

#: The factor s of the candidates' mean, and the softmax temperature of their weights.
_SHARE: Final = 0.6
_TEMPERATURE: Final = 0.03
#: Known rows that a search is tried on, to learn what its strings are worth.
_TRIED: Final = 32
#: Most tokens of a searched string: longer ones cost more, and hardly any prompt is as long.
_MOST_TOKENS: Final = 32
#: Strings to encode for each row at most, if they are to fit a time limit.
EVALUATIONS: Final = 300


@dataclass(frozen=True, slots=True, eq=False)
class RowTarget:
    """What is searched for one row.

    Attributes:
        vector: (d,) the unit vector that a string is searched for.
        choice: the string chosen from the row's candidates; ``start`` the candidate nearest to
            the vector.
        fit: SCS of the choice with the vector.
        expected: the choice's expected SCS with the true prompt.
    """

    vector: Vectors
    choice: str
    start: str
    fit: float
    expected: float

    @classmethod
    def of(cls, row: RowCandidates, chosen: Chosen) -> RowTarget:
        """Return the target of a row from its candidates and the choice among them."""
        expected_at = row.by_text if row.by_all is None else row.by_all
        vectors = row.vectors[chosen.allowed]
        weights = np.exp((chosen.worths - chosen.worths.max()) / _TEMPERATURE)
        mixed = expected_at.middle + _SHARE * (weights / weights.sum()) @ vectors
        vector = normalized(mixed)
        cosines = vectors @ vector
        near = row.candidates[chosen.allowed[int(cosines.argmax())]]
        choice = row.candidates[chosen.number]
        fit = float(row.vectors[chosen.number] @ vector) ** 3
        return cls(vector, choice.text, near.text, fit, chosen.expected)


@dataclass(frozen=True, slots=True)
class SearchGain:
    """What searched strings are worth, measured on known rows by rows of other prompts.

    Attributes:
        rows: number of known rows that strings were searched for.
        mean, error: mean gain in SCS over the choices, and its standard error.
        rho: SCS that a choice earns for each unit of its fit.
        share: share of ``rho`` times the difference of fits that is gained, in [0, 1]; 0 if there
            is no gain.
    """

    rows: int
    mean: float
    error: float
    rho: float
    share: float

    def of(self, target: RowTarget, found: Candidate) -> float:
        """Return the expected gain in SCS of a string found for a target over its choice."""
        return self.share * self.rho * (found.score - target.fit)

    def __str__(self) -> str:
        worth = "strings are searched for" if self.share > 0 else "no string is searched for"
        return (
            f"on {self.rows} known rows searched strings gained {self.mean:+.4f} SCS over the "
            f"choice (standard error {self.error:.4f}): {worth}"
        )


class RowSearch:
    """Searches strings for rows with the processes of a team.

    Args:
        prompts: prompts whose tokens and phrases are put in.
        team: its members hold the encoder.
        max_tokens: most tokens of an answer.
    """

    def __init__(
        self,
        encoder: Encoder,
        prompts: Sequence[str],
        team: Team,
        *,
        max_tokens: int,
        seed: int = 0,
        listener: Listener = ignore,
        deadline: Deadline | None = None,
    ) -> None:
        self._encoder = encoder
        limit = min(max_tokens, _MOST_TOKENS, encoder.max_tokens)
        self._rules = Rules(Constraints(max_tokens=limit, alphabet="unicode"), encoder)
        self._vocabulary = Vocabulary.gather(
            prompts,
            encoder,
            self._rules,
            screen=team.spread(ENCODER, "screen"),
            listener=listener,
            deadline=deadline,
        )
        #: Why edits are not predicted token by token, if the model does not allow it.
        self.notice = self._vocabulary.notice
        self._team = team
        self._seed = seed
        self._listener = listener
        #: Seconds that one evaluation took the team, of the strings searched for last.
        self.seconds_each = 0.0

    def set_evaluations(self, evaluations: int) -> None:
        """Set the number of strings to encode for each row."""
        self._evaluations = evaluations
        inverter = Inverter(self._encoder, self._rules, self._vocabulary, evaluations=evaluations)
        self._team.give(INVERTER, inverter)

    def learn(
        self, samples: Samples, blend: FittedBlend, deadline: Deadline | None = None
    ) -> SearchGain:
        """Search strings for a sample of known rows, and measure what they gain over the choice."""
        chosen = [blend.choose(row) for row in samples.candidates]
        targets = [
            RowTarget.of(row, one) for row, one in zip(samples.candidates, chosen, strict=True)
        ]
        earned = np.array(
            [worth[one.number] for worth, one in zip(samples.earned, chosen, strict=True)]
        )
        rho = float(earned.mean() / max(np.mean([target.fit for target in targets]), 1e-9))
        rng = np.random.default_rng(self._seed)
        rows = np.sort(rng.permutation(len(samples))[:_TRIED])
        found = [
            one
            for _, part in self.strings(
                [targets[row] for row in rows], "trying row search", deadline
            )
            for one in part
        ]
        vectors = np.stack([one.vector for one in found])
        gains = sharpened_cosines(vectors, samples.targets[rows]) - earned[rows]
        promised = rho * np.array(
            [one.score - targets[row].fit for row, one in zip(rows, found, strict=True)]
        )
        mean, error = float(gains.mean()), float(gains.std() / np.sqrt(len(rows)))
        share = mean / max(float(promised.mean()), 1e-12)
        return SearchGain(
            len(rows), mean, error, rho, min(max(share, 0.0), 1.0) if mean > 0 else 0.0
        )

    def strings(
        self,
        targets: Sequence[RowTarget],
        phase: str = "row search",
        deadline: Deadline | None = None,
    ) -> Iterator[tuple[int, list[Candidate]]]:
        """Yield the strings found for targets, in their order, with the number of the first.

        Raises:
            OutOfTimeError: the deadline expired before all were found.
        """
        asked = [
            Target.at(one.vector, (one.choice, one.start), self._seed, _number(one.choice))
            for one in targets
        ]
        waiting: dict[int, list[Candidate]] = {}
        done, began = 0, time.monotonic()
        for first, strings in inverted(self._team, asked, deadline):
            waiting[first] = strings
            while done in waiting:
                part = waiting.pop(done)
                yield done, part
                done += len(part)
            count = max(1, done) * self._evaluations
            self.seconds_each = (time.monotonic() - began) / count
            self._listener(ProgressEvent(phase, done, len(targets), "rows"))

    def improve(
        self,
        decided: Sequence[tuple[Answer, RowTarget]],
        gains: Mapping[bool, SearchGain],
        deadline: Deadline | None = None,
    ) -> Iterator[tuple[int, list[Answer]]]:
        """Search a string for each row; yield answers as :meth:`strings` yields strings.

        ``gains`` are those of rows without and with a prediction.
        """
        for first, found in self.strings([target for _, target in decided], deadline=deadline):
            part = decided[first : first + len(found)]
            yield (
                first,
                [
                    searched(answer, target, one, gains[answer.with_llm])
                    for (answer, target), one in zip(part, found, strict=True)
                ],
            )


@contextmanager
def row_search(
    space: EmbeddingSpace,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    seed: int,
    listener: Listener,
    deadline: Deadline | None = None,
) -> Iterator[RowSearch]:
    """Yield a search for strings on every core; it ends with the block."""
    size, _ = fitting(None, space.device)
    with team_of(space.encoder, size) as team:
        yield RowSearch(
            space.encoder,
            prompts,
            team,
            max_tokens=max_tokens,
            seed=seed,
            listener=listener,
            deadline=deadline,
        )


def searched(answer: Answer, target: RowTarget, found: Candidate, gain: SearchGain) -> Answer:
    """Return a row's answer after a string was searched for it: that string if it gains."""
    extra = gain.of(target, found)
    kept = replace(
        answer, choice=target.choice, choice_expected=target.expected, searched=found.text
    )
    if extra <= 0 or is_null_to_pandas(found.text):
        return kept
    return replace(kept, text=found.text, kind="searched", expected=target.expected + extra)


def _number(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
