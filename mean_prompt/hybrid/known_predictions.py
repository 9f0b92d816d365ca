"""An LLM's predictions for rows whose true prompt is given, to learn how far to trust it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mean_prompt.corpus import Rows, Triples
from mean_prompt.hybrid.asking import Examples
from mean_prompt.hybrid.request import Request
from mean_prompt.llm import Example, Prediction, Predictor, make_predictor
from mean_prompt.system import Deadline, InputError
from mean_prompt.training import LEAST_PREDICTED

#: Share of the time left that asking about known rows may take.
_SHARE: Final = 0.2

Texts = list[tuple[str, ...]]


def ask_known(
    request: Request,
    triples: Triples,
    llm: Predictor,
    examples: Examples | None,
    deadline: Deadline,
) -> tuple[Texts | None, list[str]]:
    """Query an LLM for some known rows (with given true prompts), if there is time for enough.

    Return the predictions of each known row, most of them empty, or ``None`` if there are too few
    to learn from; and notes for the user.
    """
    count = min(request.calibrate_used, len(triples))
    if count < LEAST_PREDICTED:
        note = f"fewer than {LEAST_PREDICTED} known rows: the LLM is trusted"
        return None, [note] if count else []
    rng = np.random.default_rng(request.options.seed)
    drawn = np.sort(rng.permutation(len(triples))[:count])
    part = triples.take(drawn)
    shown = examples.of(part.rows, triples.groups()[drawn]) if examples else None
    concurrency = max(2, request.llm_options.concurrency)
    found = ask_in_time(llm, part.rows, shown, deadline.share(_SHARE), settled=concurrency)
    if len(found) < LEAST_PREDICTED:
        return None, [
            f"no time to ask the LLM about {LEAST_PREDICTED} known rows: it is trusted as it is"
        ]
    texts: Texts = [()] * len(triples)
    for one in found:
        texts[int(drawn[one.row])] = one.texts
    return texts, []


def ask_in_time(
    llm: Predictor,
    rows: Rows,
    examples: Sequence[Sequence[Example]] | None,
    deadline: Deadline,
    *,
    settled: int,
) -> list[Prediction]:
    """Query an LLM for known rows until a deadline; return the non-empty predictions.

    Once ``settled`` predictions show the pace, querying ends early if the least number of them
    that is needed would take too long.
    """
    began, allowed = deadline.elapsed, deadline.remaining
    found: list[Prediction] = []
    for prediction in llm.predict(rows, examples, deadline=deadline):
        found.append(prediction)
        each = (deadline.elapsed - began) / len(found)
        is_hopeless = len(found) >= settled and each * LEAST_PREDICTED > allowed
        if is_hopeless or deadline.expired:
            break
    return [one for one in found if one.texts]


def recorded_known(
    request: Request, triples: Triples, asked: Rows
) -> tuple[Texts | None, list[str]]:
    """Return known rows' predictions from a file, ``None`` if it has none, and user messages."""
    texts: Texts = [()] * len(triples)
    try:
        source = make_predictor(
            request.llm,
            test=request.triples,
            options=request.llm_options,
            trust=request.options.trust,
        )
        assert source is not None
        for one in source.predict(triples.rows):
            texts[one.row] = one.texts
    except InputError:
        note = f"{request.triples} has no such predictions: those for the test rows are trusted"
        return None, [f"{note} as they are"]
    if not request.llm.startswith("file:"):
        return texts, []
    dropped = _drop_others(triples.rows, texts, asked)
    note = f"{dropped:,} known rows have the id of another test row: predictions under it are"
    return texts, [f"{note} the test row's"] if dropped else []


def _drop_others(known: Rows, texts: Texts, asked: Rows) -> int:
    """Remove predictions of known rows whose ids denote different test rows; return how many.

    One file of predictions may serve both files of rows, and both may number their rows alike.
    """
    numbers = {name: row for row, name in enumerate(asked.ids)}
    dropped = 0
    for row, name in enumerate(known.ids):
        other = numbers.get(name)
        if other is None or not texts[row]:
            continue
        theirs = (asked.originals[other], asked.rewritten[other])
        if (known.originals[row], known.rewritten[row]) != theirs:
            texts[row] = ()
            dropped += 1
    return dropped
