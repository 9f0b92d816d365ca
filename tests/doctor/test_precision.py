"""The model at work: parity of the dtypes, their speeds, and a model that does not load."""

import re

import pytest

from mean_prompt.doctor import precision
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.precision import check_precision
from mean_prompt.encoder import encoder as encoding
from mean_prompt.encoder.loading import ModelFolder
from tests.doctor.conftest import findings


@pytest.fixture
def patient(tiny_bert_folder):
    return RunSettings(found=ModelFolder("tiny-bert", tiny_bert_folder, "not the default"))


@pytest.fixture
def gate(monkeypatch):
    """Return a function that says how much faster bfloat16 is, and how near it has to be."""

    def put(speedup, cosine=encoding.PARITY_COSINE):
        monkeypatch.setattr(encoding.Encoder, "_speedup", lambda *_: speedup)
        monkeypatch.setattr(encoding, "PARITY_COSINE", cosine)

    return put


def test_both_dtypes_and_their_speeds_are_told(patient, gate, recwarn):
    gate(2.0)
    found = findings(check_precision, patient)
    assert found["model"].state == found["dtype"].state == "good"
    said = re.fullmatch(
        r"screening in bfloat16, [\d.]+ times as fast: ([\d,]+) evaluations a second in bfloat16, "
        r"([\d,]+) in float32 \(32 tokens each\); cosines to float32's vectors of at least "
        r"(0\.99\d+|1\.0+) \(0\.995 are asked\)",
        found["dtype"].found,
    )
    assert said
    assert all(int(rate.replace(",", "")) > 0 for rate in said.groups()[:2])
    assert not recwarn.list  # of the model that is not the default


@pytest.mark.parametrize(("has", "state"), [(False, "note"), (True, "warning")])
def test_a_dtype_that_is_no_faster(patient, gate, monkeypatch, has, state):
    gate(0.5)
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda: has)
    found = findings(check_precision, patient)["dtype"]
    assert found.state == state
    assert "0.50 times the speed" in found.found
    bfloat16, float32 = re.search(
        r"([\d,]+) evaluations .* ([\d,]+) in float32", found.found
    ).groups()
    assert int(bfloat16.replace(",", "")) * 2 == pytest.approx(int(float32.replace(",", "")), abs=2)
    assert ("no instructions for it" in found.found) is not has


def test_a_dtype_that_is_too_far_off_is_a_warning(patient, gate):
    gate(2.0, cosine=1.1)
    found = findings(check_precision, patient)["dtype"]
    assert found.state == "warning"
    assert "bfloat16 gave cosines down to" in found.found


def test_a_model_that_does_not_load_is_a_fault(folder):
    (folder / "tokenizer.json").write_text("{}")
    patient = RunSettings(found=ModelFolder("spoilt", folder))
    [found] = check_precision(patient)
    assert (found.check, found.state) == ("model", "fault")
    assert found.found.startswith("the model spoilt does not load")
    assert found.remedy == f"copy the model into {folder} again, or name another"


def test_a_model_that_is_not_itself_is_a_fault(patient, monkeypatch):
    monkeypatch.setattr(encoding, "PROOF_TOLERANCE", -1.0)
    [found] = check_precision(patient)
    assert (found.check, found.state) == ("model", "fault")
    assert "must be reproducible" in found.found


def test_without_a_whole_model_none_is_loaded():
    [found] = check_precision(RunSettings())
    assert found.state == "skipped"
