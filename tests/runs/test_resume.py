"""An interrupted run ends as one that was not, and a run is only resumed with what is its own."""

import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path

import optuna
import pytest
import torch

from benchmarks.grammar import generate
from mean_prompt import Corpus, InputError, Recipe, RunError, search, search_affix
from mean_prompt.optimize.affix.context import Context
from mean_prompt.runs import checkpoint as checkpoint_module
from mean_prompt.runs.checkpoint import Checkpoint
from mean_prompt.runs.study_file import STUDY_NAME
from tests.processes import Command

PROMPTS = [row["prompt"] for row in generate(60, seed=5)]
#: Climbs short enough for several in a test, with draws by Optuna's model among them.
RECIPE = Recipe.parse({"study": {"climb_evaluations": 60}}, where="test")
ASKED = {"max_evaluations": 480, "max_tokens": 8, "recipe": RECIPE}


class Killed(BaseException):
    """As SIGKILL, but for this process: nothing of the search's own runs after it."""


def kill_after(steps):
    """Return a listener that kills a search at a step."""
    left = itertools.count(steps, -1)

    def listen(progress):
        if progress.phase == "searching" and next(left) <= 0:
            raise Killed

    return listen


def interrupt_once(*, after):
    """Return a listener that sends SIGINT once so many strings are encoded."""
    left = iter([signal.SIGINT])

    def listen(progress):
        if progress.phase == "searching" and progress.done > after:
            for number in left:
                os.kill(os.getpid(), number)

    return listen


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Leave the pages out, which take longer than the search.

    Threads that wait for each other on a busy machine take longer than these few numbers.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_analysis", "write_affix_analysis", "write_report"):
            patch.setattr(f"mean_prompt.api.{name}", lambda *_: None)
        patch.setattr("mean_prompt.api.CorpusSpace.of_problem", lambda *_: None)
        patch.setattr("mean_prompt.api.analyse_affix", lambda *_, **__: None)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def saves(monkeypatch):
    """Save after every third step, however fast these are; the count of steps goes on."""
    steps = itertools.count(1)
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: next(steps) % 3 == 0)


@pytest.fixture(scope="module")
def corpus():
    return Corpus.from_prompts(PROMPTS)


@pytest.fixture(scope="module")
def undisturbed(corpus, tiny_t5, tmp_path_factory):
    return search(corpus, model=tiny_t5, out=tmp_path_factory.mktemp("runs") / "whole", **ASKED)


def events(folder):
    """Return a run's events but for the time, and but for those of resuming."""
    lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    return [
        {name: value for name, value in event.items() if name != "time"}
        for event in map(json.loads, lines)
        if event["event"] != "resume"
    ]


def trials(folder):
    study = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{folder / 'study.db'}")
    return [
        (trial.state.name, trial.params, trial.value, trial.intermediate_values)
        for trial in study.trials
    ]


def assert_same(found, whole):
    assert (found.string, found.score) == (whole.string, whole.score)
    assert found.evaluations == whole.evaluations
    assert (found.out / "best.txt").read_text("utf-8") == found.string
    assert events(found.out) == events(whole.out)


def killed_and_resumed(find, out, moments):
    """Run a search that is killed at the given steps of its processes, and return its result."""
    for number, steps in enumerate(moments):
        with pytest.raises(Killed):
            find(out=out, resume=number > 0, listener=kill_after(steps))
        with (out / "events.jsonl").open("a") as file:
            file.write('{"event": "be')  # as a crash leaves a line
    return find(out=out, resume=True)


def test_a_run_that_is_killed_ends_as_one_that_was_not(corpus, tiny_t5, undisturbed, tmp_path):
    def find(**how):
        return search(corpus, model=tiny_t5, **how, **ASKED)

    found = killed_and_resumed(find, tmp_path / "run", [2, 1, 7, 5])
    assert_same(found, undisturbed)
    assert trials(found.out) == trials(undisturbed.out)
    assert {state for state, *_ in trials(found.out)} <= {"COMPLETE", "PRUNED"}


def test_an_affix_that_is_killed_ends_as_one_that_was_not(tiny_t5, tmp_path):
    prompts = PROMPTS[:24]
    context = Context.from_pairs([" ".join(prompt.split()[:3]) for prompt in prompts], prompts)

    def find(**how):
        return search_affix(context, max_evaluations=3_000, max_tokens=4, model=tiny_t5, **how)

    whole = find(out=tmp_path / "whole")
    assert_same(killed_and_resumed(find, tmp_path / "run", [0, 1, 2]), whole)


