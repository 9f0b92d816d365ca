"""Start strings of a search: prompts of the corpus, joined phrases, edited good strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import torch

from mean_prompt.encoder import TokenIds
from mean_prompt.objective import Vectors, to_numpy, to_tensor
from mean_prompt.optimize.evaluator import Candidate, Evaluator
from mean_prompt.optimize.moves import draw
from mean_prompt.optimize.vocabulary import Vocabulary
from mean_prompt.system import RunError

StartKind = Literal["corpus", "phrases", "elite"]

#: Corpus prompts tried as starts, the best by their vectors' scores.
_CORPUS_STARTS: Final = 20
#: Phrases looked at for each next one, by the gradient; scoring all would cost N rows each.
_PURSUIT_WIDTH: Final = 64
#: Temperature of a kick's draw, in standard deviations: low enough to favour the top hundreds.
_KICK_SPREAD: Final = 0.5


def corpus_starts(
    prompts: Sequence[str], vectors: Vectors, evaluator: Evaluator
) -> list[Candidate]:
    """Return the best of N prompts with (N, d) unit vectors, cut to the token limit, best first.

    Raises:
        RunError: no prompt keeps to the rules, even cut.
    """
    order = np.argsort(-evaluator.objective.score(vectors), kind="stable")
    found: list[Candidate] = []
    for first in range(0, len(order), _CORPUS_STARTS):
        found += evaluator.read([prompts[i] for i in order[first : first + _CORPUS_STARTS]])
        if len(found) >= _CORPUS_STARTS:
            break
    if not found:
        raise RunError(
            "a search needs a start: no prompt of the corpus keeps to the constraints, even cut; "
            "loosen them"
        )
    found.sort(key=lambda row: -row.score)
    return found[:_CORPUS_STARTS]


def filled_start(
    starts: Sequence[Candidate], evaluator: Evaluator, rng: np.random.Generator
) -> Candidate:
    """Return the first start string, with others appended at random up to the token limit.

    A climb replaces tokens far more cheaply than it inserts them, so that it begins at full
    length. The first start alone is returned if the joined string breaks a rule.
    """
    order = [0, *(1 + rng.permutation(len(starts) - 1)).tolist()]
    body: TokenIds = tuple(token for i in order for token in starts[i].body)
    candidate = evaluator.screen([body[: evaluator.rules.room]])[0]
    return starts[0] if candidate is None else evaluator.exact([candidate])[0]


def assembled_start(
    vocabulary: Vocabulary, evaluator: Evaluator, rng: np.random.Generator
) -> Candidate | None:
    """Build a start string from phrases, adding the best next one as matching pursuit does.

    The string's vector is taken as the mean of its phrases' vectors; the first phrase is drawn at
    random, so that starts differ. ``None`` if there are no phrases or the string breaks a rule.
    """
    bank = vocabulary.phrases
    room = evaluator.rules.room
    if not len(bank):
        return None
    chosen = [int(rng.integers(len(bank)))]
    while sum(len(bank.bodies[i]) for i in chosen) < room:
        total = bank.vectors[chosen].sum(axis=0)
        tangent = evaluator.objective.tangent_gradient(total / np.linalg.norm(total))
        along = to_numpy(torch.from_numpy(bank.vectors) @ to_tensor(tangent))
        likely = np.argsort(-along)[:_PURSUIT_WIDTH]
        sums = total + bank.vectors[likely]
        scores = evaluator.objective.score(sums / np.linalg.norm(sums, axis=1, keepdims=True))
        chosen.append(int(likely[int(np.argmax(scores))]))
    body: TokenIds = tuple(token for i in chosen for token in bank.bodies[i])[:room]
    candidate = evaluator.screen([body])[0]
    return None if candidate is None else evaluator.exact([candidate])[0]


def kicked(
    elite: Candidate,
    vocabulary: Vocabulary,
    evaluator: Evaluator,
    edits: int,
    rng: np.random.Generator,
) -> Candidate:
    """Return a good string (elite) after random token replacements at up to ``edits`` positions."""
    if edits == 0:
        return elite
    tangent = evaluator.objective.tangent_gradient(elite.vector)
    scores = to_numpy(torch.from_numpy(vocabulary.static) @ to_tensor(tangent))
    body = list(elite.body)
    positions = rng.choice(len(body), min(edits, len(body)), replace=False)
    unit = np.float32(_KICK_SPREAD * (float(scores.std()) or 1.0))
    tokens = vocabulary.allowed[draw(scores / unit, len(positions), rng)]
    for position, token in zip(positions, tokens.tolist(), strict=False):
        body[position] = token
    candidate = evaluator.screen([tuple(body)])[0]
    return elite if candidate is None else evaluator.exact([candidate])[0]
