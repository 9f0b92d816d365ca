"""What keys the caches: equal for equal files, and for nothing else."""

import shutil
from pathlib import Path

import pytest

from mean_prompt.encoder.identity import ModelIdentity, content_hash


@pytest.fixture
def folder(tiny_t5_folder, tmp_path):
    """A copy of the tiny model, to be changed."""
    return Path(shutil.copytree(tiny_t5_folder, tmp_path / "changed"))


def test_hash_changes_with_one_byte_of_the_weights(folder):
    before = content_hash(folder)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert content_hash(folder) != before


def test_hash_changes_with_every_part_of_the_model_and_when_a_file_moves(folder):
    seen = {content_hash(folder)}
    for name in ("config.json", "tokenizer.json", "2_Dense/model.safetensors"):
        path = folder / name
        path.write_bytes(path.read_bytes() + b" ")
        seen.add(content_hash(folder))
    (folder / "2_Dense").rename(folder / "3_Dense")
    assert len(seen | {content_hash(folder)}) == 5


def test_hash_leaves_out_the_place_and_what_changes_no_vector(folder, tiny_t5_folder):
    for name in ("README.md", "onnx/model.json", "openvino/config.json", "a.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("other")
    assert content_hash(folder) == content_hash(tiny_t5_folder)


def test_key_names_the_files_and_the_dtype_and_not_the_name():
    one = ModelIdentity("a/b", None, "f" * 64)
    assert one.key == f"{'f' * 24}-float32"
    assert one.key == ModelIdentity("other", "0123456789abcdef", "f" * 64).key
    assert one.key != ModelIdentity("a/b", None, "f" * 64, dtype="float64").key
    assert one.key != ModelIdentity("a/b", None, "e" * 64).key
