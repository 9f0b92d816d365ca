"""FAISS, which finds the known rows that are nearest to one that is asked about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mean_prompt.doctor.finding import Finding, first_line
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.encoder import LOADING_ERRORS

#: Enough rows for FAISS to go about them in blocks, few enough to take no time.
_ROWS: Final = 2_000
_QUERIES: Final = 50
_DIMENSION: Final = 64
_NEIGHBOURS: Final = 5
#: Between inner products of unit vectors in float32 that are summed in another order.
_TOLERANCE: Final = 1e-4
_REMEDY: Final = "pip install --force-reinstall --no-deps faiss-cpu"


def check_faiss(patient: RunSettings) -> Iterator[Finding]:
    """Search a small index as a prediction does, and hold it against comparing with every row."""
    import numpy as np

    from mean_prompt.hybrid import VectorIndex

    if "faiss-cpu" in patient.unusable:
        yield Finding("faiss", "skipped", "it cannot be used: see the packages")
        return
    rng = np.random.default_rng(0)
    points = rng.standard_normal((_ROWS + _QUERIES, _DIMENSION), np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    rows, queries = points[:_ROWS], points[_ROWS:]
    try:
        cosines, numbers = VectorIndex(rows, "exact").search(queries, _NEIGHBOURS)
    except LOADING_ERRORS as error:
        yield Finding("faiss", "fault", f"it does not search: {first_line(error)}", _REMEDY)
        return
    products = queries @ rows.T
    best = -np.sort(-products, axis=1)[:, :_NEIGHBOURS]
    # By the products of the rows that it names: rows equally near may come in another order.
    named = np.take_along_axis(products, np.clip(numbers, 0, _ROWS - 1), axis=1)
    difference = float(max(np.abs(cosines - best).max(), np.abs(named - best).max()))
    if difference <= _TOLERANCE:
        found = f"the {_NEIGHBOURS} nearest of {_ROWS:,} rows are those that numpy finds"
        yield Finding("faiss", "good", found)
    else:
        found = f"it finds rows that are not the nearest: {difference:.2g} off numpy's cosines"
        yield Finding("faiss", "fault", found, _REMEDY)
