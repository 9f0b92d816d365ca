"""Published ways to search, which the project's own engine is compared with.

Each follows :class:`~mean_prompt.bench.method.Method`, in the settings of its paper, and gets
what the engine gets: the same evaluator, rules, budget, vocabulary and best corpus prompts. As
for the engine, only scored strings count as evaluations; gradients do not.
"""

from __future__ import annotations

from typing import Final

from mean_prompt.bench.method import Method
from mean_prompt.bench.peers.beam import Beam
from mean_prompt.bench.peers.gaslite import Gaslite
from mean_prompt.bench.peers.gcg import GCG
from mean_prompt.bench.peers.random_search import RandomSearch
from mean_prompt.bench.peers.tpe import TPE

#: Every peer in its published settings, by name.
PEERS: Final[dict[str, Method]] = {
    peer.name: peer for peer in (RandomSearch(), Beam(), GCG(), Gaslite(), TPE())
}

__all__ = ["GCG", "PEERS", "TPE", "Beam", "Gaslite", "RandomSearch"]
