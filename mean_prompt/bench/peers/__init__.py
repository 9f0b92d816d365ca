"""Published search methods (peers), which the project's own search is compared with.

Each implements :class:`~mean_prompt.bench.method.Method` with the settings of its paper, and gets
the same inputs as the project's own search: evaluator, rules, budget, vocabulary and best corpus
prompts. Only scored strings count as evaluations; gradients do not.
"""

from __future__ import annotations

from typing import Final

from mean_prompt.bench.method import Method
from mean_prompt.bench.peers.beam import Beam
from mean_prompt.bench.peers.gaslite import Gaslite
from mean_prompt.bench.peers.gcg import GCG
from mean_prompt.bench.peers.random_search import RandomSearch
from mean_prompt.bench.peers.tpe import TPE

#: Every published search method, with its published settings, by name.
PEERS: Final[dict[str, Method]] = {
    peer.name: peer for peer in (RandomSearch(), Beam(), GCG(), Gaslite(), TPE())
}

__all__ = ["GCG", "PEERS", "TPE", "Beam", "Gaslite", "RandomSearch"]
