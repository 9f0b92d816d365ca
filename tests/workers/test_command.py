"""The commands of shared runs: what they need, and what contradicts a run that is gone on with."""

import json

import pytest

from mean_prompt import Recipe
from mean_prompt.runs.folder import RunFolder
from mean_prompt.workers.crew import Crew
from mean_prompt.workers.storage_url import StorageURL

SECRET = "Tr0ub4dor"
PROMPTS = ["rewrite the text", "make the poem formal", "the story tone", "make email style"]


@pytest.fixture
def run(tmp_path, monkeypatch, program):
    """Return a function that runs the program, which must load no model: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEAN_PROMPT_STORAGE", raising=False)
    monkeypatch.setattr(
        "mean_prompt.runs.recipe.load_encoder", lambda *_a, **_o: pytest.fail("a model was loaded")
    )
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    return program


@pytest.fixture
def refused(run):
    """Return a function that runs a command line which must be refused, and returns the line."""

    def refused(*arguments):
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("mean-prompt: ")
        assert err.count("\n") == 1
        assert SECRET not in err
        return err.removeprefix("mean-prompt: ")

    return refused


RECIPE = Recipe().override(corpus={"sources": ("prompts.txt",)}, search={"max_evaluations": 50})


@pytest.fixture
def begun(tmp_path):
    """The folder of a run by one process, as far as it stands before the first snapshot."""
    folder = RunFolder(tmp_path / "run")
    folder.write_recipe(RECIPE)
    folder.close()
    return folder.path


@pytest.fixture
def shared(begun):
    """The folder of a run by two workers."""
    Crew(StorageURL.of_file(begun / "study.db"), "mine", 2).save(begun)
    return begun


# worker and status


@pytest.mark.parametrize(
    "given", [[], ["--study", "mine"], ["--storage", f"postgresql://me:{SECRET}@host/db"]]
)
def test_a_worker_needs_storage_and_study(refused, given):
    line = refused("worker", *given)
    assert line.startswith("a worker needs the storage and the study that the search names")
    assert line.endswith("give --storage and --study\n")


def test_a_worker_hears_of_the_storage_from_the_environment(refused, tmp_path, monkeypatch):
    monkeypatch.setenv("MEAN_PROMPT_STORAGE", f"sqlite:///{tmp_path / 'gone' / 'study.db'}")
    assert "its folder is missing" in refused("worker", "--study", "mine")


@pytest.mark.parametrize("given", [[], ["--study", "mine"]])
def test_status_needs_something_to_tell_of(refused, given):
    assert refused("status", *given) == (
        "status needs a run's folder, or --storage and --study: give one\n"
    )


def test_status_of_a_folder_without_a_run_names_it(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refused("status", "empty").startswith("a run's folder must hold its recipe.toml: found")
    assert "found none in gone" in refused("status", "gone")


def test_status_is_read_or_json(run, begun):
    code, out, err = run("status", begun)
    assert (code, err) == (0, "")
    assert out.startswith("run: Interrupted: ")
    code, out, _ = run("status", begun, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["name"], told["evaluations"], told["state"]) == ("run", 0, "interrupted")


# search --resume


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "needs the folder of one run, here or as --out: found none; name one"),
        (["run", "other"], "needs the folder of one run, here or as --out: found run, other"),
        (["gone"], "must name the folder of a run: gone holds no recipe.toml"),
        (["prompts.txt"], "must name the folder of a run: prompts.txt holds no recipe.toml"),
    ],
)
@pytest.mark.usefixtures("begun")
def test_resume_names_one_run(refused, arguments, fault):
    assert fault in refused("search", "--resume", *arguments)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["--seed", "7"], "search.seed = 0, now it is 7"),
        (["--max-tokens", "9"], "constraints.max_tokens = 64, now it is 9"),
        (["--holdout", "0.5"], "corpus.holdout = 0.2, now it is 0.5"),
        (["--alphabet", "words"], "constraints.alphabet = 'ascii', now it is 'words'"),
        (["--model", "other"], "model.name = None, now it is 'other'"),
        (["--recipe", "readable"], "constraints.max_tokens = 64, now it is 32"),
        (["--budget", "abc"], "reads like 90s, 10m, 2h or 1h30m: found 'abc'"),
        (["--study", "mine"], "a run's name among workers: found 'mine' without any"),
        (["--workers", "2"], "run is of one process; leave out --workers and --storage"),
        (["--storage", f"postgresql://me:{SECRET}@host/db"], "run is of one process; leave out"),
    ],
)
@pytest.mark.usefixtures("begun")
def test_what_contradicts_the_run_is_refused_and_named(refused, options, fault, tmp_path):
    before = (tmp_path / "run" / "recipe.toml").read_text()
    assert fault in refused("search", "--resume", "run", *options)
    assert (tmp_path / "run" / "recipe.toml").read_text() == before


@pytest.mark.usefixtures("shared")
def test_a_shared_run_goes_on_in_its_own_study(refused):
    line = refused("search", "--resume", "run", "--study", "other")
    assert "resumed in its own study: that of run is 'mine', found 'other'" in line


def test_a_study_without_workers_is_refused_and_leaves_nothing(refused, tmp_path):
    assert "found 'mine' without any" in refused(
        "search", "prompts.txt", "--study", "mine", "--out", "new"
    )
    assert not (tmp_path / "new").exists()


def test_an_affix_is_of_one_process(refused):
    line = refused("search", "--context", "rows.csv", "--workers", "2", "--out", "new")
    assert line.startswith("an affix is searched by one process")
