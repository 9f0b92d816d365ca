"""A run that was killed goes on as if it had not been, pays for nothing twice, and says so."""

import itertools
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import optuna
import pytest
import torch

from benchmarks.grammar import generate
from mean_prompt import Corpus, InputError, Recipe, RunError, search, search_affix
from mean_prompt.optimize import study as study_module
from mean_prompt.optimize.affix.context import Context
from mean_prompt.optimize.evaluator import Evaluator
from mean_prompt.runs import snapshots as snapshots_module
from mean_prompt.runs.resume import Resumer
from mean_prompt.runs.snapshots import Snapshots
from mean_prompt.runs.study_file import STUDY_NAME
from tests.processes import Command

PROMPTS = [row["prompt"] for row in generate(120, seed=5)]
#: Rounds short enough for several in a test, with draws by Optuna's model among them.
RECIPE = Recipe.parse({"study": {"climb_evaluations": 200, "rivals": 2}}, where="test")
ASKED = {"max_evaluations": 2_400, "max_tokens": 10, "recipe": RECIPE}


class Killed(BaseException):
    """As SIGKILL, but for this process: nothing of the search's own runs after it."""


class Killer:
    """Kills a search at the steps that it is given, counted over all its processes."""

    def __init__(self, *, after):
        self.left = after

    def __call__(self, progress):
        if progress.phase == "searching":
            self.left -= 1
            if self.left <= 0:
                raise Killed


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for each other on a busy machine take longer than these few numbers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def corpus():
    return Corpus.from_prompts(PROMPTS)


@pytest.fixture(autouse=True)
def quick_snapshots(monkeypatch):
    """Take many snapshots, with some steps between each two."""
    monkeypatch.setattr(snapshots_module, "_LEAST_PAUSE", 0.15)
    monkeypatch.setattr(snapshots_module, "_SHARE", 1.0)
    monkeypatch.setattr(study_module, "_LEAST_RIVAL", 100)


@pytest.fixture(scope="module")
def undisturbed(corpus, tiny_t5, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "_LEAST_RIVAL", 100)
        return search(corpus, model=tiny_t5, out=out, **ASKED)


def events(folder):
    """Return a run's events but for the time, and but for those that tell of resuming."""
    lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [
        {name: value for name, value in event.items() if name != "time"}
        for event in found
        if event["event"] != "resume"
    ]


def trials(folder):
    study = optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{folder / 'study.db'}")
    return [
        (trial.state.name, trial.params, trial.value, trial.intermediate_values)
        for trial in study.trials
    ]


def killed_again_and_again(corpus, model, out, *, seed, kills):
    """Run a search that is killed at random steps, and return its result."""
    rng = random.Random(seed)
    for number in range(kills):
        killer = Killer(after=rng.randint(1, 25))
        try:
            return search(corpus, model=model, out=out, resume=number > 0, listener=killer, **ASKED)
        except Killed:
            pass
    return search(corpus, model=model, out=out, resume=True, **ASKED)


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_at_random_ends_as_one_that_was_not(
    seed, corpus, tiny_t5, undisturbed, tmp_path
):
    out = tmp_path / "run"
    found = killed_again_and_again(corpus, tiny_t5, out, seed=seed, kills=20)
    assert (found.string, found.score) == (undisturbed.string, undisturbed.score)
    assert found.evaluations == undisturbed.evaluations
    assert (out / "best.txt").read_text("utf-8") == found.string
    assert events(out) == events(undisturbed.out)
    assert trials(out) == trials(undisturbed.out)
    assert {state for state, *_ in trials(out)} <= {"COMPLETE", "PRUNED"}


def test_no_evaluation_is_paid_twice(corpus, tiny_t5, undisturbed, tmp_path, monkeypatch):
    paid = []
    judge = Evaluator._judge

    def counted(self, rows, encode):
        def encode_and_count(ids):
            paid.append(len(ids))
            return encode(ids)

        return judge(self, rows, encode_and_count)

    monkeypatch.setattr(Evaluator, "_judge", counted)
    found = killed_again_and_again(corpus, tiny_t5, tmp_path / "run", seed=9, kills=6)
    # The rate is timed beside it, once, with 32 strings; a listener is told of whole steps, so
    # that none is lost with a kill.
    assert sum(paid) + 32 == undisturbed.evaluations == found.evaluations


