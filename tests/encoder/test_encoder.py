"""The encoder against sentence-transformers itself and against finite differences in float64."""

import copy
import dataclasses
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from sentence_transformers import SentenceTransformer
from transformers.models.t5.modeling_t5 import T5LayerNorm

from mean_prompt.encoder import encoder as encoder_module
from mean_prompt.encoder.encoder import PROBES, Encoder
from mean_prompt.encoder.loading import find_model
from mean_prompt.encoder.tokens import special_ids, token_strings
from mean_prompt.system.errors import InputError, RunError

TINY = ("tiny_t5", "tiny_bert")
MODELS = ("minilm", *TINY)

AWKWARD = (
    "",
    " ",
    "\n\t ",
    "a",
    ".",
    "  two  blanks  ",
    "rewrite\nthis\r\ntext",
    "word " * 1_000,
    "x" * 5_000,
    "Café “naïve” — déjà vu?",
    "e\u0301 \u00e9",  # one letter, two spellings
    "重写这段文字",
    "أعد كتابة النص",
    "🎭🏴‍☠️ arr",
    "null \x00 byte \ufeff mark \u200b space",
    "Rewrite </s> this [SEP] text <pad> [MASK]",
    "ALL CAPITALS, 123 numbers & (punctuation)!",
)

texts = st.lists(st.text(max_size=60), min_size=1, max_size=6)


@pytest.fixture(params=MODELS)
def encoder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", params=MODELS)
def pair(request):
    """An encoder, and sentence-transformers' own reading of the same folder."""
    if request.param == "minilm":
        folder = find_model("all-MiniLM-L6-v2").path
    else:
        folder = request.getfixturevalue(f"{request.param}_folder")
    theirs = SentenceTransformer(str(folder), device="cpu")
    return request.getfixturevalue(request.param), theirs


def assert_same(ours, theirs):
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)


def test_strings_alone_and_together_have_sentence_transformers_vectors(pair):
    ours, theirs = pair
    # Making an encoder has compared the probes, one of them long; long ones take MiniLM seconds.
    strings = [text for text in AWKWARD if len(text) < 1_000 or ours.dimension < 100]
    expected = theirs.encode(strings)
    assert_same(ours.encode(strings), expected)
    assert_same(np.concatenate([ours.encode([text]) for text in strings]), expected)


@pytest.mark.parametrize("pair", TINY, indirect=True)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts)
def test_any_text_has_sentence_transformers_vector(pair, strings):
    ours, theirs = pair
    assert_same(ours.encode(strings), theirs.encode(strings))


def test_vectors_are_unit_rows_in_the_order_asked(encoder):
    strings = [" ".join(PROBES[i % 6].split()[: 1 + i % 9]) for i in range(20)]
    vectors = encoder.encode(strings)
    assert vectors.shape == (20, encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert_same(encoder.encode(strings[::-1])[::-1], vectors)
    assert encoder.encode([]).shape == (0, encoder.dimension)
    assert encoder.screen([]).shape == (0, encoder.dimension)


def test_a_string_over_the_limit_is_cut(encoder):
    limit = encoder.max_tokens
    [ids] = encoder.tokenize(["the story " * limit])
    assert len(ids) > limit
    assert_same(encoder.encode_ids([ids]), encoder.encode_ids([ids[:limit]]))
    shorter = encoder.encode_ids([ids[: limit - 1]])
    assert np.abs(encoder.encode_ids([ids]) - shorter).max() > 1e-5


@given(lengths=st.lists(st.integers(0, 40), max_size=60))
def test_batches_hold_every_row_once_within_the_token_limit(tiny_t5, lengths):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_t5, "pass_tokens", 100)
        batches = list(tiny_t5._batches(lengths))
    assert sorted(row for rows, _ in batches for row in rows) == list(range(len(lengths)))
    for rows, width in batches:
        assert all(lengths[row] <= width for row in rows)
        assert len(rows) * (width + 1) <= 100


def test_a_pass_that_does_not_fit_is_halved_and_the_size_remembered(tiny_t5, monkeypatch):
    texts = [f"make the text {word}" for word in ("formal", "clear", "short", "sad", "calm")] * 4
    expected = tiny_t5.encode(texts)
    sizes = []
    forward = tiny_t5._forward

    def small_memory(model, ids, mask):
        sizes.append(len(ids))
        if len(ids) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, ids, mask)

    monkeypatch.setattr(tiny_t5, "_forward", small_memory)
    monkeypatch.setattr(tiny_t5, "pass_tokens", tiny_t5.pass_tokens)
    assert_same(tiny_t5.encode(texts), expected)
    assert max(sizes) == 20
    sizes.clear()
    assert_same(tiny_t5.encode(texts), expected)
    assert max(sizes) <= 5


