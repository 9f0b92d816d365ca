"""What the tests of hybrid predictions share."""

import pytest
import torch
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module")
def one_thread():
    """Run products in one thread: tiny ones are over before a second one wakes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):  # numpy's, scikit-learn's and FAISS's
        yield
    torch.set_num_threads(threads)