def test_an_interrupted_run_is_saved_and_continues(corpus, tiny_t5, undisturbed, tmp_path):
    out, before = tmp_path / "run", signal.getsignal(signal.SIGINT)
    interrupt = interrupt_once(after=200)
    first = search(corpus, model=tiny_t5, out=out, listener=interrupt, **ASKED)
    assert signal.getsignal(signal.SIGINT) is before
    assert first.stopped
    assert json.loads((out / "result.json").read_text("utf-8"))["stopped"] is True
    assert (out / "best.txt").read_text("utf-8") == first.string
    assert 0 < first.evaluations < undisturbed.evaluations
    second = search(corpus, model=tiny_t5, out=out, resume=True, **ASKED)
    assert not second.stopped
    assert (second.string, second.evaluations) == (undisturbed.string, undisturbed.evaluations)
    assert trials(out) == trials(undisturbed.out)


@pytest.mark.parametrize("kind", ["string", "affix"])
def test_the_best_string_is_kept_though_its_way_was_not_saved(
    kind, corpus, tiny_t5, tmp_path, monkeypatch
):
    monkeypatch.setattr(Checkpoint, "is_due", lambda _: False)
    out = tmp_path / "run"
    if kind == "string":

        def find(**how):
            return search(corpus, model=tiny_t5, out=out, **how, **ASKED)
    else:
        context = Context.from_pairs([text.split()[0] for text in PROMPTS], PROMPTS)

        def find(**how):
            asked = {"max_evaluations": 20_000, "max_tokens": 4, "model": tiny_t5}
            return search_affix(context, out=out, **how, **asked)

    with pytest.raises(Killed):
        find(listener=kill_after(8 if kind == "string" else 2))
    best = [event for event in events(out) if event["event"] == "best"][-1]
    assert best["move"] != "start"

    found = find(resume=True, listener=interrupt_once(after=0))
    assert found.stopped
    assert found.string == best["text"] == (out / "best.txt").read_text("utf-8")
    assert found.train_score == pytest.approx(best["score"], abs=1e-6)
    assert events(out)[-1]["text"] == best["text"]


def test_what_is_resumed_is_reported_and_written_down(corpus, tiny_t5, tmp_path):
    out, notes = tmp_path / "run", []
    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, listener=kill_after(8), **ASKED)
    saved = Checkpoint(out / "checkpoint.bin").saved["evaluations"]
    search(
        corpus, model=tiny_t5, out=out, resume=True,
        listener=lambda progress: notes.extend(progress.notes), **ASKED,
    )  # fmt: skip
    [note] = [note for note in notes if note.startswith("resumed")]
    assert note.startswith(f"resumed at {saved:,} evaluations and ")
    lines = (out / "events.jsonl").read_text("utf-8").splitlines()
    [resumed] = [event for event in map(json.loads, lines) if event["event"] == "resume"]
    assert (resumed["number"], resumed["evaluations"]) == (1, saved)


def test_a_finished_run_gives_its_result_again_without_a_model(corpus, undisturbed, monkeypatch):
    monkeypatch.setattr(
        "mean_prompt.runs.recipe.ModelSection.load", lambda _: pytest.fail("a model was loaded")
    )
    again = search(corpus, out=undisturbed.out, resume=True)
    assert (again.string, again.score) == (undisturbed.string, undisturbed.score)


def test_a_larger_budget_extends_a_finished_run(corpus, tiny_t5, tmp_path):
    out = tmp_path / "run"
    asked = ASKED | {"max_evaluations": 150}
    first = search(corpus, model=tiny_t5, out=out, **asked)
    before = trials(out)
    asked["max_evaluations"] = 300
    second = search(corpus, model=tiny_t5, out=out, resume=True, **asked)
    assert first.evaluations < 250
    assert 300 <= second.evaluations < 400
    assert second.train_score >= first.train_score
    assert trials(out)[: len(before)] == before
    assert Recipe.load(out / "recipe.toml").search.max_evaluations == 300


def test_time_that_was_spent_counts(corpus, tiny_t5, tmp_path):
    out = tmp_path / "run"
    asked = {"max_tokens": 8, "recipe": RECIPE, "budget": "1h", "out": out, "model": tiny_t5}
    with pytest.raises(Killed):
        search(corpus, started=time.monotonic() - 1_000.0, listener=kill_after(6), **asked)
    reported = []

    def listen(progress):
        reported.append(progress)
        kill_after(0)(progress)

    with pytest.raises(Killed):
        search(corpus, resume=True, listener=listen, **asked)
    assert 1_000.0 < reported[0].seconds < 1_100.0
    assert 2_500.0 < reported[0].remaining < 2_600.0


