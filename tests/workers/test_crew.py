"""Whole searches by several processes: begun, killed, paused, cut off, gone on with, counted."""

import json
import re
import signal
import time
from collections import Counter

import optuna
import pytest

from benchmarks.grammar import generate
from mean_prompt import Corpus, InputError, search
from mean_prompt.workers import registry as registry_module
from mean_prompt.workers.status import find_status
from mean_prompt.workers.storage_url import StorageURL
from tests.postgres import running_server
from tests.processes import Command

PROMPTS = [row["prompt"] for row in generate(60, seed=5)]
#: Short climbs, so that many end.
RECIPE = "[study]\nclimb_evaluations = 400\nrivals = 1\n[constraints]\nmax_tokens = 24\n"

#: For many workers on few cores: handing in a climb takes some sixty statements, and where a space
#: is exhausted more climbs end than a server takes in.
STEADY = "[study]\nclimb_evaluations = 1200\nrivals = 1\nprune = 'none'\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a corpus and a recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    (tmp_path / "short.toml").write_text(RECIPE)
    (tmp_path / "steady.toml").write_text(STEADY)
    return tmp_path


@pytest.fixture
def started(place):
    """Return a function that starts a command, and ends all that is left at the end."""
    processes = []

    def start(*arguments, storage=None):
        environment = {"MEAN_PROMPT_STORAGE": storage} if storage else {}
        log = place / f"log-{len(processes)}.txt"
        processes.append(Command(arguments, log=log, folder=place, environment=environment))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def eventually(true, *, seconds=180.0, of=()):
    """Wait for something, as long as none of some processes has failed."""
    deadline = time.monotonic() + seconds
    while not true():
        for process in of:
            assert process.poll() in {None, 0}, process.log.read_text()
        assert time.monotonic() < deadline, [process.log.read_text() for process in of]
        time.sleep(0.1)


def ended(process, *, seconds=120.0):
    assert process.wait(seconds) == 0, process.log.read_text()
    return process.log.read_text()


def live(run):
    """Return the workers of a run that are live, as far as there is one yet."""
    if not (run / "recipe.toml").exists():
        return []
    return [worker for worker in find_status(run, None, None).workers if worker.is_live]


def climbs_of(url, study):
    storage = optuna.storages.RDBStorage(url)
    found = optuna.load_study(study_name=study, storage=storage)
    trials = [(trial.state.name, trial.user_attrs) for trial in found.trials]
    storage.remove_session()
    storage.engine.dispose()
    return trials


def events(run):
    return [json.loads(line) for line in (run / "events.jsonl").read_text("utf-8").splitlines()]


def test_two_workers_on_one_machine(place, started, tiny_t5_folder):
    run = place / "run"
    options = ["--model", tiny_t5_folder, "--recipe", "short.toml", "--out", "run"]
    first = started("search", "prompts.txt", *options, "--workers", 2, "--max-evaluations", 3_000)
    eventually(lambda: len(live(run)) == 2, of=[first])
    log = ended(first)
    result = json.loads((run / "result.json").read_text("utf-8"))
    assert 3_000 <= result["evaluations"] < 5_000
    assert result["string"] == (run / "best.txt").read_text("utf-8")
    assert result["string"] in re.sub(r"[│\s]+", " ", log)
    assert result["train_score"] >= result["baselines"][0]["score"] * 0.9
    counted = [worker["evaluations"] for worker in result["workers"]]
    assert len(counted) == 2
    assert all(count > 500 for count in counted)
    assert 0 < result["evaluations"] - sum(counted) < 100  # the start's, and strings scored again

    trials = climbs_of(f"sqlite:///{run / 'study.db'}", "run")
    assert {state for state, _ in trials} <= {"COMPLETE", "PRUNED"}
    keys = Counter((climb["worker"], climb["number"]) for _, climb in trials)
    assert set(keys.values()) == {1}
    assert {worker for worker, _ in keys} == {0, 1}
    told = [event for event in events(run) if event["event"] == "climb"]
    assert Counter((event["worker"], event["trial"]) for event in told) == keys
    bests = [event["score"] for event in events(run) if event["event"] == "best"]
    assert bests == sorted(bests)

    status = find_status(run, None, None)
    assert [worker.state for worker in status.workers] == ["ended", "ended"]
    assert status.is_over
    assert status.text == result["string"]
    assert status.evaluations == sum(counted)

    # The same with more budget takes up where the workers stopped.
    more = started("search", "--resume", "run", "--max-evaluations", 4_000, "--quiet")
    text = ended(more).strip()
    again = json.loads((run / "result.json").read_text("utf-8"))
    assert again["string"] == text.splitlines()[-1]
    assert 4_000 <= again["evaluations"] < 6_000
    assert again["train_score"] >= result["train_score"]
    assert len(again["workers"]) == 2
    assert [event["event"] for event in events(run)].count("resume") == 1


