import functools
import json
import os
import signal
import threading
import tomllib

import numpy as np
import optuna
import pytest
from sentence_transformers import SentenceTransformer

from benchmarks.grammar import generate
from mean_prompt import Corpus, ExpectedSCS, Recipe, RunError, score, search
from mean_prompt.encoder import token_strings
from mean_prompt.objective import compression
from mean_prompt.objective.compression import compress
from mean_prompt.optimize.constraints import is_readable
from mean_prompt.optimize.scores import Baseline
from mean_prompt.runs.study_file import STUDY_NAME

PROMPTS = [row["prompt"] for row in generate(120, seed=5)]


@pytest.fixture(scope="module")
def corpus():
    return Corpus.from_prompts(PROMPTS)


@pytest.fixture(scope="module")
def result(corpus, tiny_t5, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    reported = []
    found = search(
        corpus, max_evaluations=900, max_tokens=12, model=tiny_t5, out=out, listener=reported.append
    )
    return found, out, reported


def test_a_t5_shaped_model_goes_through_the_whole_search(result, corpus, tiny_t5):
    found, _, _ = result
    assert found.score > found.baselines[0].score
    assert 0 < found.fraction <= 1
    assert found.tokens <= 12
    assert len(tiny_t5.tokenize([found.string])[0]) == found.tokens
    everything = ExpectedSCS(tiny_t5.encode(corpus.prompts), corpus.weights)
    exact = float(everything.score(tiny_t5.encode([found.string]))[0])
    assert found.score == pytest.approx(exact, abs=1e-6)


def test_the_score_is_the_one_that_sentence_transformers_gives(result, corpus, tiny_t5_folder):
    found, out, _ = result
    model = SentenceTransformer(str(tiny_t5_folder), device="cpu")
    string = (out / "best.txt").read_text("utf-8")
    prompts, [vector] = (
        model.encode(texts, normalize_embeddings=True) for texts in (corpus.prompts, [string])
    )
    expected = float(((prompts @ vector).astype(np.float64) ** 3).mean())
    assert found.score == pytest.approx(expected, abs=1e-5)


def test_the_folder_holds_what_the_contract_says(result):
    found, out, _ = result
    assert {path.name for path in out.iterdir()} == {
        "best.txt", "result.json", "events.jsonl", "study.db", "recipe.toml", "checkpoint.bin",
        "analysis.json", "report.html",
    }  # fmt: skip
    assert (out / "best.txt").read_bytes() == found.string.encode()
    written = json.loads((out / "result.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(found.as_dict()))
    assert written["corpus"]["train"] + written["corpus"]["holdout"] == written["corpus"]["prompts"]
    assert written["model"]["content_hash"]
    recipe = tomllib.loads((out / "recipe.toml").read_text("utf-8"))
    assert recipe["constraints"]["max_tokens"] == 12
    assert Recipe.load(out / "recipe.toml").content_hash == written["recipe_hash"]
    study = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{out / 'study.db'}")
    assert study.trials


def test_events_and_listener_receive_every_improvement_in_order(result):
    found, out, reported = result
    events = [json.loads(line) for line in (out / "events.jsonl").read_text("utf-8").splitlines()]
    bests = [event for event in events if event["event"] == "best"]
    scores = [event["score"] for event in bests]
    assert scores == sorted(scores)
    assert bests[-1]["text"] == found.string
    assert all(event["evaluations"] <= found.evaluations for event in events)
    phases = list(dict.fromkeys(progress.phase for progress in reported))
    assert phases == ["loaded", "embedding", "searching", "vocabulary"]
    assert reported[-1].text == found.string
    assert any("prompts of 120 rows" in note for note in reported[0].notes)
    assert found.holdout_score is not None
    assert found.holdout_interval.low < found.holdout_score < found.holdout_interval.high
    assert found.train_score != found.holdout_score


def test_the_same_seed_and_evaluations_repeat_the_run(corpus, tiny_t5, result):
    again = search(corpus, max_evaluations=900, max_tokens=12, model=tiny_t5)
    other = search(corpus, max_evaluations=300, max_tokens=12, model=tiny_t5, seed=1)
    assert (again.string, again.score) == (result[0].string, result[0].score)
    assert other.string != again.string


def test_without_a_holdout_everything_is_trained_on(corpus, tiny_t5):
    recipe = Recipe().override(corpus={"holdout": 0.0})
    found = search(corpus, max_evaluations=200, max_tokens=6, model=tiny_t5, recipe=recipe)
    assert found.holdout_score is None
    assert found.holdout_interval is None
    assert found.train_score == pytest.approx(found.score, abs=1e-6)


def test_weights_count(tiny_t5):
    heavy = [1000.0, *[1.0] * (len(PROMPTS) - 1)]
    corpus = Corpus.from_prompts(PROMPTS, weights=heavy)
    # Nearly all the weight is on one prompt, so that prompt nearly reaches the ceiling.
    scored = score([PROMPTS[0]], corpus, model=tiny_t5)[0]
    assert scored.fraction > 0.9


def test_a_budget_that_ends_while_embedding_says_so(corpus, tiny_t5, monkeypatch, tmp_path):
    monkeypatch.setenv("MEAN_PROMPT_CACHE", str(tmp_path))
    with pytest.raises(RunError, match=r"must outlast the embedding: it ended at 0 of 120 prompts"):
        search(corpus, budget="1s", model=tiny_t5, max_tokens=6, started=-1e6)


def test_no_start_under_the_constraints_says_so(corpus, tiny_t5):
    everything = sorted({word for prompt in PROMPTS for word in prompt.lower().split()})
    limits = {"banned_words": everything, "banned_tokens": ["▁"], "max_tokens": 3}
    hopeless = Recipe().override(constraints=limits)
    with pytest.raises(RunError, match="no prompt of the corpus keeps to the constraints"):
        search(corpus, max_evaluations=50, model=tiny_t5, recipe=hopeless)


@pytest.mark.parametrize(
    ("text", "is_allowed"), [("make it formal", True), ("make it formal " * 9, False)]
)
def test_a_baseline_that_obeys_the_rules_and_scores_higher_is_the_result(
    corpus, tiny_t5, monkeypatch, text, is_allowed
):
    baseline, notes = Baseline("best corpus prompt", text, 0.99), []
    monkeypatch.setattr("mean_prompt.runs.session.score_baselines", lambda *_: [baseline])
    found = search(
        corpus,
        max_evaluations=60,
        max_tokens=8,
        model=tiny_t5,
        listener=lambda progress: notes.extend(progress.notes),
    )
    assert (found.string == text) is is_allowed
    assert (found.score == 0.99) is is_allowed
    said = [note for note in notes if "better string than the best corpus prompt" in note]
    assert len(said) == is_allowed


def test_an_interrupt_ends_the_search_with_everything_saved(corpus, tiny_t5, tmp_path):
    out = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)

    sent = []

    def interrupt_once(progress):
        if progress.phase == "searching" and progress.done > 300 and not sent:
            sent.append(progress.done)
            os.kill(os.getpid(), signal.SIGINT)

    found = search(
        corpus, budget="10m", max_tokens=8, model=tiny_t5, out=out, listener=interrupt_once
    )
    assert found.stopped
    assert (out / "best.txt").read_text("utf-8") == found.string
    assert json.loads((out / "result.json").read_text("utf-8"))["stopped"] is True
    assert signal.getsignal(signal.SIGINT) is before


def test_a_search_runs_outside_the_main_thread_too(corpus, tiny_t5):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(
            search(corpus, max_evaluations=150, max_tokens=6, model=tiny_t5)
        )
    )
    thread.start()
    thread.join()
    assert found[0].score > 0


def test_on_a_real_model_it_beats_every_prompt_and_stays_readable(minilm):
    """With the tokens of the prompts alone: to embed all 30,000 takes most of a minute."""
    corpus = Corpus.from_prompts([row["prompt"] for row in generate(100, seed=9)])
    entries = token_strings(minilm.tokenizer)
    used = {entries[token] for ids in minilm.tokenize(corpus.prompts) for token in ids}
    limits = {"max_tokens": 10, "banned_tokens": sorted(set(entries) - used)}
    recipe = Recipe.load("readable").override(constraints=limits)
    recipe = Recipe.parse(recipe.model_dump() | {"search": {"max_evaluations": 200}}, where="test")
    found = search(corpus, model=minilm, recipe=recipe)
    assert found.score > 1.1 * found.baselines[0].score
    assert is_readable(found.string)
    assert found.tokens <= 10


def test_a_compressed_search_reports_scores_over_every_prompt(
    corpus, tiny_t5, tmp_path, monkeypatch
):
    monkeypatch.setattr(compression, "COMPRESS_ABOVE", 60)
    monkeypatch.setattr(compression, "compress", functools.partial(compress, points=20))
    reported, out = [], tmp_path / "run"
    found = search(
        corpus, max_evaluations=900, max_tokens=8, model=tiny_t5, out=out, listener=reported.append
    )
    everything = ExpectedSCS(tiny_t5.encode(corpus.prompts), corpus.weights)
    split = corpus.split(0.2)
    train = ExpectedSCS(tiny_t5.encode(corpus.prompts)[split.train], corpus.weights[split.train])

    def exact(objective, text):
        return pytest.approx(float(objective.score(tiny_t5.encode([text]))[0]), rel=1e-5)

    assert found.score == exact(everything, found.string)
    assert found.train_score == exact(train, found.string)
    assert found.ceiling == pytest.approx(everything.ceiling().value, rel=1e-4)
    assert found.score > found.baselines[0].score
    best = everything.score(tiny_t5.encode(corpus.prompts)).max()
    assert found.baselines[0].score == pytest.approx(best, rel=1e-5)
    events = [json.loads(line) for line in (out / "events.jsonl").read_text("utf-8").splitlines()]
    assert all(event["score"] == exact(train, event["text"]) for event in events)
    assert {event["event"] for event in events} == {"best", "stage", "climb"}
    record = json.loads((out / "result.json").read_text("utf-8"))["compression"]
    assert (record["prompts"], record["points"]) == (len(split.train), 20)
    assert 0 < record["step_error"] < 0.1
    notes = [note for progress in reported for note in progress.notes]
    assert any(note.startswith("searching on 20 of ") for note in notes)
