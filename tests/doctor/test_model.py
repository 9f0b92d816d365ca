"""The model: on this machine or not, loaded or broken, and its two precisions."""

import re
import shutil
from pathlib import PurePosixPath as Path

import pytest

from mean_prompt.doctor import model
from mean_prompt.doctor.model import check_model
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.encoder import encoder as encoding, loading
from mean_prompt.system.errors import InputError
from tests.doctor.conftest import findings


def check(name, **options):
    return findings(check_model, RunSettings(None if name is None else str(name), **options))


def fault_of(name, **options):
    [fault] = [one for one in check(name, **options).values() if one.state == "fault"]
    return fault


@pytest.fixture
def parity(monkeypatch):
    """Return a function that sets how much faster bfloat16 is, and how near it has to be."""

    def put(speedup, cosine=encoding.PARITY_COSINE):
        monkeypatch.setattr(encoding.Encoder, "_speedup", lambda *_: speedup)
        monkeypatch.setattr(encoding, "PARITY_COSINE", cosine)
        monkeypatch.setattr("mean_prompt.encoder.PARITY_COSINE", cosine)
        monkeypatch.setattr(encoding, "fast_dtypes", lambda _: ("bfloat16",))
        monkeypatch.setattr("mean_prompt.encoder.fast_dtypes", lambda _: ("bfloat16",))

    return put


def test_a_model_that_loads_is_good_and_both_precisions_are_timed(
    tiny_bert_folder, parity, recwarn
):
    parity(2.0)
    found = check(tiny_bert_folder)
    assert {name: one.state for name, one in found.items()} == dict.fromkeys(
        ["model files", "offline", "model", "dtype"], "good"
    )
    match = re.fullmatch(
        r"screening in bfloat16, [\d.]+ times as fast: ([\d,]+) evaluations a second in bfloat16, "
        r"([\d,]+) in float32 \(32 tokens each\); cosines to float32's vectors of at least "
        r"(0\.99\d+|1\.0+) \(0\.995 are asked\)",
        found["dtype"].found,
    )
    assert all(int(rate.replace(",", "")) > 0 for rate in match.groups()[:2])
    assert not recwarn.list


def test_a_precision_that_is_no_faster_is_a_warning(tiny_bert_folder, parity):
    parity(0.5)
    found = check(tiny_bert_folder)["dtype"]
    assert found.state == "warning"
    assert "0.50 times the speed" in found.found


def test_a_processor_without_a_fast_dtype_is_a_note(tiny_bert_folder, parity, monkeypatch):
    parity(0.5)
    for home in ("mean_prompt.encoder", "mean_prompt.encoder.encoder"):
        monkeypatch.setattr(f"{home}.fast_dtypes", lambda _: ())
    found = check(tiny_bert_folder)["dtype"]
    assert found.state == "note"
    assert re.search(r"no instructions for a shorter dtype; [\d,]+ evaluations", found.found)


def test_a_precision_that_is_too_far_off_is_a_warning(tiny_bert_folder, parity):
    parity(2.0, cosine=1.1)
    found = check(tiny_bert_folder)["dtype"]
    assert found.state == "warning"
    assert "bfloat16 gave cosines down to" in found.found


def test_a_model_that_does_not_load_is_a_fault(tmp_path, tiny_t5_folder):
    folder = shutil.copytree(tiny_t5_folder, tmp_path / "spoilt")
    (folder / "2_Dense" / "model.safetensors").unlink()
    fault = fault_of(folder)
    assert fault.found.startswith("the model spoilt does not load: ")
    assert fault.remedy == f"copy it into {folder} again, or name another"


def test_pickled_weights_are_a_fault_unless_trusted(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    fault = fault_of(tmp_path)
    assert "is a pickle, which can run code" in fault.found
    assert fault.remedy.startswith("trust it with --trust-model")


def test_a_model_that_is_not_itself_is_a_fault(tiny_bert_folder, monkeypatch):
    monkeypatch.setattr(encoding, "PROOF_TOLERANCE", -1.0)
    assert "must be reproducible" in fault_of(tiny_bert_folder).found


def test_an_unknown_model_offline_is_a_fault(monkeypatch):
    monkeypatch.setattr(loading, "hub_answers", lambda _: pytest.fail("the hub was asked"))
    fault = fault_of("someone/unknown")
    assert "'someone/unknown' is none of these" in fault.found
    assert fault.remedy.startswith("check the name, connect once to cache it")
    assert "found neither" in fault_of("/no/such/folder").found


def test_without_the_default_model_the_packaged_one_is_of_another_space(monkeypatch):
    def refuse(*_arguments, **_options):
        raise InputError("it takes long to load; see the other tests")

    monkeypatch.setattr(model, "load_encoder", refuse)
    found = check(None)
    assert "sentence-transformers/all-MiniLM-L6-v2 in " in found["model files"].found
    assert found["offline"].state == "warning"
    assert "hf download sentence-transformers/sentence-t5-base" in found["offline"].remedy


class TestOnline:
    """The hub is asked for a list of files, and nothing is fetched."""

    @pytest.fixture(autouse=True)
    def hub(self, monkeypatch):
        monkeypatch.setattr(model, "_hub_is_there", lambda: True)
        files = ["modules.json", "model.safetensors"]
        monkeypatch.setattr(model, "hub_files", lambda _: list(map(Path, files)))
        return files

    def test_a_model_on_the_hub_is_a_warning(self):
        found = check("someone/unknown")
        assert {one.state for one in found.values()} == {"warning"}
        assert "a run would fetch it" in found["model files"].found
        assert found["offline"].remedy.startswith("fetch it now: hf download someone/unknown")

    def test_pickles_on_the_hub_are_a_fault(self, hub):
        hub[1] = "pytorch_model.bin"
        assert "is a pickle" in fault_of("someone/unknown").found

    def test_a_hub_that_refuses_is_a_fault(self, monkeypatch):
        def refuse(_name):
            raise OSError("401: log in\nwith a token")

        monkeypatch.setattr(model, "hub_files", refuse)
        found = fault_of("someone/unknown").found
        assert found == "the hub does not give someone/unknown: 401: log in"
