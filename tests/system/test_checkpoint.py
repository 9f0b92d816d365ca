"""States come back as they were, and a torn one is never taken for a whole one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from mean_prompt.system.checkpoint import dump, load, ragged, ragged_rows

NAMES = st.text().filter(lambda name: not name.startswith("\0"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@settings(max_examples=40, deadline=None)
@given(PLAIN)
def test_plain_values_come_back(tree):
    assert load(dump(tree)) == tree


def test_arrays_come_back_bit_for_bit_wherever_they_stand():
    rng = np.random.default_rng(0)
    tree = {
        "matrix": rng.standard_normal((3, 4)).astype(np.float32),
        "list": [torch.tensor([True, False]), {"half": torch.ones(2, dtype=torch.bfloat16)}],
        "empty": np.empty((0, 5), np.float32),
        "turned": torch.arange(6).reshape(2, 3).T,
    }
    back = load(dump(tree))
    assert torch.equal(back["matrix"], torch.from_numpy(tree["matrix"]))
    assert torch.equal(back["list"][0], tree["list"][0])
    assert back["list"][1]["half"].dtype == torch.bfloat16
    assert back["empty"].shape == (0, 5)
    assert torch.equal(back["turned"], tree["turned"])


def test_tuples_come_back_as_lists_and_numbers_beyond_64_bits_whole():
    assert load(dump({"pair": (1, 2), "big": 2**127})) == {"pair": [1, 2], "big": 2**127}


def test_what_shares_memory_is_kept_apart():
    row = torch.zeros(4)
    back = load(dump({"one": row, "same": row, "part": row[:2]}))
    back["one"][0] = 1
    assert back["same"][0] == 0
    assert back["part"].tolist() == [0, 0]


def test_a_generator_goes_on_where_it_was():
    rng = np.random.default_rng([3, 1])
    rng.random(5)
    other = np.random.default_rng()
    other.bit_generator.state = load(dump(rng.bit_generator.state))
    assert other.random(4).tolist() == rng.random(4).tolist()


@given(st.lists(st.lists(st.integers(0, 2**31 - 1))))
def test_ragged_rows_come_back(rows):
    assert ragged_rows(load(dump(ragged(rows)))) == [tuple(row) for row in rows]


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        dump({"object": object()})


@pytest.mark.parametrize("damage", ["cut", "flipped", "followed", "empty"])
def test_a_state_that_is_not_whole_is_refused(damage):
    data = dump({"number": 1, "row": np.arange(8)})
    damaged = {
        "cut": data[:-1],
        "flipped": data[:40] + bytes([data[40] ^ 1]) + data[41:],
        "followed": data + b"x",
        "empty": b"",
    }[damage]
    with pytest.raises(ValueError, match="the frame is not whole"):
        load(damaged)
