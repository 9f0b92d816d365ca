"""A worker takes its study's plan, and nothing else on trust."""

import json
import os
import signal
import time

import pytest
import torch

from benchmarks.grammar import generate
from mean_prompt import Corpus, InputError, Recipe
from mean_prompt.optimize import study as study_module
from mean_prompt.workers import worker as module
from mean_prompt.workers.plan import Plan
from mean_prompt.workers.registry import Registry
from mean_prompt.workers.storage_url import StorageURL
from mean_prompt.workers.store import open_storage
from mean_prompt.workers.study_store import StudyStore, close_storage
from mean_prompt.workers.worker import Assignment, Worker

PROMPTS = [row["prompt"] for row in generate(60, seed=5)]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(study_module, "_LEAST_RIVAL", 100)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def corpus_file(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS))
    return path


@pytest.fixture
def make_study(tmp_path, corpus_file, tiny_t5, tiny_t5_folder):
    """Begin a study as a conductor does, and return its storage's URL."""
    url = StorageURL.of_file(tmp_path / "study.db")

    def make(*, evaluations=900, crew=2, **sections):
        recipe = Recipe.parse(
            {
                "corpus": {"sources": [str(corpus_file)]},
                "model": {"name": str(tiny_t5_folder)} | sections.pop("model", {}),
                "constraints": {"max_tokens": 8},
                "study": {"climb_evaluations": 150, "rivals": 2},
            }
            | sections,
            where="test",
        )
        storage = open_storage(url, make=True)
        plan = Plan.of(recipe, Corpus.from_files(corpus_file), tiny_t5)
        registry = Registry(storage.engine, "study")
        registry.begin(plan.as_dict(), crew=crew, seconds=None, max_evaluations=evaluations)
        close_storage(storage)
        return url

    return make


@pytest.fixture(autouse=True)
def one_model(monkeypatch, tiny_t5):
    """Load the tiny model once; return how it was asked for."""
    asked = []

    def load(name=None, **options):
        asked.append((name, options))
        return tiny_t5

    monkeypatch.setattr("mean_prompt.runs.recipe.load_encoder", load)
    return asked


def look(url):
    """Return the news of a study and its climbs."""
    storage = open_storage(url, make=False)
    try:
        recipe = Recipe.parse({"study": {"climb_evaluations": 150, "rivals": 2}}, where="test")
        climbs = StudyStore(storage, "study", recipe.study).records()
        return Registry(storage.engine, "study").look(), climbs
    finally:
        close_storage(storage)


def test_a_worker_spends_the_budget_and_hands_its_climbs_in(make_study, tmp_path):
    url = make_study()
    result = Worker(Assignment(url, "study", tmp_path / "w")).run()
    news, climbs = look(url)
    [row] = news.workers
    assert result.evaluations >= 900
    assert row.report.phase == "ended"
    assert row.report.evaluations == result.evaluations
    assert row.report.elite["score"] == pytest.approx(result.score)
    assert row.report.text == result.text
    assert [climb.key for climb in climbs] == [(0, number) for number in range(len(climbs))]
    assert len(climbs) == result.climbs == row.report.climbs
    assert sum(climb.evaluations for climb in climbs) <= result.evaluations
    assert result.waiting == 0
    assert f"worker 0: {result.evaluations:,} evaluations" in result.line()


def test_the_crew_shares_the_rivals_of_a_round(make_study, tmp_path):
    url = make_study(crew=2, evaluations=400)
    Worker(Assignment(url, "study", tmp_path / "w")).run()
    _, climbs = look(url)
    assert {climb.ended for climb in climbs} == {"complete"}


def test_two_workers_climb_differently_and_count_together(make_study, tmp_path):
    url = make_study(evaluations=600)
    first = Worker(Assignment(url, "study", tmp_path / "a")).run()
    # The budget is spent: whoever comes later has nothing to do, and says so.
    second = Worker(Assignment(url, "study", tmp_path / "b")).run()
    assert (first.number, second.number) == (0, 1)
    assert second.climbs <= 1
    news, _ = look(url)
    assert sum(row.report.evaluations for row in news.workers) < 600 + 2 * 120


def test_seeds_follow_from_the_worker_and_the_climb(make_study, tmp_path):
    texts = []
    for name in ("a", "b"):
        url = make_study(evaluations=200)
        texts.append(Worker(Assignment(url, "study", tmp_path / name)).run().text)
        url.path.unlink()
    assert texts[0] == texts[1]


def test_a_worker_that_was_stopped_takes_up_its_climb(make_study, tmp_path):
    url, heard = make_study(evaluations=1_500), []

    def stop(progress):
        heard.append(progress)
        if progress.phase == "searching" and progress.done > 500 and len(heard) % 4 == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    first = Worker(Assignment(url, "study", tmp_path / "w"), listener=stop).run()
    assert first.evaluations < 1_000
    notes = []
    second = Worker(
        Assignment(url, "study", tmp_path / "w"),
        listener=lambda progress: notes.extend(progress.notes),
    ).run()
    assert second.number == first.number == 0
    assert second.evaluations >= 1_500
    assert any(note.startswith(f"resumed at {first.evaluations:,} evaluations") for note in notes)
    news, climbs = look(url)
    assert len(news.workers) == 1
    assert len({climb.key for climb in climbs}) == len(climbs) == second.climbs


