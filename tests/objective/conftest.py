import numpy as np
import pytest
import torch


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def unit_rows(rng, count, dimension, *, lean=0.0):
    rows = rng.standard_normal((count, dimension))
    rows[:, 0] += lean
    return unit(rows)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Products this small gain nothing from two, and wait for ever on a core that is taken."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
