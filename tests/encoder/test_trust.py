"""Models are untrusted input: what could run code is refused before anything of it is loaded."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mean_prompt.corpus.triples import Rows
from mean_prompt.encoder.encoder import PROBES
from mean_prompt.encoder.identity import content_hash
from mean_prompt.encoder.loading import find_model, load_encoder
from mean_prompt.encoder.trust import check_untrusted
from mean_prompt.llm.local import LocalPredictor
from mean_prompt.llm.models import find_chat_model
from mean_prompt.llm.options import LLMOptions
from mean_prompt.system.errors import InputError
from tests.llm.tiny_chat import save_tiny_chat

REMEDY = "; trust it with --trust-model (trust = true in a recipe), or take another model"


@pytest.fixture
def folder(tiny_t5_folder, tmp_path):
    """A copy of the tiny model, to be changed."""
    return Path(shutil.copytree(tiny_t5_folder, tmp_path / "stranger"))


@pytest.fixture(scope="module")
def chat_folder(tmp_path_factory):
    return save_tiny_chat(tmp_path_factory.mktemp("chat") / "tiny-chat")


@pytest.fixture
def chat(chat_folder, tmp_path):
    return Path(shutil.copytree(chat_folder, tmp_path / "chat" / "stranger"))


@pytest.fixture
def nothing_loads(monkeypatch):
    """Fail the test where a library begins to load."""

    def load(*_args, **_options):
        pytest.fail("something was loaded")

    monkeypatch.setattr("sentence_transformers.SentenceTransformer.__init__", load)
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", load)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", load)


@pytest.fixture
def no_pickles(monkeypatch):
    """Fail the test where anything is unpickled."""

    def load(*_args, **_options):
        pytest.fail("something was unpickled")

    for name in ("torch.load", "pickle.load", "pickle.loads", "pickle.Unpickler"):
        monkeypatch.setattr(name, load)


def pickled(folder, name="model.safetensors"):
    """Exchange safetensors for a pickle of the same."""
    torch.save(load_file(folder / name), folder / "pytorch_model.bin")
    (folder / name).unlink()


def change(file, **settings):
    path = Path(file)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known | settings))


def sharded(folder):
    """Split the weights over files, as large models have them."""
    weights = load_file(folder / "model.safetensors")
    save_file(weights, folder / "model-00001-of-00001.safetensors", {"format": "pt"})
    (folder / "model.safetensors").unlink()
    table = dict.fromkeys(weights, "model-00001-of-00001.safetensors")
    change(folder / "model.safetensors.index.json", metadata={}, weight_map=table)


def test_the_packaged_model_needs_no_trust():
    found = find_model("all-MiniLM-L6-v2")
    check_untrusted(found.name, found.path)


@pytest.mark.usefixtures("no_pickles")
def test_a_chat_model_of_safetensors_loads_without_any_pickle(chat_folder):
    local = LocalPredictor(str(chat_folder), LLMOptions(max_new_tokens=2), device="cpu")
    [found] = local.predict(Rows(("a",), ("the story",), ("a poem",)))
    assert found.fault is None


@pytest.mark.parametrize("shard", [False, True])
@pytest.mark.usefixtures("no_pickles")
def test_a_pickle_beside_safetensors_is_not_looked_at(folder, tiny_t5, shard):
    if shard:
        sharded(folder)
    pickle = "pytorch_model-00001-of-00001.bin" if shard else "pytorch_model.bin"
    for file in (folder / pickle, folder / "2_Dense" / "pytorch_model.bin"):
        file.write_bytes(b"no weights at all")
    encoder = load_encoder(str(folder), device="cpu", screening="float32")
    np.testing.assert_array_equal(encoder.encode(PROBES), tiny_t5.encode(PROBES))
    assert encoder.identity.content_hash == content_hash(folder)


def test_folders_that_are_never_loaded_from_do_not_matter(folder, chat):
    (chat / "original").mkdir()
    (chat / "original" / "pytorch_model.bin").touch()
    assert find_chat_model(str(chat)).path == chat
    (folder / "onnx").mkdir()
    (folder / "onnx" / "pytorch_model.bin").touch()
    change(folder / "openvino" / "config.json", auto_map={"AutoModel": "evil.Model"})
    check_untrusted("stranger", folder)


def modules_of(kind):
    def spoil(folder):
        path = folder / "modules.json"
        modules = json.loads(path.read_text())
        modules[-1]["type"] = kind
        path.write_text(json.dumps(modules))

    return spoil


def setting(file, **settings):
    return lambda folder: change(folder / file, **settings)


def hidden_behind_an_index(folder):
    """A module that knows one file alone would load the pickle."""
    sharded(folder / "2_Dense")
    (folder / "2_Dense" / "pytorch_model.bin").touch()


ASKING = {
    "pickled weights": (pickled, "pytorch_model.bin of stranger is a pickle, which can run code"),
    "pickled shards of another case": (
        lambda folder: (
            pickled(folder),
            (folder / "pytorch_model.bin").rename(folder / "PyTorch_Model-00001-of-00002.BIN"),
        ),
        "PyTorch_Model-00001-of-00002.BIN of stranger is a pickle, which can run code",
    ),
    "a pickle behind an index": (
        hidden_behind_an_index,
        "2_Dense/pytorch_model.bin of stranger is a pickle, which can run code",
    ),
    "a module of another package": (
        modules_of("sentence_transformers_evil.Module"),
        "modules.json of stranger has 'sentence_transformers_evil.Module'",
    ),
    "code for the model": (
        setting("config.json", auto_map={"AutoModel": "evil.Model"}),
        "config.json of stranger asks for code of its own (auto_map)",
    ),
    "code for the tokenizer": (
        setting("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokenizer", None]}),
        "tokenizer_config.json of stranger asks for code of its own (auto_map)",
    ),
    "an activation of its own": (
        setting("2_Dense/config.json", activation_function="evil.Activation"),
        "2_Dense/config.json of stranger asks for the activation 'evil.Activation'",
    ),
    "a kernel": (
        setting("config.json", _attn_implementation="evil/kernel"),
        "config.json of stranger asks for the kernel 'evil/kernel'",
    ),
    "a kernel for a part": (
        setting("config.json", text_config={"attn_implementation": {"": "evil/kernel@main"}}),
        "config.json of stranger asks for the kernel 'evil/kernel@main'",
    ),
    "a kernel while loading": (
        setting("sentence_bert_config.json", model_args={"attn_implementation": "evil/kernel"}),
        "sentence_bert_config.json of stranger asks for the kernel 'evil/kernel'",
    ),
    "any kernel": (
        setting("sentence_bert_config.json", model_kwargs={"allow_all_kernels": True}),
        "asks for the setting 'allow_all_kernels' of its loading",
    ),
    "pickles after all": (
        setting("sentence_bert_config.json", model_args={"use_safetensors": False}),
        "asks for the setting 'use_safetensors' of its loading",
    ),
    "weights of another name": (
        setting("config.json", transformers_weights="adapter_model.bin"),
        "asks for weights that are a pickle (transformers_weights)",
    ),
    "another model under it": (
        setting("adapter_config.json", base_model_name_or_path="evil/base"),
        "adapter_config.json of stranger asks for the model 'evil/base' under it",
    ),
}


@pytest.mark.parametrize("how", ASKING)
@pytest.mark.usefixtures("nothing_loads", "no_pickles")
def test_what_could_run_code_is_refused_in_one_line_before_anything_loads(folder, how):
    spoil, fault = ASKING[how]
    spoil(folder)
    with pytest.raises(InputError) as caught:
        load_encoder(str(folder), device="cpu")
    message = str(caught.value)
    assert fault + REMEDY in message
    assert "unless it is trusted: " in message
    assert "\n" not in message
    assert str(folder) not in message


@pytest.mark.parametrize("how", ["pickled weights", "code for the model", "a kernel"])
@pytest.mark.usefixtures("nothing_loads", "no_pickles")
def test_a_chat_model_follows_the_same_rule(chat, how):
    spoil, fault = ASKING[how]
    spoil(chat)
    with pytest.raises(InputError) as caught:
        LocalPredictor(str(chat), device="cpu")
    assert fault + REMEDY in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"auto_map": {}}'])
def test_settings_that_cannot_be_read_are_left_to_the_library(folder, content):
    (folder / "extra_config.json").write_bytes(content)
    check_untrusted("stranger", folder)
    (folder / "modules.json").write_bytes(content)
    check_untrusted("stranger", folder)


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/passwd", "..", "a\\b", ""])
@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.usefixtures("nothing_loads")
def test_weights_outside_of_the_folder_are_refused_even_if_trusted(folder, chat, shard, trust):
    for place in (folder, chat):
        sharded(place)
        change(place / "model.safetensors.index.json", weight_map={"a": "x", "w": shard})
    fault = r"must be in its folder: model\.safetensors\.index\.json of stranger names "
    with pytest.raises(InputError, match=fault):
        load_encoder(str(folder), trust=trust)
    with pytest.raises(InputError, match=fault):
        LocalPredictor(str(chat), device="cpu", trust=trust)


def test_trusted_models_load_their_pickles(folder, tiny_t5, chat, chat_folder):
    rows = Rows(("a",), ("the story",), ("a poem",))
    options = LLMOptions(max_new_tokens=4, dtype="float32")
    pickled(chat)
    [found] = LocalPredictor(str(chat), options, device="cpu", trust=True).predict(rows)
    [known] = LocalPredictor(str(chat_folder), options, device="cpu").predict(rows)
    assert found == known
    pickled(folder)
    pickled(folder / "2_Dense")
    encoder = load_encoder(str(folder), device="cpu", screening="float32", trust=True)
    np.testing.assert_array_equal(encoder.encode(PROBES), tiny_t5.encode(PROBES))


def test_a_trusted_model_runs_its_own_code(folder, tiny_t5, capfd, tmp_path, monkeypatch):
    # The library copies a model's code into a cache, and imports it from there.
    monkeypatch.setattr(
        "transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules")
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules_of("mine.Mine")(folder)
    (folder / "mine.py").write_text(
        "from sentence_transformers.sentence_transformer.modules import Normalize\n"
        "print('it ran')\n"
        "class Mine(Normalize):\n    pass\n"
    )
    with pytest.raises(InputError, match=r"has 'mine\.Mine'"):
        load_encoder(str(folder), device="cpu")
    assert capfd.readouterr().out == ""
    encoder = load_encoder(str(folder), device="cpu", screening="float32", trust=True)
    assert "it ran" in capfd.readouterr().out
    np.testing.assert_array_equal(encoder.encode(PROBES), tiny_t5.encode(PROBES))


def test_the_hash_is_over_what_is_loaded(folder):
    plain = content_hash(folder)
    assert content_hash(folder, trust=True) == plain
    for name in ("pytorch_model.bin", "mine.py"):
        before = content_hash(folder, trust=True)
        (folder / name).write_bytes(b"x")
        assert content_hash(folder) == plain
        assert content_hash(folder, trust=True) != before
