import json
import os
import signal
import time

import numpy as np
import pytest

from mean_prompt import Context, InputError, Recipe, RunError, search, search_affix
from mean_prompt.optimize.affix.problem import shift_ceiling
from mean_prompt.optimize.budget import Budget
from mean_prompt.runs.affix_session import AffixSession
from mean_prompt.runs.folder import RunFolder
from mean_prompt.runs.inputs import SearchInputs
from mean_prompt.runs.result import SearchResult
from tests.fakes import WORDS, FakeEncoder

#: Prompts that stand in the rows, the first of them often.
TRUTHS = ["formal text poem", *(f"{a} {b} text poem" for a in WORDS[:6] for b in WORDS[5:])]


def make_context(*, hidden=" poem"):
    """Predictions that lack the one word that all true prompts end with."""
    prompts = [TRUTHS[number % len(TRUTHS)] for number in range(60)]
    return Context.from_pairs([prompt.removesuffix(hidden) for prompt in prompts], prompts)


def make_recipe(tokens=2, **sections):
    fixed = {"constraints": {"max_tokens": tokens}, "context": {"max_tokens": 14}}
    return Recipe().override(**fixed).override(**sections)


def run(rows=None, *, evaluations=4_000, out=None, encoder=None, **sections):
    reported = []
    inputs = SearchInputs(
        rows or make_context(),
        encoder or FakeEncoder(dimension=12),
        make_recipe(**sections),
        Budget(None, evaluations),
        RunFolder(out) if out else None,
        reported.append,
    )
    found, _, _ = AffixSession(inputs).run()
    if inputs.folder:
        inputs.folder.close()
    return found, reported


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    found, reported = run(out=out)
    return found, out, reported


def test_it_finds_the_word_that_predictions_lack(result):
    found, _, _ = result
    assert "poem" in found.string
    assert found.context.train.ratio > 1.05
    assert found.context.holdout.affixed > found.context.holdout.without
    # The scores are those of the joined strings.
    context, encoder = make_context(), FakeEncoder(dimension=12)

    def score(rows, affix):
        joined = [f"{context.predictions[row]} {affix}".strip() for row in rows]
        truths = encoder.encode([context.prompts[row] for row in rows])
        return ((encoder.encode(joined) * truths).sum(axis=1) ** 3).mean()

    split = context.split(0.2, seed=0)
    scores = found.context
    sides = [(split.train, scores.train), (split.holdout, scores.holdout)]
    for rows, side in [*sides, (np.arange(len(context)), scores.everything)]:
        assert side.rows == len(rows)
        assert side.groups == len({context.prompts[row] for row in rows})
        assert side.without == pytest.approx(score(rows, ""), abs=1e-5)
        assert side.affixed == pytest.approx(score(rows, found.string), abs=1e-5)
        assert side.low <= side.affixed - side.without <= side.high
    assert found.score == scores.everything.affixed
    assert found.train_score == scores.train.affixed
    assert found.holdout_score == scores.holdout.affixed
    assert found.holdout_interval.low < found.holdout_score < found.holdout_interval.high