def test_a_killed_conductors_workers_end_and_the_run_goes_on(place, started, tiny_t5_folder):
    run = place / "run"
    options = ["--model", tiny_t5_folder, "--recipe", "short.toml", "--out", "run"]
    first = started("search", "prompts.txt", *options, "--workers", 2, "--budget", "1h")

    eventually(lambda: sum(w.evaluations > 200 for w in live(run)) == 2, of=[first])
    first.kill()
    eventually(lambda: find_status(run, None, None).is_over, seconds=60)
    before = find_status(run, None, None)
    best = (run / "best.txt").read_text("utf-8")
    second = started("search", "--resume", "run")
    eventually(
        lambda: find_status(run, None, None).evaluations > before.evaluations + 300, of=[second]
    )
    second.send_signal(signal.SIGTERM)
    log = ended(second)
    assert "each worker takes up its climb where it was" in log
    result = json.loads((run / "result.json").read_text("utf-8"))
    assert result["stopped"]
    assert len(result["workers"]) == 2
    assert best in {event["text"] for event in events(run) if event["event"] == "best"}
    # A result without an hour's work, since what was spent before counts and no more.
    assert result["seconds"] < 600


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_workers_on_postgresql_are_killed_paused_and_cut_off_and_nothing_is_lost(  # noqa: PLR0915
    place, started, tiny_t5_folder, monkeypatch
):
    """Four workers: one is killed, one paused past its lease, and the server is restarted."""
    monkeypatch.setattr(registry_module, "LEASE", 8.0)
    with running_server() as server:
        storage = server.url(server.new_database())
        conductor = started(
            "search", "prompts.txt", "--model", tiny_t5_folder, "--recipe", "steady.toml",
            "--out", "run", "--study", "quiet sea", "--workers", 2, "--budget", "1h",
            storage=storage,
        )  # fmt: skip
        eventually(lambda: "quiet sea" in conductor.log.read_text(), of=[conductor])
        join = ["worker", "--study", "quiet sea", "--threads", 1, "--out"]
        workers = [started(*join, f"w{n}", storage=storage) for n in range(2)]

        def status():
            return find_status(None, storage, "quiet sea")

        def climbing():
            return {worker.number for worker in status().workers if worker.state == "climbing"}

        eventually(lambda: len(climbing()) == 4, of=[conductor, *workers])
        killed, paused = workers

        def number_of(folder):
            return json.loads((place / folder / "worker.json").read_text())["number"]

        def row(folder):
            return next(w for w in status().workers if w.number == number_of(folder))

        # It can be resumed from its first checkpoint on.
        eventually((place / "w0" / "checkpoint.bin").exists, of=[killed])
        killed.kill()
        paused.send_signal(signal.SIGSTOP)
        eventually(lambda: row("w0").state == row("w1").state == "lost", of=[conductor])
        left = {0, 1, 2, 3} - {number_of("w0"), number_of("w1")}
        # The server takes its locks from the paused one; the others are heard of again soon after.
        eventually(lambda: climbing() == left, seconds=30.0, of=[conductor])
        seen = {worker.number: worker.evaluations for worker in status().workers}

        server.stop()
        with pytest.raises(
            InputError, match=r"storage must be reachable: .*tester:\*\*\*@"
        ) as gone:
            status()
        assert server.password not in str(gone.value)
        again = started(*join, "w0", storage=storage)  # there is no server: one line, exit code 2
        assert again.wait(60) == 2
        assert again.log.read_text().count("\n") == 1
        time.sleep(1.0)
        server.start()

        again = started(*join, "w0", storage=storage)
        paused.send_signal(signal.SIGCONT)
        alive = [conductor, paused, again]
        eventually(lambda: len(climbing()) == 4, of=alive)
        eventually(
            lambda: all(w.evaluations > seen[w.number] + 300 for w in status().workers), of=alive
        )
        resumed = re.search(r"resumed at ([\d,]+) evaluations", again.log.read_text())
        assert int(resumed[1].replace(",", "")) > 0

        conductor.send_signal(signal.SIGINT)
        ended(conductor)
        for worker in (paused, again):
            ended(worker)
        final = status()
        assert [worker.state for worker in final.workers] == ["ended"] * 4
        assert all(worker.evaluations >= seen[worker.number] for worker in final.workers)
        url = StorageURL.parse(storage).with_secrets()
        trials = climbs_of(url, "quiet sea")

    result = json.loads((place / "run" / "result.json").read_text("utf-8"))
    assert result["stopped"]
    assert 0 <= result["evaluations"] - final.evaluations < 200
    assert result["train_score"] >= max(worker.score for worker in final.workers) - 1e-6
    assert {state for state, _ in trials} <= {"COMPLETE", "PRUNED"}
    keys = Counter((climb["worker"], climb["number"]) for _, climb in trials)
    assert set(keys.values()) == {1}
    assert {worker for worker, _ in keys} == {0, 1, 2, 3}
    # Every climb that ended was handed in: nothing waits anywhere.
    assert not list(place.glob("**/spool/climb-*.json"))
    for number in range(4):
        handed = sorted(n for worker, n in keys if worker == number)
        assert handed == list(range(len(handed)))
    assert server.password not in "".join(
        path.read_text("utf-8", "replace") for path in place.rglob("*") if path.is_file()
    )