def test_what_is_restored_is_said_and_written_down(corpus, tiny_t5, tmp_path):
    out, notes = tmp_path / "run", []
    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, listener=Killer(after=12), **ASKED)
    state = Snapshots(out / "snapshots")
    done = state.state["evaluations"] + state.evaluations

    def listen(progress):
        notes.extend(progress.notes)

    search(corpus, model=tiny_t5, out=out, resume=True, listener=listen, **ASKED)
    [note] = [note for note in notes if note.startswith("going on")]
    assert note.startswith(f"going on at {done:,} evaluations and ")
    assert f"{state.evaluations:,} of them came after the last snapshot and are read back" in note
    lines = (out / "events.jsonl").read_text("utf-8").splitlines()
    [resumed] = [event for event in map(json.loads, lines) if event["event"] == "resume"]
    assert (resumed["evaluations"], resumed["read_back"]) == (done, state.evaluations)


def test_an_interrupted_run_goes_on(corpus, tiny_t5, undisturbed, tmp_path):
    out = tmp_path / "run"
    heard = []

    def interrupt(progress):
        heard.append(progress)
        if progress.phase == "searching" and progress.done > 700 and len(heard) % 5 == 0:
            os.kill(os.getpid(), signal.SIGINT)

    first = search(corpus, model=tiny_t5, out=out, listener=interrupt, **ASKED)
    assert first.stopped
    assert 0 < first.evaluations < undisturbed.evaluations
    assert all(state in {"COMPLETE", "PRUNED"} for state, *_ in trials(out))
    second = search(corpus, model=tiny_t5, out=out, resume=True, **ASKED)
    assert not second.stopped
    assert (second.string, second.evaluations) == (undisturbed.string, undisturbed.evaluations)
    assert trials(out) == trials(undisturbed.out)


def test_a_finished_run_gives_its_result_again_without_a_model(corpus, undisturbed, monkeypatch):
    monkeypatch.setattr("mean_prompt.api._load", lambda _plan: pytest.fail("a model was loaded"))
    again = search(corpus, out=undisturbed.out, resume=True)
    assert (again.string, again.score) == (undisturbed.string, undisturbed.score)


def test_a_larger_budget_extends_a_finished_run(corpus, tiny_t5, tmp_path):
    out = tmp_path / "run"
    asked = ASKED | {"max_evaluations": 600}
    first = search(corpus, model=tiny_t5, out=out, **asked)
    before = trials(out)
    asked["max_evaluations"] = 1_400
    second = search(corpus, model=tiny_t5, out=out, resume=True, **asked)
    assert first.evaluations < 700
    assert 1_400 <= second.evaluations < 1_500
    assert second.train_score >= first.train_score
    assert trials(out)[: len(before)] == before
    assert Recipe.load(out / "recipe.toml").search.max_evaluations == 1_400


def test_a_budget_extended_after_a_kill_keeps_the_climb_on_its_way(corpus, tiny_t5, tmp_path):
    out = tmp_path / "run"
    recipe = Recipe.parse({"study": {"climb_evaluations": 100_000, "rivals": 1}}, where="test")
    asked = {"max_tokens": 10, "recipe": recipe}
    with pytest.raises(Killed):
        search(
            corpus,
            model=tiny_t5,
            out=out,
            max_evaluations=1_000,
            listener=Killer(after=12),
            **asked,
        )
    found = search(corpus, model=tiny_t5, out=out, max_evaluations=3_000, resume=True, **asked)
    assert found.evaluations >= 3_000
    # The climb keeps the length it had, which leaves room for others behind it.
    first = next(event for event in events(out) if event["event"] == "climb")
    assert first["evaluations"] == pytest.approx(1_000, abs=60)


def test_time_that_was_spent_counts(corpus, tiny_t5, tmp_path):
    out = tmp_path / "run"
    asked = {"max_tokens": 10, "recipe": RECIPE, "budget": "1h"}
    start = time.monotonic() - 1_000.0
    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, started=start, listener=Killer(after=20), **asked)
    heard = []

    def listen(progress):
        heard.append(progress)
        if progress.phase == "searching":
            raise Killed

    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, resume=True, listener=listen, **asked)
    assert 1_000.0 < heard[0].seconds < 1_100.0
    assert 2_500.0 < heard[0].remaining < 2_600.0


