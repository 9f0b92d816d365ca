"""A local model: loading, batches, long texts, deadlines, memory, sampling."""

import shutil
from itertools import count
from pathlib import Path

import pytest
import torch

from mean_prompt.corpus import Rows
from mean_prompt.llm import local as llm_local
from mean_prompt.llm.base import Example
from mean_prompt.llm.chat import Sampler, WrittenAnswer
from mean_prompt.llm.instruction import EXAMPLE_LIMIT, TEXT_LIMIT, Question
from mean_prompt.llm.local import LocalPredictor
from mean_prompt.llm.options import LLMOptions
from mean_prompt.system import Deadline, InputError
from tests.llm.tiny_chat import READS, save_tiny_chat
from tests.tiny_models import WORDS

ROWS = Rows(
    tuple("abcde"),
    tuple(" ".join(WORDS[n : n + 7 * n + 1]) for n in range(5)),
    tuple(" ".join(WORDS[40 + n : 45 + 3 * n]) for n in range(5)),
)


def predictor(folder, **options):
    return LocalPredictor(
        str(folder), LLMOptions(**{"max_new_tokens": 5, "dtype": "float32"} | options), device="cpu"
    )


def texts(predictions):
    return {one.row: one.texts for one in predictions}


@pytest.fixture
def copy(chat_folder, tmp_path):
    """A copy of the tiny model, to be damaged."""
    return Path(shutil.copytree(chat_folder, tmp_path / "damaged"))


@pytest.mark.parametrize("sampling", [{}, {"samples": 3, "temperature": 1.0}])
def test_the_batch_changes_nothing(chat_folder, sampling):
    alone = texts(predictor(chat_folder, batch=1, **sampling).predict(ROWS))
    together = texts(predictor(chat_folder, batch=15, **sampling).predict(ROWS))
    assert alone == together
    assert len(set(alone.values())) == 5


def test_another_seed_draws_other_answers_and_none_is_global(chat_folder):
    state = torch.get_rng_state()
    drawn = [
        texts(predictor(chat_folder, temperature=1.0, seed=seed).predict(ROWS)) for seed in (1, 2)
    ]
    assert drawn[0] != drawn[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_draws_follow_the_softmax():
    scores = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).repeat(4000, 1)
    sampler = Sampler(range(4000), 2.0, torch.device("cpu"))
    shares = sampler(scores, scores).argmax(1).bincount(minlength=4) / 4000
    assert torch.allclose(shares, (scores[0] / 2).softmax(0), atol=0.03)


def test_long_texts_are_shortened_to_fit_and_counted(chat_folder):
    words = " ".join(WORDS)
    rows = Rows(("a", "b"), (f"{words} {words}", "the text"), (words, "a poem"))
    local = predictor(chat_folder)
    assert all(texts(local.predict(rows)).values())
    assert "texts shortened for the model: 1 rows" in local.notes()
    fitting = local._model.fit(0, Question(rows.originals[0], rows.rewritten[0]))
    assert READS * 0.6 < len(fitting.tokens) <= READS - 5


def test_examples_give_way_last_first(chat_folder):
    names = WORDS[:12]
    known = tuple(Example(" ".join(WORDS), " ".join(WORDS), name) for name in names)
    model = predictor(chat_folder)._model
    fitting = model.fit(0, Question("the text", "a poem", known))
    turns = model._tokenizer.decode(fitting.tokens).split("<|assistant|> ")[1:-1]
    shown = [turn.split()[0] for turn in turns]
    assert 0 < len(shown) < 12
    assert shown == list(names[: len(shown)])
    assert fitting.shortened


def test_a_row_that_cannot_fit_is_a_fault(tmp_path):
    folder = save_tiny_chat(tmp_path / "short", reads=40)
    rows = Rows(("a",), (" ".join(WORDS),), (" ".join(WORDS),))
    (found,) = predictor(folder).predict(rows)
    assert found.fault == "too long for the model's context"
    with pytest.raises(InputError, match="reads 40 tokens, found 64"):
        list(predictor(folder, max_new_tokens=64).predict(rows))


def test_texts_are_limited_whatever_the_model_reads():
    long = "x" * 10_000
    short = Question(long, "y", (Example(long, long, "z"),)).shortened(TEXT_LIMIT)
    assert (len(short.original), short.rewritten) == (TEXT_LIMIT, "y")
    assert len(short.examples[0].original) == EXAMPLE_LIMIT
    assert short.shortened(short.longest) == short


def ticking(limit):
    """Return a deadline by a clock that advances by one at each look."""
    ticks = count()
    return Deadline(limit, started=0, clock=lambda: next(ticks)), ticks