def test_the_folder_holds_what_the_contract_says(result):
    found, out, _ = result
    names = {path.name for path in out.iterdir()}
    assert names == {
        "best.txt", "result.json", "events.jsonl", "recipe.toml", "checkpoint.bin",
    }  # fmt: skip
    assert (out / "best.txt").read_bytes() == found.string.encode()
    written = json.loads((out / "result.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(found.as_dict()))
    assert written["corpus"]["rows"] == 60
    assert written["context"]["train"]["rows"] == written["corpus"]["train"]
    assert Recipe.load(out / "recipe.toml").content_hash == written["recipe_hash"]
    assert written["fraction"] == pytest.approx(written["score"] / written["ceiling"])
    again = SearchResult.load(out)
    assert again.context == found.context
    assert again.as_dict() == found.as_dict()


def test_while_it_runs_shares_are_of_the_training_rows_ceiling(result):
    found, out, reported = result
    context, encoder = make_context(), FakeEncoder(dimension=12)
    train = context.split(0.2, seed=0).train
    predictions, truths = (
        encoder.encode([texts[row] for row in train])
        for texts in (context.predictions, context.prompts)
    )
    share = found.train_score / shift_ceiling(predictions, truths)
    event = json.loads((out / "events.jsonl").read_text("utf-8").splitlines()[-1])
    assert event["fraction"] == pytest.approx(share, rel=1e-3)
    assert reported[-1].fraction == pytest.approx(share, rel=1e-3)


def test_events_and_listener_receive_every_improvement_from_none_on(result):
    found, out, reported = result
    events = [json.loads(line) for line in (out / "events.jsonl").read_text("utf-8").splitlines()]
    assert events[0]["text"] == ""
    assert events[-1]["text"] == found.string
    values = [event["value"] for event in events]
    assert values == sorted(values)
    assert events[-1]["score"] == pytest.approx(found.train_score)
    phases = list(dict.fromkeys(progress.phase for progress in reported))
    assert phases == ["loaded", "embedding", "vocabulary", "searching"]
    assert reported[-1].text == found.string


def test_rows_held_out_do_not_reach_the_search():
    context = make_context()
    held = set(context.split(0.5, seed=0).holdout.tolist())
    # Nonsense on the other side alone: what is found on this one must stay the same.
    spoilt = Context.from_pairs(
        ["tone tone" if row in held else text for row, text in enumerate(context.predictions)],
        context.prompts,
    )
    first, second = (
        run(some, evaluations=2_000, corpus={"holdout": 0.5})[0] for some in (context, spoilt)
    )
    assert first.string == second.string
    assert first.train_score == second.train_score
    assert first.holdout_score != second.holdout_score


def test_the_same_seed_and_evaluations_repeat_the_run(result):
    again, _ = run()
    other, _ = run(search={"seed": 1})
    assert (again.string, again.score) == (result[0].string, result[0].score)
    assert again.evaluations == result[0].evaluations
    assert other.context.train != again.context.train


def test_without_a_holdout_all_rows_are_searched():
    found, _ = run(evaluations=1_000, corpus={"holdout": 0.0})
    assert found.holdout_score is None
    assert found.holdout_interval is None
    assert found.context.holdout is None
    assert found.train_score == pytest.approx(found.score)


def test_where_no_affix_helps_it_says_none(tmp_path):
    prompts = make_context().prompts
    found, _ = run(Context.from_pairs(prompts, prompts), evaluations=1_500, out=tmp_path / "run")
    assert found.string == ""
    assert found.tokens == 0
    assert found.score == pytest.approx(1.0, abs=1e-5)
    assert (tmp_path / "run" / "best.txt").read_bytes() == b""


@pytest.mark.parametrize("position", ["suffix", "prefix"])
def test_the_affix_stands_where_it_is_asked_for(position):
    encoder, seen = FakeEncoder(dimension=12), []
    screen = encoder.screen

    def listen(texts):
        seen.extend(texts)
        return screen(texts)

    encoder.screen = listen
    run(evaluations=400, encoder=encoder, tokens=1, context={"position": position})
    prediction = make_context().predictions[0]
    sides = {
        "suffix": {f"{prediction} {word}" for word in WORDS if word != "poem"},
        "prefix": {f"{word} {prediction}" for word in WORDS if word != "poem"},
    }
    for side, texts in sides.items():
        assert bool(texts.intersection(seen)) == (side == position)


def test_a_deadline_is_kept_with_a_slow_model(tmp_path):
    class Slow(FakeEncoder):
        def encode_ids(self, ids):
            time.sleep(len(ids) / 2_000)
            return super().encode_ids(ids)

        def encode(self, texts):
            return self.encode_ids(self.tokenize(texts))

        screen = encode
        screen_ids = encode_ids

    began = time.monotonic()
    budget = Budget(3.0, None, started=began)
    folder = RunFolder(tmp_path / "run")
    inputs = SearchInputs(make_context(), Slow(dimension=12), make_recipe(), budget, folder)
    AffixSession(inputs).run()
    # A busy machine is late; a search that does not look at the clock never ends.
    assert time.monotonic() - began < 5
    assert budget.evaluations > 200


def test_an_interrupt_ends_the_search_with_everything_saved(tiny_bert, tmp_path):
    sent = []

    def interrupt_once(progress):
        if progress.phase == "searching" and not sent:
            sent.append(progress.done)
            os.kill(os.getpid(), signal.SIGINT)

    out = tmp_path / "run"
    found = search_affix(
        make_context(), budget="10m", max_tokens=4, model=tiny_bert, out=out,
        listener=interrupt_once,
    )  # fmt: skip
    assert found.stopped
    assert (out / "best.txt").read_text("utf-8") == found.string
    assert json.loads((out / "result.json").read_text("utf-8"))["stopped"] is True


def test_a_budget_that_ends_while_embedding_says_so(tiny_bert, monkeypatch, tmp_path):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    with pytest.raises(RunError, match=r"must outlast the embedding: it ended at 58 of 120 texts"):
        search_affix(make_context(), budget="1s", model=tiny_bert, max_tokens=6, started=-1e6)


def test_an_affix_must_leave_room_for_predictions():
    with pytest.raises(InputError, match=r"it may have 14 of the 14 tokens"):
        run(tokens=14)


def test_a_search_takes_a_corpus_or_a_context(tmp_path):
    with pytest.raises(InputError, match=r"without a corpus: found some\.csv"):
        search_affix(make_context(), recipe=Recipe().override(corpus={"sources": ("some.csv",)}))
    with pytest.raises(InputError, match=r"call search_affix"):
        search(tmp_path, recipe=Recipe().override(context={"triples": "some.csv"}))
    with pytest.raises(InputError, match=r"give a context"):
        search_affix()


def test_the_ceiling_is_what_one_shift_reaches():
    predictions = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
    predictions /= np.linalg.norm(predictions, axis=1, keepdims=True)
    truths = predictions + np.array([0.5, 0, 0, 0, 0, 0], np.float32)
    truths /= np.linalg.norm(truths, axis=1, keepdims=True)
    assert ((predictions * truths).sum(axis=1) ** 3).mean() < 0.9
    assert shift_ceiling(predictions, truths) == pytest.approx(1.0, abs=1e-3)