# What is refused


def test_workers_cannot_share_what_is_in_memory(place, tiny_t5):
    with pytest.raises(InputError, match="read corpus and model themselves: found one in memory"):
        search(Corpus.from_prompts(PROMPTS), workers=2, out="run")
    with pytest.raises(InputError, match="read corpus and model themselves: found one in memory"):
        search("prompts.txt", model=tiny_t5, workers=2, out="run")
    with pytest.raises(InputError, match="must have a folder: give one as out"):
        search("prompts.txt", workers=2)
    with pytest.raises(InputError, match="--workers must be at least 1: found 0"):
        search("prompts.txt", workers=0, out="run")
    assert not (place / "run").exists()


def test_a_run_goes_on_in_its_own_storage(place, sqlite_url):
    (place / "run" / "workers").mkdir(parents=True)
    (place / "run" / "recipe.toml").write_text("")
    kept = {"study": "run", "storage": "postgresql://me:***@there/db", "workers": 2}
    (place / "run" / "workers" / "crew.json").write_text(json.dumps(kept))
    with pytest.raises(InputError, match=r"password is not kept: .* is postgresql://me:\*\*\*@"):
        search("prompts.txt", resume=True, out="run")
    (place / "run" / "workers" / "crew.json").write_text(
        json.dumps(kept | {"storage": "postgresql://me@127.0.0.1:1/db"})
    )
    with pytest.raises(InputError, match=r"must be reachable: postgresql://me@127.0.0.1:1/db"):
        find_status(place / "run", None, None)
    with pytest.raises(InputError, match=r"goes on in its own storage: .* found sqlite:///"):
        search("prompts.txt", resume=True, out="run", storage=sqlite_url.shown)


def test_status_names_what_it_needs(tmp_path, sqlite_url):
    with pytest.raises(InputError, match="needs a run's folder, or --storage and --study"):
        find_status(None, None, "study")
    with pytest.raises(InputError, match=r"holds a recipe\.toml: found none in"):
        find_status(tmp_path, None, None)
    with pytest.raises(InputError, match="one in which a search was begun: sqlite:"):
        find_status(None, sqlite_url.shown, "study")
    assert not sqlite_url.path.exists()
