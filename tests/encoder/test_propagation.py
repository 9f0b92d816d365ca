"""Propagation against slow attention, finite differences, and the true change of a vector."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules
from transformers import BertTokenizer, MPNetConfig, MPNetModel, RobertaConfig, RobertaModel

from mean_prompt.encoder import propagation
from mean_prompt.encoder.encoder import Encoder
from mean_prompt.encoder.loading import load_encoder
from mean_prompt.encoder.propagation import Heads, NotPropagable, TokenPropagation
from mean_prompt.objective.scs import ExpectedSCS
from tests import tiny_models
from tests.fakes import FakeEncoder

STRING = "Rewrite the text as a poem in the tone of a pirate and keep it short, clear and funny"
TO_BE_EDITED = (
    "Rewrite the following text in a formal tone, and keep its meaning and style, as a letter"
)
SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def unproven(monkeypatch):
    """Take models of random weights, in which the linear part need not be any good."""
    monkeypatch.setattr(propagation, "_PROOF_COSINE", -1.0)


@pytest.fixture
def prompted_bert(tiny_bert_folder, tiny_bert):
    """A BERT that puts a prompt before every string: [CLS] search query: ... [SEP]."""
    model = SentenceTransformer(
        str(tiny_bert_folder),
        device="cpu",
        prompts={"query": "search query: "},
        default_prompt_name="query",
    )
    return Encoder(model, tiny_bert.identity, screening="float32")


@pytest.fixture(scope="module")
def minilm_propagation(minilm):
    return TokenPropagation(minilm)


def replaced(ids, positions, tokens):
    return [(*ids[:i], t, *ids[i + 1 :]) for i, t in zip(positions, tokens, strict=True)]


def last_hidden(encoder, ids):
    with torch.no_grad():
        network = encoder.library_model[0].auto_model
        return network(input_ids=encoder.frame(ids)).last_hidden_state[0]


H, N, K, B = 3, 7, 4, 20


@pytest.fixture(params=[False, True], ids=["plain", "bias"])
def attention(request):
    """Queries, keys, values (H, n, k), a bias or none, and what B replacements bring of each."""
    generator = torch.Generator().manual_seed(3)
    parts = [2 * torch.randn((H, N, K), generator=generator) for _ in range(3)]
    bias = torch.randn((H, N, N), generator=generator) if request.param else None
    news = [2 * torch.randn((B, H, K), generator=generator) for _ in range(3)]
    return parts, bias, torch.arange(B) % N, news


SCALING = 0.37


def slow_contexts(query, key, value, bias):
    """Return (H, n, k), one query at a time."""
    contexts = torch.empty_like(value)
    for head in range(H):
        for i in range(N):
            scores = key[head] @ query[head, i] * SCALING
            if bias is not None:
                scores = scores + bias[head, i]
            weights = scores.exp() / scores.exp().sum()
            contexts[head, i] = weights @ value[head]
    return contexts


def frozen_layer(parts, bias):
    batched = None if bias is None else bias[None]
    return propagation._layer(Heads(*(part[None] for part in parts), None, batched, SCALING))


def slow_replacement(attention, b):
    """Return contexts before and after replacement b, computed whole."""
    parts, bias, where, news = attention
    after = [part.clone() for part in parts]
    for part, new in zip(after, news, strict=True):
        part[:, where[b]] = new[b]
    return slow_contexts(*parts, bias), slow_contexts(*after, bias)


def test_own_contexts_are_those_of_full_attention(attention):
    parts, bias, where, news = attention
    own = propagation._own_context(frozen_layer(parts, bias), where, news, SCALING)
    assert own.shape == (B, 1, H, K)
    for b in range(B):
        _, after = slow_replacement(attention, b)
        torch.testing.assert_close(own[b, 0], after[:, where[b]], atol=1e-5, rtol=1e-4)


def test_the_others_contexts_change_as_in_full_attention(attention):
    parts, bias, where, news = attention
    change = propagation._change_of_others(frozen_layer(parts, bias), where, *news[1:])
    assert change.shape == (B, H * K)
    for b in range(B):
        before, after = slow_replacement(attention, b)
        others = torch.arange(N) != where[b]
        expected = (after - before)[:, others].sum(dim=1)
        torch.testing.assert_close(change[b].view(H, K), expected, atol=1e-4, rtol=1e-3)


def test_a_token_that_had_all_the_attention_divides_by_nothing():
    parts = [torch.zeros((H, N, K)) for _ in range(3)]
    parts[0][:], parts[1][:, 2] = 10.0, 10.0
    zeros = torch.zeros((1, H, K))
    change = propagation._change_of_others(
        frozen_layer(parts, None), torch.tensor([2]), zeros, zeros
    )
    assert change.isfinite().all()


@pytest.mark.parametrize("name", ["tiny_t5", "tiny_bert", "prompted_bert"])
@pytest.mark.usefixtures("unproven")
def test_a_token_replaced_by_itself_moves_nothing(name, request):
    encoder = request.getfixturevalue(name)
    moving = TokenPropagation(encoder)
    [ids] = encoder.tokenize([STRING])
    still = moving.effects(moving.freeze(ids), range(len(ids)), ids)
    assert still.shape == (len(ids), 2 * encoder.dimension)
    rough = encoder.screening.dtype != "float32"
    assert still.norm(dim=1).max() < (0.02 if rough else 1e-5)


def one_layer(encoder):
    """Return the encoder with all layers but the first cut off."""
    model = copy.deepcopy(encoder.library_model)
    network = model[0].auto_model
    if hasattr(network.encoder, "block"):
        network.encoder.block = network.encoder.block[:1]
    else:
        network.encoder.layer = network.encoder.layer[:1]
    identity = dataclasses.replace(encoder.identity, name="one layer")
    return Encoder(model, identity, screening="float32")


@pytest.mark.parametrize("name", ["tiny_t5", "prompted_bert"])
@pytest.mark.usefixtures("unproven")
def test_the_own_path_is_exact_through_one_layer(name, request):
    encoder = one_layer(request.getfixturevalue(name))
    moving = TokenPropagation(encoder)
    [ids] = encoder.tokenize(["rewrite the story as a poem"])
    positions, tokens = [0, 2, len(ids) - 1], encoder.tokenize(["formal haiku sea"])[0]
    own = moving.effects(moving.freeze(ids), positions, tokens[:3])[:, : encoder.dimension]
    before = last_hidden(encoder, ids)
    with torch.no_grad():
        pooled = propagation._pool(encoder.library_model, before[None])[0]
    for row, made in enumerate(replaced(ids, positions, tokens[:3])):
        at = encoder.head_tokens + positions[row]
        moved = (last_hidden(encoder, made)[at] - before[at]) @ moving._tail
        expected = moved / (len(before) * pooled.norm())
        assert expected.norm() > 0.01
        torch.testing.assert_close(own[row], expected, atol=1e-5, rtol=1e-3)


def slope_at_context(encoder, ids, projection, token, direction):
    """Return d m / d (one token's context along a direction), by central differences."""
    vectors = []
    for step in (1e-2, -1e-2):

        def push(_module, inputs, step=step):
            moved = inputs[0].clone()
            moved[0, token] += step * direction
            return (moved,)

        hook = projection.register_forward_pre_hook(push)
        try:
            hidden = last_hidden(encoder, ids)
        finally:
            hook.remove()
        with torch.no_grad():
            vectors.append(propagation._pool(encoder.library_model, hidden[None])[0])
    return (vectors[0] - vectors[1]) / 2e-2


@pytest.mark.parametrize("name", ["tiny_t5", "tiny_bert"])
@pytest.mark.usefixtures("unproven")
def test_responses_equal_finite_differences(name, request):
    encoder = request.getfixturevalue(name)
    moving = TokenPropagation(encoder)
    network = encoder.library_model[0].auto_model.encoder
    projections = (
        [block.layer[0].SelfAttention.o for block in network.block]
        if name == "tiny_t5"
        else [layer.attention.output.dense for layer in network.layer]
    )
    [ids] = encoder.tokenize([propagation._PROBE])
    n = len(ids) + encoder.special_token_count
    assert len(moving._responses) == len(projections) == 2
    for response, projection in zip(moving._responses, projections, strict=True):
        direction = torch.randn(len(response), generator=torch.Generator().manual_seed(1))
        direction /= direction.norm()
        slopes = [
            slope_at_context(encoder, ids, projection, encoder.head_tokens + i, direction)
            for i in range(len(ids))
        ]
        expected = n * torch.stack(slopes).mean(dim=0)
        actual = direction @ response.float()
        assert (actual - expected).norm() < 0.02 * expected.norm()


@pytest.mark.usefixtures("unproven")
def test_the_tail_is_what_follows_the_pooling(tiny_t5, tiny_bert):
    dense = tiny_t5.library_model[2].linear.weight
    torch.testing.assert_close(TokenPropagation(tiny_t5)._tail, dense.T, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(TokenPropagation(tiny_bert)._tail, torch.eye(32), atol=1e-5, rtol=0)


def test_batches_are_the_sum_of_their_parts(tiny_t5, monkeypatch):
    moving = TokenPropagation(tiny_t5)
    [ids] = tiny_t5.tokenize([STRING])
    frozen = moving.freeze(ids)
    positions, tokens = [3, 0, 3, 7, 5, 1, 2], [30, 31, 32, 33, 34, 35, 36]
    whole = moving.effects(frozen, positions, tokens)
    pairs = zip(positions, tokens, strict=True)
    single = torch.cat([moving.effects(frozen, [i], [t]) for i, t in pairs])
    torch.testing.assert_close(single, whole, atol=1e-5, rtol=1e-4)
    monkeypatch.setitem(propagation._BATCH, "cpu", 3)
    torch.testing.assert_close(moving.effects(frozen, positions, tokens), whole)
    assert moving.effects(frozen, [], []).shape == (0, 2 * tiny_t5.dimension)


def test_predictions_agree_with_the_truth(minilm, minilm_propagation):
    ids = minilm.tokenize([TO_BE_EDITED])[0]
    assert len(ids) == 20
    rng = np.random.default_rng(5)
    positions = rng.integers(20, size=100).tolist()
    tokens = rng.integers(2_000, 30_000, size=100).tolist()
    frozen = minilm_propagation.freeze(ids)
    effects = minilm_propagation.effects(frozen, positions, tokens)
    [here] = minilm.encode_ids([ids])
    truth = minilm.encode_ids(replaced(ids, positions, tokens))
    moved = here + sum(effects.split(minilm.dimension, dim=1)).numpy()
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)

    changes = map(torch.from_numpy, (moved - here, truth - here))
    assert torch.cosine_similarity(*changes).mean() > 0.6
    asks = ("Rewrite this text as a formal", "Make the text sound like a funny")
    asks = (*asks, "Improve the tone:", "Turn the story into a sad", "Convert this into a short")
    things = "poem letter song joke essay story speech recipe email diary"
    prompts = [f"{ask} {thing}" for ask in asks for thing in things.split()]
    objective = ExpectedSCS(minilm.encode(prompts))
    assert spearmanr(objective.score(moved), objective.score(truth)).statistic > 0.8


def other_kind(folder, model_class, config):
    vocabulary = {piece: i for i, piece in enumerate(tiny_models.wordpiece_pieces())}
    tokenizer = BertTokenizer(vocab=vocabulary)
    config = config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        max_position_embeddings=tiny_models.READS + 8,
        pad_token_id=0,
        **SHAPE,
    )
    tiny_models._save(model_class, config, tokenizer, folder, torch.float32)
    return load_encoder(str(folder), device="cpu", screening="float32")


