"""Recursive ridge regression against the closed form, row by row."""

import pytest
import torch

from mean_prompt.optimize.ridge import RecursiveRidge

RIDGE, DECAY = 0.7, 0.9


@pytest.fixture
def prior():
    return torch.randn((5, 3), generator=torch.Generator().manual_seed(9))


def batches(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 6, (count,), generator=generator).tolist()
    return [
        (torch.randn((size, 5), generator=generator), torch.randn((size, 3), generator=generator))
        for size in sizes
    ]


def closed_form(prior, observed):
    """Solve the weighted normal equations in float64, the last batch having weight 1."""
    gram = RIDGE * torch.eye(len(prior), dtype=torch.float64)
    moment = RIDGE * prior.double()
    for age, (rows, targets) in enumerate(reversed(observed)):
        for row, target in zip(rows.double(), targets.double(), strict=True):
            gram += DECAY**age * torch.outer(row, row)
            moment += DECAY**age * torch.outer(row, target)
    return torch.linalg.solve(gram, moment).float()


@pytest.mark.parametrize("solve_every", [1, 4])
def test_the_weights_are_those_of_the_closed_form(prior, solve_every):
    model = RecursiveRidge(prior, ridge=RIDGE, decay=DECAY, solve_every=solve_every)
    observed = batches(12)
    for number, batch in enumerate(observed, 1):
        before = model.weights
        solved = model.observe(*batch)
        assert solved == (number % solve_every == 0)
        expected = closed_form(prior, observed[:number]) if solved else before
        torch.testing.assert_close(model.weights, expected, atol=1e-4, rtol=1e-4)


def test_without_observations_or_surprises_it_stays_at_the_prior(prior):
    model = RecursiveRidge(prior, ridge=RIDGE, decay=DECAY, solve_every=1)
    assert torch.equal(model.weights, prior)
    for rows, _ in batches(5):
        assert model.observe(rows, rows @ prior)
    torch.testing.assert_close(model.weights, prior, atol=1e-5, rtol=0)
