"""Unit vectors drawn at random."""

import numpy as np


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def unit_rows(rng, count, dimension, *, lean=0.0):
    rows = rng.standard_normal((count, dimension))
    rows[:, 0] += lean
    return unit(rows)