def test_a_vector_that_is_no_mean_is_not_propagable(tiny_bert):
    model = copy.deepcopy(tiny_bert.library_model)
    model[1] = modules.Pooling(32, pooling_mode="cls")
    with pytest.raises(NotPropagable, match="its vector is not pooled as a mean"):
        TokenPropagation(Encoder(model, tiny_bert.identity, screening="float32"))


def test_a_model_without_attention_is_not_propagable():
    with pytest.raises(NotPropagable, match="its attention cannot be exchanged"):
        TokenPropagation(FakeEncoder())


def test_a_model_that_attends_by_code_of_its_own_is_not_propagable(cache):
    encoder = other_kind(cache / "mpnet", MPNetModel, MPNetConfig)
    before = encoder.encode([STRING])
    with pytest.raises(NotPropagable, match="its attention cannot be exchanged"):
        TokenPropagation(encoder)
    np.testing.assert_array_equal(encoder.encode([STRING]), before)
    assert not (cache / "arrays").exists()


def test_positions_that_are_counted_from_behind_the_padding_s_are_known(cache):
    encoder = other_kind(cache / "roberta", RobertaModel, RobertaConfig)
    moving = TokenPropagation(encoder)
    [ids] = encoder.tokenize([STRING])
    assert moving.effects(moving.freeze(ids), range(len(ids)), ids).norm(dim=1).max() < 1e-5