def test_where_the_tape_does_not_fit_the_search_goes_on_from_the_snapshot(
    corpus, tiny_t5, tmp_path, monkeypatch
):
    """Another processor rounds otherwise: then other edits are proposed, and asked about."""
    out = tmp_path / "run"
    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, listener=Killer(after=15), **ASKED)
    kept = Snapshots(out / "snapshots")
    spell = Evaluator._spell

    def other(self, bodies):
        """Propose one string fewer, where there are many."""
        return [*spell(self, bodies)[:-1], None] if len(bodies) > 5 else spell(self, bodies)

    monkeypatch.setattr(Evaluator, "_spell", other)
    assert kept.evaluations > 0
    best = [event for event in events(out) if event["event"] == "best"][-1]
    heard, written = [], []

    def listen(progress):
        heard.extend(progress.notes)
        written.append((out / "best.txt").read_text("utf-8"))

    found = search(corpus, model=tiny_t5, out=out, resume=True, listener=listen, **ASKED)
    assert f"fit what is computed here: {kept.evaluations:,} evaluations are made again" in (
        "\n".join(heard)
    )
    assert found.evaluations >= ASKED["max_evaluations"]
    assert found.score > found.baselines[0].score
    # The best string is known all the while, though the way to it was another one.
    assert found.train_score >= best["score"] - 1e-6
    assert written[0] == best["text"]
    after = iter(written)
    assert all(text != best["text"] for text in itertools.dropwhile(best["text"].__eq__, after))


def test_a_torn_last_event_is_dropped_and_told_again(
    corpus, tiny_t5, undisturbed, tmp_path, monkeypatch
):
    """Events from before a snapshot are on the disk when it is taken; later ones may be torn."""
    monkeypatch.setattr(snapshots_module, "_LEAST_PAUSE", 1e6)
    out = tmp_path / "run"
    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, listener=Killer(after=15), **ASKED)
    path = out / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    search(corpus, model=tiny_t5, out=out, resume=True, **ASKED)
    assert events(out) == events(undisturbed.out)


# What is refused


@pytest.fixture(scope="module")
def killed(corpus, tiny_t5, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "killed"
    with pytest.raises(Killed):
        search(corpus, model=tiny_t5, out=out, listener=Killer(after=5), **ASKED)
    return out


@pytest.fixture
def begun(killed, tmp_path):
    """A run that was killed."""
    return Path(shutil.copytree(killed, tmp_path / "run"))


def test_another_corpus_is_refused(begun, tiny_t5):
    other = Corpus.from_prompts(PROMPTS[:-1])
    with pytest.raises(
        InputError, match=r"goes on with its own corpus: that of .*run has the hash"
    ):
        search(other, model=tiny_t5, out=begun, resume=True, **ASKED)


def test_another_model_is_refused(begun, corpus, tiny_bert):
    with pytest.raises(InputError, match=r"goes on with its own model: that of .*run has the hash"):
        search(corpus, model=tiny_bert, out=begun, resume=True, **ASKED)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"max_tokens": 9}, r"constraints\.max_tokens = 10, now it is 9"),
        ({"seed": 4}, r"search\.seed = 0, now it is 4"),
        ({"recipe": RECIPE.override(climb={"width": 7})}, r"climb\.width = 40, now it is 7"),
    ],
)
def test_another_recipe_is_refused_and_the_field_named(begun, corpus, tiny_t5, asked, named):
    with pytest.raises(InputError, match=named):
        search(corpus, model=tiny_t5, out=begun, resume=True, **(ASKED | asked))


def test_a_recipe_that_was_changed_on_disk_is_refused(begun, corpus, tiny_t5):
    path = begun / "recipe.toml"
    path.write_text(path.read_text().replace("rivals = 2", "rivals = 1"))
    with pytest.raises(InputError, match=r"study\.rivals = 2, now it is 1"):
        search(corpus, model=tiny_t5, out=begun, resume=True)


def test_a_name_that_no_folder_can_have_is_refused(corpus):
    with pytest.raises(InputError, match=r"must name the folder of a run: xxx.* holds no recipe"):
        search(corpus, out="x" * 300, resume=True)


