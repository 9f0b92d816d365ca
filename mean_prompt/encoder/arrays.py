"""Arrays that are costly to compute and depend on a model or a corpus alone, kept in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mean_prompt.encoder.cache import cache_folder
from mean_prompt.system import cache_fault, write_atomically

Arrays = list[NDArray[Any]]


def cached_arrays(key: str, compute: Callable[[], Sequence[NDArray[Any]]]) -> Arrays:
    """Return the arrays kept under a key, computing and keeping them where there are none.

    Args:
        key: names everything that the arrays depend on; a file name.
        compute: makes them.

    Raises:
        InputError: the cache cannot be read or written.
    """
    path = cache_folder() / "arrays" / f"{key}.safetensors"
    try:
        kept = load(path.read_bytes())
        return [kept[name] for name in sorted(kept)]
    except (FileNotFoundError, NotADirectoryError, SafetensorError):
        pass  # None yet, or a torn file of an older crash: both are made anew.
    except OSError as error:
        raise cache_fault("the cache of arrays", path, error) from error
    arrays = list(compute())
    named = {f"{number:04}": np.ascontiguousarray(array) for number, array in enumerate(arrays)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save(named))
    except OSError as error:
        raise cache_fault("the cache of arrays", path, error) from error
    return arrays
