"""Timing an encoder: what is counted and reported, never how fast this machine is."""

import json

import pytest

from mean_prompt.bench import speed
from mean_prompt.bench.models import RANDOM_T5, random_sentence_t5
from mean_prompt.bench.speed import (
    BASELINE,
    SpeedReport,
    bench_speed,
    flops_per_string,
    sample_strings,
)
from mean_prompt.system import InputError, ProgressEvent

SMALL = {"vocab_size": 600, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}


@pytest.fixture(scope="module")
def small_t5():
    return random_sentence_t5(screening="float32", **SMALL)


@pytest.fixture(autouse=True)
def short_products(monkeypatch):
    monkeypatch.setattr(speed, "_SQUARE", 64)
    monkeypatch.setattr(speed, "_PRODUCT_SECONDS", 0.001)


def test_flops_are_those_of_the_matrix_products(tiny_bert):
    length, width, inner, layers = 6 + 2, 32, 64, 2
    projections = length * (4 * width * width + 2 * width * inner)
    attention = 2 * length * length * width
    pooler = width * width
    expected = 2 * (layers * (projections + attention) + pooler)
    assert flops_per_string(tiny_bert, 6) == expected


def test_strings_have_as_many_tokens_as_asked(tiny_bert, small_t5):
    for encoder in (tiny_bert, small_t5):
        texts = sample_strings(encoder, 30, 7)
        assert len(set(texts)) == 30
        assert {len(ids) for ids in encoder.tokenize(texts)} == {7}
        assert texts == sample_strings(encoder, 30, 7)


def test_paths_and_products_are_reported_with_their_ratios(tiny_bert):
    report = bench_speed([tiny_bert], tokens=6, batch=10, repeats=3)
    [row] = report.models
    rates = {path.path: path for path in row.paths}
    assert list(rates) == ["screen_ids", "screen", "encode", BASELINE]
    assert rates[BASELINE].ratio == 1.0
    for path in row.paths:
        assert 0 < path.slowest <= path.strings_per_second <= path.fastest
        assert path.ratio > 0
    assert (row.tokens, row.strings, report.repeats) == (6, 10, 3)
    rates = [product.flops_per_second for product in row.products]
    assert rates == sorted(rates, reverse=True)
    assert len(rates) == 3
    assert row.achieved == pytest.approx(row.flops_per_string * row.paths[0].strings_per_second)
    assert row.share_of_product > 0


def test_report_files(tiny_bert, tmp_path):
    events = []
    options = {"out": tmp_path, "listener": events.append}
    report = bench_speed([tiny_bert], tokens=4, batch=5, repeats=2, **options)
    assert SpeedReport.model_validate_json((tmp_path / "speed.json").read_text()) == report
    text = (tmp_path / "speed.md").read_text()
    assert f"| {BASELINE} |" in text
    assert report.models[0].model in text
    timing = f"timing {tiny_bert.identity.name}"
    assert events == [ProgressEvent(timing, done, 2, "repeats") for done in range(2)]
    assert json.loads((tmp_path / "speed.json").read_text())["machine"]["versions"]["torch"]


def test_more_tokens_than_the_model_reads_are_refused(tiny_bert):
    with pytest.raises(InputError, match=r"--tokens must be at most .* reads 126, found 127"):
        bench_speed([tiny_bert], tokens=127)


# -- the model of sentence-t5-base's shape -------------------------------------------------------


def test_a_random_model_is_an_encoder_like_any_other(small_t5):
    assert small_t5.identity.name == RANDOM_T5
    assert small_t5.special_token_count == 1
    assert small_t5.dimension == 768
    vectors = small_t5.encode(["baba", "keke sosu"])
    assert float(abs((vectors**2).sum(axis=1) - 1).max()) < 1e-5
    assert float(abs(vectors[0] - vectors[1]).max()) > 1e-4
