"""FAISS: right, wrong, and not there."""

import sys

import faiss
import numpy as np
import pytest

from mean_prompt.doctor.faiss import check_faiss
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.hybrid.index import VectorIndex


def test_it_finds_what_numpy_finds():
    [found] = check_faiss(RunSettings())
    assert found.state == "good"


@pytest.mark.parametrize("how", ["numbers", "cosines", "none", "not a number"])
def test_wrong_answers_are_a_fault(monkeypatch, how):
    right = VectorIndex.search

    def search(self, queries, k):
        cosines, numbers = right(self, queries, k)
        if how == "numbers":
            numbers[7, 0] = (numbers[7, 0] + 1) % 2_000
        elif how == "cosines":
            cosines[3, 2] += 0.01
        elif how == "none":
            numbers[:] = -1
        else:
            cosines[0, 0] = np.nan
        return cosines, numbers

    monkeypatch.setattr(VectorIndex, "search", search)
    [found] = check_faiss(RunSettings())
    assert found.state == "fault"
    assert "rows that are not the nearest" in found.found
    assert found.remedy.startswith("pip install")


def test_one_that_does_not_import_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    [found] = check_faiss(RunSettings())
    assert found.state == "fault"
    assert found.found.startswith("it does not search: import of faiss halted")
    assert found.remedy == "pip install --force-reinstall --no-deps faiss-cpu"


def test_one_that_breaks_at_work_is_a_fault(monkeypatch):
    def fail(*_arguments):
        raise RuntimeError("illegal instruction\nin a kernel")

    monkeypatch.setattr(faiss, "index_factory", fail)
    [found] = check_faiss(RunSettings())
    assert found.found == "it does not search: illegal instruction"


def test_one_whose_package_is_at_fault_is_not_told_twice():
    [found] = check_faiss(RunSettings(unusable={"faiss-cpu"}))
    assert found.state == "skipped"
