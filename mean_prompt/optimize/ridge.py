"""Online ridge regression: learns batch by batch, and gives older batches less weight."""

from __future__ import annotations

import torch

from mean_prompt.system import State


class RecursiveRidge:
    """Linear map ``rows @ weights`` fitted to observed pairs, pulled towards a (p, q) prior.

    Minimises ``Σ decay^age |rows W - targets|² + ridge |W - prior|²``, age in calls of
    :meth:`observe`; the normal equations are solved after every ``solve_every`` of them. Products
    run in torch: with numpy's own thread pool beside torch's, a search on two cores lost a quarter
    of its speed.
    """

    def __init__(
        self, prior: torch.Tensor, *, ridge: float, decay: float, solve_every: int
    ) -> None:
        self.weights = prior.clone()
        self._prior = prior
        self._decay = decay
        self._solve_every = solve_every
        self._pull = ridge * torch.eye(len(prior), dtype=torch.float64)
        self._gram = torch.zeros((len(prior), len(prior)))
        self._moment = torch.zeros_like(prior)
        self._calls = 0

    def observe(self, rows: torch.Tensor, targets: torch.Tensor) -> bool:
        """Learn from (B, p) rows and their (B, q) targets; return whether the weights changed."""
        self._gram.mul_(self._decay).addmm_(rows.T, rows)
        self._moment.mul_(self._decay).addmm_(rows.T, targets - rows @ self._prior)
        self._calls += 1
        if self._calls % self._solve_every:
            return False
        factor = torch.linalg.cholesky(self._gram.double() + self._pull)
        away = torch.cholesky_solve(self._moment.double(), factor)
        self.weights = self._prior + away.float()
        return True

    def state(self) -> State:
        """Return the weights and the sums that they are solved from, for a checkpoint."""
        return {
            "weights": self.weights,
            "gram": self._gram,
            "moment": self._moment,
            "calls": self._calls,
        }

    def restore(self, state: State) -> None:
        """Restore the :meth:`state` of a ridge regression made with the same arguments."""
        # Cloned, since the sums are changed in place and a state may be restored twice.
        self._gram, self._moment = state["gram"].clone(), state["moment"].clone()
        self.weights, self._calls = state["weights"], state["calls"]
