"""Serialise nested dicts and lists of plain values and arrays to bytes, without pickle.

A dumped state is a frame around a safetensors file whose metadata hold the plain values as JSON:

    length  8 bytes, little endian: of the payload
    crc32   4 bytes, little endian: of the payload
    payload

Data cut short by a crash fail the checksum.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load as load_tensors, save as save_tensors

#: Dicts with string keys, lists, JSON's plain values, numpy arrays and torch tensors, nested. Read
#: back, arrays are torch tensors and tuples are lists.
State = Any

_FRAME: Final = struct.Struct("<QI")
#: Key that replaces an array among the plain values; no state uses it otherwise.
_ARRAY: Final = "\0array"


def dump(state: State) -> bytes:
    """Serialise a state (nested plain values and arrays) to bytes: one frame with a checksum."""
    arrays: dict[str, torch.Tensor] = {}
    plain = json.dumps(_without_arrays(state, arrays), ensure_ascii=True)
    payload = save_tensors(arrays, metadata={"plain": plain})
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def load(data: bytes) -> State:
    """Return the state that :func:`dump` serialised to these bytes.

    Raises:
        ValueError: the data are cut short, damaged, or followed by something else.
    """
    payload = data[_FRAME.size :]
    if len(data) < _FRAME.size or _FRAME.unpack_from(data) != (len(payload), zlib.crc32(payload)):
        raise ValueError("the frame is not whole")
    return _decoded(payload)


def ragged(rows: Iterable[Sequence[int]]) -> State:
    """Return integer sequences of unequal lengths as two arrays, faster to write than JSON."""
    kept = list(rows)
    flat = [number for row in kept for number in row]
    return {
        "lengths": np.array([len(row) for row in kept], np.int32),
        "numbers": np.array(flat, np.int32),
    }


def ragged_rows(state: State) -> list[tuple[int, ...]]:
    """Return the integer sequences that :func:`ragged` turned into two arrays."""
    numbers = state["numbers"].tolist()
    ends = np.cumsum(state["lengths"].numpy()).tolist()
    return [tuple(numbers[start:end]) for start, end in pairwise([0, *ends])]


def _decoded(payload: bytes) -> State:
    header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
    # Cloned: a view into the file's bytes lies wherever the header ended, and matrix products
    # may round otherwise there than in memory that torch aligned.
    arrays = {name: tensor.clone() for name, tensor in load_tensors(payload).items()}
    return _with_arrays(json.loads(header["__metadata__"]["plain"]), arrays)


def _without_arrays(state: State, arrays: dict[str, torch.Tensor]) -> State:
    if isinstance(state, dict):
        return {name: _without_arrays(part, arrays) for name, part in state.items()}
    if isinstance(state, (list, tuple)):
        return [_without_arrays(part, arrays) for part in state]
    if isinstance(state, (np.ndarray, torch.Tensor)):
        tensor = torch.from_numpy(state) if isinstance(state, np.ndarray) else state
        name = str(len(arrays))
        # Cloned: safetensors refuses tensors that share memory.
        arrays[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {_ARRAY: name}
    return state


def _with_arrays(state: State, arrays: dict[str, torch.Tensor]) -> State:
    if isinstance(state, dict):
        if _ARRAY in state:
            return arrays[state[_ARRAY]]
        return {name: _with_arrays(part, arrays) for name, part in state.items()}
    if isinstance(state, list):
        return [_with_arrays(part, arrays) for part in state]
    return state
