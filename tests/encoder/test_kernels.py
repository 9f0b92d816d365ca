"""The screening kernels against the plain formulas that they stand for."""

import copy
import math
import types

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from mean_prompt.encoder import kernels
from mean_prompt.encoder.encoder import PROBES
from mean_prompt.encoder.kernels import PackedLinear, short_attention, use_fast_kernels

HEADS, WIDTH = 3, 8

packs = pytest.mark.skipif(not kernels._can_pack(), reason="this torch lays no weights out")


@pytest.fixture
def make():
    generator = torch.Generator().manual_seed(0)

    def make(*shape, dtype=torch.float32):
        return torch.randn(*shape, generator=generator).to(dtype)

    return make


def softmax_attention(query, key, value, *, scaling, bias=0.0, mask=None):
    scores = query @ key.transpose(2, 3) * scaling + bias
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return (scores.softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("scaling", [None, 1.0, 0.3])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_short_attention_is_attention(make, scaling, biased, masked):
    parts = [make(2, HEADS, 5, WIDTH) for _ in range(3)]
    bias = make(1, HEADS, 5, 5) if biased else None
    mask = None
    if masked:
        mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
        mask[1, :, :, 3:] = False
    found, weights = short_attention(None, *parts, mask, scaling=scaling, position_bias=bias)
    slow = WIDTH**-0.5 if scaling is None else scaling
    expected = softmax_attention(*parts, scaling=slow, bias=bias if biased else 0.0, mask=mask)
    assert weights is None
    torch.testing.assert_close(found, expected)


def test_scores_past_all_bounds_stay_numbers(make):
    query, key, value = (make(2, HEADS, 5, WIDTH, dtype=torch.bfloat16) for _ in range(3))
    found, _ = short_attention(None, 1e4 * query, 1e4 * key, value, None)
    assert torch.isfinite(found).all()
    assert float(found.abs().max()) <= float(value.abs().max()) * 1.01


@pytest.mark.parametrize("case", ["long", "float mask", "fewer keys' heads"])
def test_what_is_not_short_goes_to_torchs_own(make, case):
    length = kernels._SHORT + 1 if case == "long" else 5
    query = make(1, 4, length, WIDTH)
    heads = 2 if case == "fewer keys' heads" else 4
    key, value = make(1, heads, length, WIDTH), make(1, heads, length, WIDTH)
    mask = torch.zeros(1, 1, length, length) if case == "float mask" else None
    module = torch.nn.Module()
    module.is_causal = False
    module.num_key_value_groups = 4 // heads
    found, _ = short_attention(module, query, key, value, mask)
    expected, _ = sdpa_attention_forward(module, query, key, value, mask)
    torch.testing.assert_close(found, expected)


@packs
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [(1,), (2, 34), (1_100,)])
def test_a_packed_layer_is_its_linear_layer(make, bias, rows):
    linear = torch.nn.Linear(24, 40, bias=bias).to(torch.bfloat16).requires_grad_(False)
    batch = make(*rows, 24, dtype=torch.bfloat16)
    packed = PackedLinear(linear)
    torch.testing.assert_close(packed(batch), linear(batch), atol=2e-2, rtol=2e-2)
    assert packed.weight is linear.weight


@packs
@pytest.mark.parametrize("name", ["minilm", "tiny_t5", "tiny_bert"])
def test_a_model_with_fast_kernels_keeps_its_vectors(name, request):
    encoder = request.getfixturevalue(name)
    fast = copy.deepcopy(encoder.library_model).to(torch.bfloat16)
    use_fast_kernels(fast)
    assert any(isinstance(module, PackedLinear) for module in fast.modules())
    assert fast[0].auto_model.config._attn_implementation == kernels.ATTENTION
    ids = encoder.tokenize(PROBES)
    cosines = (encoder._embed(fast, ids) * encoder.encode_ids(ids)).sum(axis=1)
    assert cosines.min() > 0.99
    assert encoder.library_model[0].auto_model.config._attn_implementation == "sdpa"


def test_a_float32_model_is_left_alone(tiny_t5):
    model = copy.deepcopy(tiny_t5.library_model)
    use_fast_kernels(model)
    assert model[0].auto_model.config._attn_implementation == "sdpa"
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_a_processor_without_bfloat16_layouts_is_not_asked_for_them(tiny_t5, monkeypatch):
    """On AVX2 alone the layout raises; there every search ended in a traceback."""
    operations = types.SimpleNamespace(
        _linear_pointwise=None,
        _reorder_linear_weight=None,
        _is_mkldnn_bf16_supported=lambda: False,
    )
    monkeypatch.setattr(torch.ops, "mkldnn", operations)
    model = copy.deepcopy(tiny_t5.library_model).to(torch.bfloat16)
    use_fast_kernels(model)
    assert model[0].auto_model.config._attn_implementation == kernels.ATTENTION
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


@pytest.mark.parametrize(
    ("text", "dtypes"),
    [
        ("flags : fpu amx_bf16", ("bfloat16",)),
        ("flags : fpu avx512_bf16 avx512_fp16", ("bfloat16", "float16")),
        ("Features\t: fp asimd asimdhp", ("float16",)),
        ("flags : fpu avx2", ()),
        ("", ("bfloat16",)),
    ],
)
def test_a_processor_is_measured_in_the_dtypes_it_has_instructions_for(
    text, dtypes, tmp_path, monkeypatch
):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor : 0\n{text}\n")
    monkeypatch.setattr(kernels, "_CPUINFO", path)
    assert kernels.fast_dtypes("cpu") == dtypes
    assert kernels.fast_dtypes("cuda") == ("bfloat16", "float16")
