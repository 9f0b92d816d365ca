"""Repairs of strings that break a run's rules."""

from __future__ import annotations

from typing import Final

import numpy as np

from mean_prompt.encoder import Encoder, TokenIds
from mean_prompt.objective import Objective
from mean_prompt.optimize import Rules
from mean_prompt.report.analysis.edits import TypedText
from mean_prompt.report.analysis.tokens import token_worths
from mean_prompt.system import Deadline

#: Excess tokens up to which the least worthy ones are searched, with one string encoded a token;
#: of a longer text only an end is kept.
_FEW: Final = 16


def repaired_bodies(
    typed: TypedText,
    rules: Rules,
    encoder: Encoder,
    objective: Objective,
    deadline: Deadline | None = None,
) -> list[TokenIds]:
    """Return distinct strings of tokens that may keep to the rules which a text breaks.

    They are the text as the tokenizer writes it, and without the tokens that no move may insert;
    if that is too long, its beginning, its end, and the rest without its least worthy tokens.

    Raises:
        OutOfTimeError: the deadline expired.
    """
    ids = encoder.tokenize([rules.body_of(typed.text)])[0]
    allowed = set(rules.allowed.tolist())
    fit = tuple(token for token in ids if token in allowed)
    bodies = [body for whole in (ids, fit) for body in (whole[: rules.room], whole[-rules.room :])]
    for whole in dict.fromkeys((ids, fit)):
        if 0 < len(whole) - rules.room <= _FEW:
            [text] = encoder.decode([whole])
            worths = token_worths(text, encoder, objective, deadline=deadline)
            if len(worths) == len(whole):
                least = np.argsort([row.worth for row in worths])[: len(whole) - rules.room]
                kept = sorted(set(range(len(whole))) - set(least.tolist()))
                bodies.append(tuple(whole[i] for i in kept))
    return list(dict.fromkeys(body for body in bodies if body))
