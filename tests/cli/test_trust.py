"""``--trust-model``: every command with a model refuses one that could run code, unless asked."""

import io
import sys

import pytest

from mean_prompt import cli
from mean_prompt.encoder import loading as models
from mean_prompt.system.errors import InputError

ROWS = "id,original_text,rewritten_text,rewrite_prompt\n"
ROWS += "".join(f"{n},text {n},other {n},Make it {n}\n" for n in range(8))


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Run in a folder with a corpus, rows, an answer to them, and a model with pickled weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("Make it formal\nMake it a poem\nShorten this\n")
    (tmp_path / "rows.csv").write_text(ROWS)
    answers = [f"{n},x" for n in range(8)]
    (tmp_path / "submission.csv").write_text("\n".join(["id,rewrite_prompt", *answers]) + "\n")
    (tmp_path / "submission.work").mkdir()
    (tmp_path / "submission.work" / "job.json").write_text('{"universal": "x"}')
    (tmp_path / "trusting.toml").write_text("[model]\ntrust = true\n")
    model = tmp_path / "stranger"
    model.mkdir()
    for name in ("modules.json", "config.json", "tokenizer.json", "pytorch_model.bin"):
        (model / name).write_text("{}")


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mean-prompt", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return exit_.value.code or 0, capsys.readouterr().err

    return run


@pytest.fixture
def asked(monkeypatch):
    """Note whether a model is trusted, and load none."""
    asked = []

    def load(found, *, trust, **_options):
        asked.append((found.name, trust))
        raise InputError("seen")

    monkeypatch.setattr(models, "_load", load)
    return asked


PREDICT = ("rows.csv", "--triples", "rows.csv", "--prompt", "x", "--out", "out.csv")
COMMANDS = {
    "search": ("search", "prompts.txt", "--out", "run"),
    "score": ("score", "a string", "--corpus", "prompts.txt"),
    "predict": ("predict", *PREDICT),
    "evaluate": ("evaluate", "rows.csv", "--prompt", "x"),
    "check": ("check", "submission.csv", "--test", "rows.csv"),
    "report": ("report", "submission.csv", "--truth", "rows.csv"),
    "bench methods": ("bench", "methods", "prompts.txt"),
    "bench speed": ("bench", "speed"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_pickled_weights_are_refused_by_name(run, command):
    code, err = run(*COMMANDS[command], "--model", "stranger")
    assert code == 2
    # The benchmark says first that it loads.
    assert err.removeprefix("loading\n") == (
        "mean-prompt: a model's weights must be safetensors, unless it is trusted: "
        "pytorch_model.bin of stranger is a pickle, which can run code; trust it with "
        "--trust-model (trust = true in a recipe), or take another model\n"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_model_is_trusted_where_that_is_asked_and_not_otherwise(run, asked, command):
    for more in ([], ["--trust-model", *(["--resume"] if command == "predict" else [])]):
        code, err = run(*COMMANDS[command], "--model", "stranger", *more)
        assert (code, err.splitlines()[-1]) == (2, "mean-prompt: seen")
    assert asked == [("stranger", False), ("stranger", True)]


@pytest.mark.parametrize("command", ["search", "bench methods"])
def test_a_recipe_may_ask_for_it_too(run, asked, command):
    run(*COMMANDS[command], "--model", "stranger", "--recipe", "trusting.toml")
    assert asked == [("stranger", True)]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_local_llm_follows_the_same_option(run, command, monkeypatch):
    seen = []

    def find(name, *, trust):
        seen.append((name, trust))
        raise InputError("seen")

    monkeypatch.setattr("mean_prompt.llm.local.find_chat_model", find)
    for more in ([], ["--trust-model"]):
        assert run(*COMMANDS[command], "--llm", "transformers:stranger", *more)[0] == 2
    assert seen == [("stranger", False), ("stranger", True)]