def test_one_string_that_does_not_fit_is_refused_in_one_line(tiny_t5, monkeypatch):
    def no_memory(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(tiny_t5, "_forward", no_memory)
    monkeypatch.setattr(tiny_t5, "pass_tokens", tiny_t5.pass_tokens)
    with pytest.raises(RunError, match="must hold one string of 2 tokens"):
        tiny_t5.encode(["the text", "the story"])


@pytest.fixture
def dtypes(monkeypatch):
    """Return a function that says in which dtypes the device may be fast."""

    def put(*names):
        monkeypatch.setattr(encoder_module, "fast_dtypes", lambda _device: names)

    return put


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("encoder", TINY, indirect=True)
def test_a_faster_dtype_that_agrees_is_taken_and_close(encoder, dtype, dtypes, monkeypatch):
    monkeypatch.setattr(encoder_module, "PARITY_SPEEDUP", 0.0)
    dtypes(dtype)
    fast = Encoder(copy.deepcopy(encoder.library_model), encoder.identity)
    assert (fast.screening.dtype, fast.screening.notice) == (dtype, None)
    screened, exact = fast.screen(PROBES[:-1]), encoder.encode(PROBES[:-1])
    assert screened.dtype == np.float32
    assert (screened * exact).sum(axis=1).min() >= encoder_module.PARITY_COSINE
    assert np.abs(screened - exact).max() > 0
    assert_same(fast.encode(PROBES), encoder.encode(PROBES))


def test_the_fastest_dtype_that_agrees_is_taken(tiny_t5, dtypes, monkeypatch):
    dtypes("bfloat16", "float16")
    speeds = {torch.bfloat16: 0.4, torch.float16: 2.5, torch.float32: 1.0}
    monkeypatch.setattr(
        Encoder, "_speedup", lambda _, fast, __: speeds[next(fast.parameters()).dtype]
    )
    fast = Encoder(copy.deepcopy(tiny_t5.library_model), tiny_t5.identity)
    assert (fast.screening.dtype, fast.screening.speedup) == ("float16", 2.5)


def test_the_output_of_t5s_feed_forward_stays_in_float32(tiny_t5, dtypes, monkeypatch):
    monkeypatch.setattr(encoder_module, "PARITY_SPEEDUP", 0.0)
    dtypes("float16")
    fast = Encoder(copy.deepcopy(tiny_t5.library_model), tiny_t5.identity).screening_model
    kept = {name for name, part in fast.named_parameters() if part.dtype == torch.float32}
    assert kept
    assert all(name.endswith(".wo.weight") for name in kept)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_pickled_encoder_gives_the_same_vectors(tiny_t5, dtype, dtypes, monkeypatch):
    monkeypatch.setattr(encoder_module, "PARITY_SPEEDUP", 0.0)
    dtypes(dtype)
    asked = "float32" if dtype == "float32" else "auto"
    encoder = Encoder(copy.deepcopy(tiny_t5.library_model), tiny_t5.identity, screening=asked)
    again = pickle.loads(pickle.dumps(encoder))
    assert (again.screening, again.identity) == (encoder.screening, encoder.identity)
    np.testing.assert_array_equal(again.encode(PROBES), encoder.encode(PROBES))
    np.testing.assert_array_equal(again.screen(PROBES), encoder.screen(PROBES))


def test_minilm_knows_what_words_mean(minilm):
    near, other, text = minilm.encode(["a pirate's song", "quarterly tax report", "a sea shanty"])
    assert near @ text > 0.3
    assert other @ text < 0.1
    assert minilm.screening.lowest_cosine >= encoder_module.PARITY_COSINE


@pytest.mark.parametrize(
    ("limit", "value", "notice"),
    [
        ("COSINE", 1.1, "in float32: bfloat16 gave cosines down to 1.0000 (at least 1.1)"),
        ("SPEEDUP", 1e9, "times the speed (at least 1000000000.0)"),
    ],
)
def test_screening_stays_in_float32_without_a_gain(
    tiny_t5, dtypes, monkeypatch, limit, value, notice
):
    dtypes("bfloat16")
    monkeypatch.setattr(encoder_module, "PARITY_SPEEDUP", 0.0)
    monkeypatch.setattr(encoder_module, f"PARITY_{limit}", value)
    encoder = Encoder(tiny_t5.library_model, tiny_t5.identity)
    assert encoder.screening.dtype == "float32"
    assert encoder.screening.lowest_cosine > 0.99
    assert notice in encoder.screening.notice
    np.testing.assert_array_equal(encoder.screen(PROBES), encoder.encode(PROBES))


@pytest.mark.parametrize(("seconds", "turns"), [(0.1, 2), (0.8, 4), (1.2, 4), (10.0, 2)])
def test_speeds_that_clearly_differ_are_timed_once(tiny_bert, monkeypatch, seconds, turns):
    passes, now = [], [0.0]

    def embed(self, model, _ids):
        passes.append(model)
        now[0] += 1.0 if model is self.library_model else seconds

    monkeypatch.setattr(Encoder, "_embed", embed)
    monkeypatch.setattr(encoder_module.time, "perf_counter", lambda: now[0])
    assert tiny_bert._speedup(object(), []) == pytest.approx(1.0 / seconds)
    assert len(passes) == 2 * turns  # the first turn is a warm-up


def test_vectors_that_are_not_numbers_fail_the_gate(tiny_t5, dtypes, monkeypatch):
    dtypes("bfloat16")
    monkeypatch.setattr(encoder_module, "PARITY_SPEEDUP", 0.0)
    embed = Encoder._embed

    def overflows(self, model, ids):
        vectors = embed(self, model, ids)
        return vectors if model is self.library_model else np.full_like(vectors, np.nan)

    monkeypatch.setattr(Encoder, "_embed", overflows)
    screening = Encoder(tiny_t5.library_model, tiny_t5.identity).screening
    assert (screening.dtype, screening.lowest_cosine) == ("float32", -1.0)


def test_a_model_that_cannot_be_reproduced_is_refused(tiny_t5):
    model = copy.deepcopy(tiny_t5.library_model)
    with torch.no_grad():
        model[2].linear.weight.fill_(torch.nan)
    fault = r"must be reproducible to 1e-05: tiny-t5 differs by nan; choose another --model"
    with pytest.raises(InputError, match=fault):
        Encoder(model, tiny_t5.identity)


def test_a_model_without_a_fast_tokenizer_is_refused(tiny_t5):
    class SlowTokenizer:
        pad_token_id = 0

    model = copy.deepcopy(tiny_t5.library_model)
    model[0].processor = SlowTokenizer()
    with pytest.raises(InputError, match=r"needs a fast tokenizer \(tokenizer.json\): tiny-t5 has"):
        Encoder(model, tiny_t5.identity)


def test_a_default_prompt_goes_before_every_string(tiny_bert_folder, tiny_bert):
    prompts = {"query": "search query: "}
    theirs = SentenceTransformer(
        str(tiny_bert_folder), device="cpu", prompts=prompts, default_prompt_name="query"
    )
    ours = Encoder(copy.deepcopy(theirs), dataclasses.replace(tiny_bert.identity, name="prompted"))
    assert ours.max_tokens < tiny_bert.max_tokens
    assert_same(ours.encode(AWKWARD), theirs.encode(list(AWKWARD)))
    assert_same(ours.encode_ids(ours.tokenize(AWKWARD)), theirs.encode(list(AWKWARD)))
    assert np.abs(ours.encode(PROBES) - tiny_bert.encode(PROBES)).max() > 1e-3


def test_the_model_s_own_tokenizer_is_left_as_it_was(tiny_t5):
    theirs = tiny_t5.library_model.tokenizer
    assert tiny_t5.tokenizer is not theirs.backend_tokenizer
    assert len(tiny_t5.tokenize(["word " * 600])[0]) == 600
    assert len(theirs("word " * 600, truncation=True)["input_ids"]) == 128


@pytest.mark.parametrize(
    ("encoder", "special", "limit"),
    [("minilm", 2, 254), ("tiny_t5", 1, 127), ("tiny_bert", 2, 126)],
    indirect=["encoder"],
)
def test_special_tokens_are_counted_apart(encoder, special, limit):
    assert encoder.special_token_count == special
    assert encoder.max_tokens == limit
    framed = encoder.tokenizer.encode("Rewrite the text").ids
    assert len(encoder.tokenize(["Rewrite the text"])[0]) == len(framed) - special


def test_ids_are_the_model_s_own_without_specials(pair):
    ours, theirs = pair
    plain = theirs.tokenizer(list(PROBES[:-1]), add_special_tokens=False)["input_ids"]
    assert ours.tokenize(PROBES[:-1]) == [tuple(row) for row in plain]


def test_words_survive_the_round_trip(encoder):
    strings = ["rewrite the text as a poem", "make it more formal, please", "the"]
    decoded = encoder.decode(encoder.tokenize(strings))
    assert encoder.tokenize(decoded) == encoder.tokenize(strings)
    assert decoded[0] == strings[0]
    assert decoded[2] == "the"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=40))