def test_a_full_disk_ends_the_run_and_leaves_it_to_resume_from(
    corpus, tiny_t5, undisturbed, tmp_path, monkeypatch
):
    out, written = tmp_path / "run", []
    write = checkpoint_module.write_atomically

    def full_at_last(path, data):
        written.append(path)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "write_atomically", full_at_last)
        with pytest.raises(RunError, match=r"checkpoint\.bin: No space left on device"):
            search(corpus, model=tiny_t5, out=out, **ASKED)
    assert_same(search(corpus, model=tiny_t5, out=out, resume=True, **ASKED), undisturbed)


def test_a_process_that_is_killed_outright_loses_little(tiny_t5_folder, tmp_path):
    """The command line, killed by the system at a moment of its own choosing."""
    file, out, recipe = (tmp_path / name for name in ("prompts.txt", "run", "recipe.toml"))
    file.write_text("\n".join(PROMPTS))
    recipe.write_text(RECIPE.to_toml())
    asked = ["--recipe", recipe, "--model", tiny_t5_folder, "--max-tokens", 8, "-q"]
    process = Command(
        ["search", file, *asked, "--max-evaluations", 1_000_000, "--out", out],
        log=tmp_path / "log.txt",
        folder=tmp_path,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if (out / "events.jsonl").exists() and len(events(out)) > 5:
            break
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL, process.log.read_text()
    best = (out / "best.txt").read_text("utf-8")
    before = [event for event in events(out) if event["event"] == "best"][-1]
    found = search(out=out, resume=True, max_evaluations=before["evaluations"] + 100)
    assert best in {event["text"] for event in events(out)} | {before["text"]}
    assert found.train_score >= before["score"] - 1e-6
    assert {state for state, *_ in trials(out)} <= {"COMPLETE", "PRUNED"}


# What is refused


@pytest.fixture(scope="module")
def killed(corpus, tiny_t5, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "killed"
    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, listener=kill_after(3), **ASKED)
    return out


@pytest.fixture
def begun(killed, tmp_path):
    """A run that was killed."""
    return Path(shutil.copytree(killed, tmp_path / "run"))


def test_another_corpus_or_model_is_refused_and_changes_nothing(begun, corpus, tiny_t5, tiny_bert):
    other = Corpus.from_prompts(PROMPTS[:-1])
    before = {path.name: path.read_bytes() for path in begun.iterdir()}
    with pytest.raises(
        InputError, match=r"resumed with its own corpus: that of .*run has the hash"
    ):
        search(other, model=tiny_t5, out=begun, resume=True, **ASKED)
    with pytest.raises(InputError, match=r"resumed with its own model: that of .*run has the hash"):
        search(corpus, model=tiny_bert, out=begun, resume=True, **ASKED)
    assert {path.name: path.read_bytes() for path in begun.iterdir()} == before


def test_another_recipe_is_refused_and_the_field_named(begun, corpus, tiny_t5):
    with pytest.raises(InputError, match=r"constraints\.max_tokens = 8, now it is 9"):
        search(corpus, model=tiny_t5, out=begun, resume=True, **(ASKED | {"max_tokens": 9}))
    path = begun / "recipe.toml"
    path.write_text(path.read_text().replace("climb_evaluations = 60", "climb_evaluations = 70"))
    with pytest.raises(InputError, match=r"study\.climb_evaluations = 60, now it is 70"):
        search(corpus, model=tiny_t5, out=begun, resume=True)


@pytest.mark.parametrize("name", ["x" * 300, "empty"])
def test_a_folder_without_a_run_is_refused(tmp_path, corpus, name):
    with pytest.raises(InputError, match=r"must name the folder of a run: .* holds no recipe"):
        search(corpus, out=tmp_path / name, resume=True)


def test_a_run_of_a_version_without_checkpoints_is_refused(tmp_path, corpus):
    (tmp_path / "recipe.toml").write_text(Recipe().to_toml())
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(InputError, match="is of a version that wrote none; begin a new one"):
        search(corpus, out=tmp_path, resume=True)
    with pytest.raises(InputError, match="must be named: give its folder as out"):
        search(corpus, resume=True)


def test_two_processes_in_one_run_are_refused(begun, corpus, tiny_t5):
    def listen(progress):
        if progress.phase == "searching":
            with pytest.raises(InputError, match="another one is at work in"):
                search(corpus, model=tiny_t5, out=begun, resume=True, **ASKED)
            raise Killed

    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=begun, resume=True, listener=listen, **ASKED)
