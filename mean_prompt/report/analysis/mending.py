"""Strings that break a run's rules, and what would bring them under these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from mean_prompt.encoder import Encoder, TokenIds
from mean_prompt.objective import Objective
from mean_prompt.optimize import Rules
from mean_prompt.report.analysis.edits import Typed
from mean_prompt.report.analysis.tokens import token_worths

#: Tokens too many up to which the least worthy ones are looked for, one string encoded for each
#: token; of a longer text only an end is kept.
_FEW: Final = 16


def mended_bodies(
    typed: Typed,
    rules: Rules,
    encoder: Encoder,
    objective: Objective,
    check: Callable[[], None],
) -> list[TokenIds]:
    """Return bodies that may keep to the rules where a text does not, none of them twice.

    The text spelt anew, and without the tokens that no move may put in; where that is too long,
    its beginning, its end, and what is left without its least worthy tokens.

    Args:
        typed: the text.
        rules: that it breaks.
        encoder: the model.
        objective: what strings are worth.
        check: called now and then; may raise to end the work.
    """
    ids = encoder.tokenize([rules.body_of(typed.text)])[0]
    allowed = set(rules.allowed.tolist())
    fit = tuple(token for token in ids if token in allowed)
    bodies = [body for whole in (ids, fit) for body in _cut(whole, rules.room)]
    for whole in dict.fromkeys((ids, fit)):
        if 0 < len(whole) - rules.room <= _FEW:
            [text] = encoder.decode([whole])
            worths = token_worths(text, encoder, objective, check=check)
            if len(worths) == len(whole):
                least = np.argsort([row.worth for row in worths])[: len(whole) - rules.room]
                kept = sorted(set(range(len(whole))) - set(least.tolist()))
                bodies.append(tuple(whole[i] for i in kept))
    return list(dict.fromkeys(body for body in bodies if body))


def _cut(body: TokenIds, room: int) -> Iterator[TokenIds]:
    yield body[:room]
    yield body[-room:]
