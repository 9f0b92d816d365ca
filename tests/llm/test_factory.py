"""--llm: every specification, and every refusal."""

import pytest

from mean_prompt.llm.cache import CachedPredictor
from mean_prompt.llm.factory import SPECS, make_predictor
from mean_prompt.llm.options import LLMOptions
from mean_prompt.system import InputError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("id,llm_prediction,other\n1,Sing it,Say it\n")
    return path


def test_none_is_none_and_a_column_is_of_the_test_file(file):
    assert make_predictor("none") is None
    predictor = make_predictor("column:other", test=file)
    assert predictor.notes()[0] == f"recorded predictions: column 'other' of {file}"
    with pytest.raises(InputError, match="there is none; give file:PATH#COLUMN"):
        make_predictor("column:other")


@pytest.mark.parametrize("name", ["test.csv", "test#2.csv"])
def test_a_files_name_may_hold_the_mark_before_a_column(file, name):
    path = file.rename(file.with_name(name))
    assert "'llm_prediction'" in make_predictor(f"file:{path}").notes()[0]
    assert "'other'" in make_predictor(f"file:{path}#other").notes()[0]


def test_a_local_model_is_cached_by_default(chat_folder):
    predictor = make_predictor(f"transformers:{chat_folder}", device="cpu")
    assert isinstance(predictor, CachedPredictor)
    bare = make_predictor(f"transformers:{chat_folder}", device="cpu", cached=False)
    assert bare.identity == predictor.identity


def test_a_server_with_an_at_in_its_model():
    predictor = make_predictor("server:lab/model@main@http://localhost:8000/v1/", cached=False)
    assert predictor.notes() == ["server: lab/model@main at http://localhost:8000/v1"]


@pytest.mark.parametrize("spec", ["server:model", "server:@http://localhost", "server:m@host:80"])
def test_a_server_needs_a_model_and_an_address(spec):
    with pytest.raises(InputError, match="must name a model and an address"):
        make_predictor(spec)


@pytest.mark.parametrize("spec", ["", "nothing", "none:x", "column:", "file", "Server:m@http://h"])
def test_other_specifications_are_refused_with_the_list(spec):
    with pytest.raises(InputError) as caught:
        make_predictor(spec)
    assert all(known in str(caught.value) for known in SPECS)


@pytest.mark.parametrize(
    ("spec", "options", "idle"),
    [
        ("none", {"batch": 2}, "batch"),
        ("file:x", {"temperature": 1.0, "samples": 2}, "samples, temperature"),
        ("transformers:x", {"timeout": 3, "retries": 0}, "timeout, retries"),
        ("server:m@http://h", {"four_bit": True, "dtype": "float16"}, "dtype, four_bit"),
    ],
)
def test_options_without_an_effect_are_refused(spec, options, idle):
    with pytest.raises(InputError, match=f"{idle} has none with --llm {spec.split(':')[0]}"):
        make_predictor(spec, options=LLMOptions(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples must be from 1 to 64: found 0"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"dtype": "int8"}, "dtype must be one of auto, float32, bfloat16, float16: found 'int8'"),
        ({"samples": 2}, "2 samples at temperature 0; set one"),
    ],
)
def test_options_have_bounds(options, message):
    with pytest.raises(InputError, match=message):
        LLMOptions(**options)