def test_shared_keys_are_not_propagable():
    query, key = torch.zeros((1, 4, 5, 2)), torch.zeros((1, 2, 5, 2))
    with pytest.raises(NotPropagable, match="several heads share their keys"):
        Heads(query, key, key, None, None, 1.0).scores()


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("_PROOF_STILL", -1.0, "a token replaced by itself moves the vector by "),
        ("_PROOF_COSINE", 1.1, r"replacements are met with a cosine of 0\.\d\d only"),
    ],
)
def test_a_proof_that_fails_says_which(tiny_t5, monkeypatch, limit, value, reason):
    monkeypatch.setattr(propagation, limit, value)
    with pytest.raises(NotPropagable, match=reason):
        TokenPropagation(tiny_t5)


def test_responses_are_measured_once(tiny_t5, monkeypatch):
    first = TokenPropagation(tiny_t5)

    def fail(_self):
        raise AssertionError("measured again")

    monkeypatch.setattr(TokenPropagation, "_measure_responses", fail)
    again = TokenPropagation(tiny_t5)
    for one, other in zip(first._responses, again._responses, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(first._tail, again._tail)


def test_the_usual_attention_is_put_back_whatever_happens(tiny_t5):
    moving = TokenPropagation(tiny_t5)
    network = tiny_t5.screening_model[0].auto_model
    usual = network.config._attn_implementation
    before = tiny_t5.screen([STRING])
    [ids] = tiny_t5.tokenize([STRING])
    frozen = moving.freeze(ids)
    assert network.config._attn_implementation == usual != propagation._ATTENTION

    def fail(*_):
        assert network.config._attn_implementation == propagation._ATTENTION
        raise RuntimeError("in the middle")

    hook = network.encoder.block[1].register_forward_pre_hook(fail)
    try:
        for work in (lambda: moving.freeze(ids), lambda: moving.effects(frozen, [0], [40])):
            with pytest.raises(RuntimeError, match="in the middle"):
                work()
            assert network.config._attn_implementation == usual
    finally:
        hook.remove()
    np.testing.assert_array_equal(tiny_t5.screen([STRING]), before)
    with pytest.raises(LookupError, match="mean_prompt_attention"):
        propagation._ACTIVE.get()