def test_decoding_settles_after_a_few_rounds(encoder, text):
    # A search relies on it: what a move makes is decoded, read back, and must then stay.
    [once] = encoder.decode(encoder.tokenize([text]))
    seen = [once]
    while len(seen) < 6:
        [again] = encoder.decode(encoder.tokenize(seen[-1:]))
        if again == seen[-1]:
            return
        seen.append(again)
    pytest.fail(f"never settles: {seen}")


def test_decode_shows_special_tokens(tiny_t5, minilm):
    assert tiny_t5.decode([(1,)]) == ["</s>"]
    assert minilm.decode([(102,)]) == ["[SEP]"]


def test_token_strings_and_special_ids_cover_the_vocabulary(encoder):
    strings = token_strings(encoder.tokenizer)
    assert len(strings) == len(encoder.input_embeddings())
    specials = [strings[index] for index in special_ids(encoder.tokenizer)]
    assert {"<pad>", "</s>", "<unk>"} <= set(specials) or {"[CLS]", "[SEP]"} <= set(specials)
    [ids] = encoder.tokenize(["the"])
    assert strings[ids[0]] in {"▁the", "the"}


def root_mean_square_norm(layer, x):
    return (
        layer.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + layer.variance_epsilon)
    )


class SlowChain:
    """The whole module chain in float64, one row of its embedding table free to be written."""

    step = 1e-6

    def __init__(self, encoder, ids):
        self.model = copy.deepcopy(encoder.library_model).double()
        for module in self.model.modules():
            if isinstance(module, T5LayerNorm):  # takes its norm in float32 even so
                module.forward = partial(root_mean_square_norm, module)
        self.table = self.model[0].auto_model.get_input_embeddings().weight.data
        self.frame = lambda row: [*encoder._head, *row, *encoder._tail]
        self.ids = ids
        self.spare = next(i for i in reversed(range(len(self.table))) if i not in self.frame(ids))

    def value(self, target, position, embedding):
        """Return (e · target)³ with this embedding in the place of one token's."""
        self.table[self.spare] = embedding
        row = list(self.ids)
        row[position] = self.spare
        framed = torch.tensor([self.frame(row)])
        with torch.no_grad():
            out = self.model({"input_ids": framed, "attention_mask": torch.ones_like(framed)})
        vector = torch.nn.functional.normalize(out["sentence_embedding"][0], dim=0)
        return float(vector.numpy() @ target) ** 3

    def slope(self, target, position, coordinate):
        """Return the central difference along one coordinate of one token's embedding."""
        at = self.table[self.ids[position]].clone()
        move = torch.zeros_like(at)
        move[coordinate] = self.step
        high, low = (self.value(target, position, at + sign * move) for sign in (1, -1))
        return (high - low) / (2 * self.step)