def test_a_deadline_within_an_answer_or_while_the_question_is_read_ends_it(chat_folder):
    deadline, ticks = ticking(40)
    local = predictor(chat_folder, max_new_tokens=400)
    assert list(local.predict(ROWS, deadline=deadline)) == []
    assert next(ticks) < 60
    assert list(local.predict(ROWS, deadline=ticking(4)[0])) == []
    assert not any(layer._forward_pre_hooks for layer in local._model._model.model.layers)


def test_answers_that_ended_before_the_deadline_are_kept(chat_folder, monkeypatch):
    local = predictor(chat_folder, max_new_tokens=300)
    model = local._model
    answers = [[WrittenAnswer("Sing it", ended=ended, cut=False)] for ended in (True, False)]
    monkeypatch.setattr(model, "answer", lambda _asked, _deadline: answers)
    assert len(list(local.predict(ROWS.take([0, 1])))) == 1


def test_a_batch_too_large_for_the_memory_is_halved(chat_folder, monkeypatch):
    whole = texts(predictor(chat_folder).predict(ROWS))
    local = predictor(chat_folder)
    answer, sizes = local._model.answer, []

    def small(asked, deadline):
        sizes.append(len(asked))
        if len(asked) > 1 or asked[0].row == 3:
            raise torch.OutOfMemoryError("of 8 GiB")
        return answer(asked, deadline)

    monkeypatch.setattr(local._model, "answer", small)
    found = {one.row: one for one in local.predict(ROWS)}
    assert sizes == [5, 2, 1, 1, 3, 1, 2, 1, 1]
    assert found.pop(3).fault == "out of memory: of 8 GiB"
    assert {row: one.texts for row, one in found.items()} == {n: whole[n] for n in (0, 1, 2, 4)}


def test_a_model_without_a_template_continues_a_text(base_folder):
    local = predictor(base_folder)
    assert len(texts(local.predict(ROWS))) == 5
    assert local.notes()[1] == "the model has no chat template: it continued a plain text"


def test_the_template_is_part_of_the_identity(chat_folder, copy):
    before = predictor(copy).identity.replace("damaged", "tiny-chat")
    assert before == predictor(chat_folder).identity
    (copy / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    assert predictor(copy).identity.replace("damaged", "tiny-chat") != before


def test_a_template_that_refuses_the_chat_is_named(tmp_path):
    folder = save_tiny_chat(tmp_path / "x", template="{{ raise_exception('one turn only') }}")
    with pytest.raises(InputError, match=r"turns of user and assistant: .* says one turn only"):
        list(predictor(folder).predict(ROWS))


def test_the_dtype_is_what_was_asked(chat_folder):
    local = predictor(chat_folder, dtype="bfloat16")
    assert len(texts(local.predict(ROWS))) == 5
    assert local._model._model.dtype == torch.bfloat16
    assert "bfloat16" in local.identity
    assert predictor(chat_folder).notes()[0] == "local model: tiny-chat, float32 on cpu"


@pytest.mark.parametrize(
    ("capabilities", "on_cpu"),
    [({"amx_bf16": True}, "bfloat16"), ({"avx512_f": True}, "float32"), (None, "float32")],
)
def test_the_default_dtype_follows_the_device(monkeypatch, capabilities, on_cpu):
    if capabilities is None:  # an older torch
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    else:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    chosen = {device: llm_local._choose_dtype("auto", device) for device in ("cpu", "cuda", "mps")}
    assert chosen == {"cpu": on_cpu, "cuda": "bfloat16", "mps": "float32"}


@pytest.mark.parametrize("missing", ["bitsandbytes", "accelerate"])
def test_four_bits_need_their_packages(chat_folder, monkeypatch, missing):
    monkeypatch.setattr(llm_local, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(InputError, match=rf"{missing} not .*: pip install 'mean-prompt\[quant"):
        predictor(chat_folder, four_bit=True)


@pytest.mark.parametrize(
    ("file", "message"),
    [("config.json", "lacks config.json"), ("tokenizer.json", "lacks a tokenizer"),
     ("model.safetensors", r"lacks \*.safetensors")],
)  # fmt: skip
def test_a_folder_must_be_whole(copy, file, message):
    (copy / file).unlink()
    with pytest.raises(InputError, match=message):
        predictor(copy)


def test_missing_shards_and_broken_models_are_refused_in_one_line(copy):
    index = '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}'
    (copy / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match=r"lacks model-2\.safetensors"):
        predictor(copy)
    (copy / "model.safetensors.index.json").unlink()
    (copy / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="the LLM damaged does not load") as caught:
        list(predictor(copy).predict(ROWS))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [("no/such/folder/here", "found neither"), ("some-lab/some-model", "connect once to cache it")],
)
def test_a_model_that_is_nowhere_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        LocalPredictor(name, device="cpu")