def test_a_worker_elsewhere_names_its_own_files(make_study, tmp_path, corpus_file, one_model):
    url = make_study(evaluations=150)
    moved = tmp_path / "elsewhere.jsonl"
    moved.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    corpus_file.unlink()
    Worker(Assignment(url, "study", tmp_path / "w", corpus=(str(moved),), model="mine")).run()
    assert [name for name, _ in one_model] == ["mine"]


def test_the_study_cannot_make_a_worker_run_a_models_code(make_study, tmp_path, one_model):
    url = make_study(evaluations=150, model={"trust": True})
    Worker(Assignment(url, "study", tmp_path / "a")).run()
    Worker(Assignment(url, "study", tmp_path / "b", trust=True)).run()
    assert [options["trust"] for _, options in one_model] == [False, True]


# What is refused


def test_another_corpus_is_refused_before_a_model_is_loaded(
    make_study, tmp_path, corpus_file, one_model
):
    url = make_study()
    corpus_file.write_text("\n".join(PROMPTS[:-1]))
    with pytest.raises(InputError, match=r"the study's own corpus: found 59 prompts with"):
        Worker(Assignment(url, "study", tmp_path / "w")).run()
    assert one_model == []
    assert look(url)[0].workers == []


def test_another_model_is_refused_and_seen_to_have_failed(
    make_study, tmp_path, tiny_bert, monkeypatch
):
    url = make_study()
    monkeypatch.setattr("mean_prompt.runs.recipe.load_encoder", lambda *_, **__: tiny_bert)
    with pytest.raises(InputError, match=r"must hold the study's own model: found .* the study's"):
        Worker(Assignment(url, "study", tmp_path / "w")).run()
    [row] = look(url)[0].workers
    assert row.report.phase == "failed"


def test_a_study_that_is_not_there_is_refused(make_study, tmp_path):
    url = make_study()
    with pytest.raises(InputError, match="there is no 'other' in it"):
        Worker(Assignment(url, "other", tmp_path / "w")).run()


def test_a_folder_of_another_study_is_refused(make_study, tmp_path):
    url = make_study(evaluations=150)
    Worker(Assignment(url, "study", tmp_path / "w")).run()
    url.path.unlink()
    make_study(evaluations=150)
    with pytest.raises(InputError, match=r"a worker's folder is of one study: .*w is of another"):
        Worker(Assignment(url, "study", tmp_path / "w")).run()


@pytest.mark.parametrize("content", ["", "[]", '{"run": 1}', '{"run": "x", "number": "one"}'])
def test_a_damaged_folder_is_refused(make_study, tmp_path, content):
    url = make_study()
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "worker.json").write_text(content)
    with pytest.raises(InputError, match=r"must be whole: .*worker\.json cannot be read; give"):
        Worker(Assignment(url, "study", tmp_path / "w")).run()


def test_two_workers_in_one_folder_are_refused(make_study, tmp_path):
    url = make_study()

    def listen(progress):
        if progress.phase == "searching":
            with pytest.raises(InputError, match="at a time: another one is at work in"):
                Worker(Assignment(url, "study", tmp_path / "w")).run()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Worker(Assignment(url, "study", tmp_path / "w"), listener=listen).run()


def test_a_worker_without_a_folder_takes_that_of_one_that_died(make_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = make_study(evaluations=1_000)

    def die(progress):
        if progress.phase == "searching" and progress.done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Worker(Assignment(url, "study"), listener=die).run()
    folder = tmp_path / "results" / "workers" / "study" / "0"
    assert (folder / "worker.json").is_file()
    result = Worker(Assignment(url, "study")).run()
    assert result.number == 0
    assert [path.name for path in folder.parent.iterdir()] == ["0"]
    # The run is over, and a new one of the same name gets a folder of its own.
    url.path.unlink()
    make_study(evaluations=150)
    Worker(Assignment(url, "study")).run()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["0", "1"]


def test_a_study_name_is_never_a_path(make_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from mean_prompt.workers.place import _free_folder

    make_study()
    for name in ("../../etc", "/etc/passwd", "..", "a/b", "", "x" * 500):
        folder = _free_folder(name, "run").resolve()
        assert folder.parent.parent == tmp_path / "results" / "workers"


def test_a_tethered_worker_ends_with_its_parent(make_study, tmp_path, monkeypatch):
    url = make_study(evaluations=10**9)
    read, write = os.pipe()
    monkeypatch.setattr(module, "_STANDARD_INPUT", read)

    def hang_up(progress):
        nonlocal write
        if progress.phase == "searching" and progress.done > 200 and write:
            os.close(write)
            write = 0

    began = time.monotonic()
    result = Worker(Assignment(url, "study", tmp_path / "w", tethered=True), listener=hang_up).run()
    os.close(read)
    assert time.monotonic() - began < 60
    assert result.evaluations < 10**6
    assert look(url)[0].workers[0].report.phase == "ended"