def test_a_folder_without_a_run_is_refused(tmp_path, corpus):
    with pytest.raises(InputError, match=r"--resume must name the folder of a run: .* holds no"):
        search(corpus, out=tmp_path, resume=True)


def test_a_run_of_a_version_without_snapshots_is_refused(tmp_path, corpus):
    (tmp_path / "recipe.toml").write_text(Recipe().to_toml())
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(InputError, match="is of a version that made none; begin a new one"):
        search(corpus, out=tmp_path, resume=True)


def test_without_a_folder_there_is_nothing_to_go_on_with(corpus):
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


def test_a_disk_that_fills_ends_the_run_and_leaves_it_to_go_on_from(
    corpus, tiny_t5, undisturbed, tmp_path, monkeypatch
):
    out, written = tmp_path / "run", []
    write = snapshots_module.write_atomically

    def full_at_last(path, data):
        written.append(path)
        if len(written) == 4:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(snapshots_module, "write_atomically", full_at_last)
    with pytest.raises(RunError, match=r"state-000004\.bin: No space left on device"):
        search(corpus, model=tiny_t5, out=out, **ASKED)
    monkeypatch.undo()
    monkeypatch.setattr(study_module, "_LEAST_RIVAL", 100)
    found = search(corpus, model=tiny_t5, out=out, resume=True, **ASKED)
    assert found.string == undisturbed.string
    assert events(out) == events(undisturbed.out)


# An affix


def test_an_affix_that_was_killed_ends_as_one_that_was_not(tiny_t5, tmp_path):
    prompts = PROMPTS[:40]
    context = Context.from_pairs([" ".join(prompt.split()[:3]) for prompt in prompts], prompts)
    asked = {"max_evaluations": 4_000, "max_tokens": 4, "model": tiny_t5}
    whole = search_affix(context, out=tmp_path / "whole", **asked)
    out, rng = tmp_path / "run", random.Random(3)
    for number in range(30):
        try:
            found = search_affix(
                context,
                out=out,
                resume=number > 0,
                listener=Killer(after=rng.randint(1, 4)),
                **asked,
            )
        except Killed:
            continue
        break
    else:
        found = search_affix(context, out=out, resume=True, **asked)
    assert (found.string, found.score) == (whole.string, whole.score)
    assert found.evaluations == whole.evaluations
    assert events(out) == events(tmp_path / "whole")


# SIGKILL


def test_a_process_that_is_killed_outright_loses_nothing(tiny_t5_folder, tmp_path):
    """The command line, killed by the system at moments of its own choosing."""
    corpus = tmp_path / "prompts.txt"
    corpus.write_text("\n".join(PROMPTS))
    asked = ["--model", tiny_t5_folder, "--max-tokens", 8, "--max-evaluations", 3_000, "-q"]
    first = ["search", corpus, *asked, "--out"]
    whole = printed([*first, tmp_path / "whole"], tmp_path)
    out, rng = tmp_path / "run", random.Random(0)
    command = [*first, out]
    for _ in range(3):
        process = Command(command, log=tmp_path / "log.txt", folder=tmp_path)
        wait_for_steps(process, out, rng.randint(2, 40))
        process.kill()
        assert process.wait() in {-signal.SIGKILL, 0}
        command = ["search", "--resume", out, "-q"]
    assert printed(command, tmp_path) == whole
    assert events(out) == events(tmp_path / "whole")
    assert {state for state, *_ in trials(out)} == {"COMPLETE"}


def printed(arguments, folder):
    command = Command(arguments, log=folder / "printed.txt", folder=folder)
    assert command.wait(300) == 0, command.log.read_text()
    return command.log.read_text()


def wait_for_steps(process, out, steps):
    """Wait until a process has heard something of the encoder so many times, or has ended."""
    begin = tape_size(out)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if abs(tape_size(out) - begin) > steps * 4_000:
            return
        time.sleep(0.01)


def tape_size(out):
    return sum(path.stat().st_size for path in (out / "snapshots").glob("tape-*.bin"))


def test_a_memory_without_a_folder_keeps_nothing():
    memory = Resumer(None, budget=None, identity={})
    assert memory.state is None
    assert memory.notes() == []
    steps = memory.going_on(
        lambda: iter([1, 2]), lambda: pytest.fail("a state was asked for"), None, None
    )
    assert list(steps) == [1, 2]