@pytest.fixture
def objective_and_ids(encoder):
    """(x · target)³, its gradient, and the ids of a string to differentiate at."""
    [target] = encoder.encode(["Turn the story into a poem about the sea"]).astype(float)
    [ids] = encoder.tokenize(["rewrite this text in a formal tone, please"])

    def gradient(vector):
        return (3 * (vector.astype(float) @ target) ** 2 * target).astype(np.float32)

    return target, gradient, ids


@pytest.mark.parametrize("encoder", TINY, indirect=True)
def test_token_gradient_equals_finite_differences(encoder, objective_and_ids):
    target, objective_gradient, ids = objective_and_ids
    [gradient] = encoder.token_gradients([ids], objective_gradient)
    assert gradient.shape == (len(ids), encoder.input_embeddings().shape[1])
    assert gradient.dtype == np.float32
    # The model is left as it was: again the same, and no gradients kept in it.
    again = encoder.token_gradients([ids], objective_gradient)[0]
    np.testing.assert_allclose(again, gradient, atol=1e-6)
    assert all(parameter.grad is None for parameter in encoder.library_model.parameters())
    slow = SlowChain(encoder, ids)
    largest = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    rng = np.random.default_rng(0)
    places = [tuple(map(int, largest))]
    places += [tuple(int(rng.integers(size)) for size in gradient.shape) for _ in range(11)]
    expected = [slow.slope(target, *place) for place in places]
    actual = [gradient[place] for place in places]
    scale = np.abs(gradient).max()
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * scale)


def test_a_failing_objective_leaves_no_hook_behind(tiny_t5):
    def fails(_vector):
        raise RuntimeError("stop")

    before = tiny_t5.encode(PROBES)
    with pytest.raises(RuntimeError, match="stop"):
        tiny_t5.token_gradients([(3, 4)], fails)
    assert not tiny_t5.library_model[0].auto_model.get_input_embeddings()._forward_hooks
    np.testing.assert_array_equal(tiny_t5.encode(PROBES), before)
