"""The command line: good input works as said, bad input is one line, exit code 2 and no trace."""

import io
import json
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
import typer
from click import unstyle
from typer.testing import CliRunner

from mean_prompt import api, cli
from mean_prompt.cli.app import app
from mean_prompt.cli.warnings import one_line_warnings
from mean_prompt.runs import climbers
from mean_prompt.system.cluster import ActorPlan
from mean_prompt.system.errors import InputError, RunError
from mean_prompt.system.team import Here

PROMPTS = ["Rewrite this as a poem", "Make it formal", "Turn it into a sea shanty, please"]
COMMANDS = typer.main.get_command(app).commands


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Run in a folder of its own, where default folders are made and relative paths lie."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def prompts_file(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("\n".join(["prompt", *(f'"{prompt}"' for prompt in PROMPTS)]))
    return path


@pytest.fixture
def no_model(monkeypatch):
    """Fail the test where a model is loaded: bad input must be found before."""

    def load(*_args, **_options):
        pytest.fail("a model was loaded")

    monkeypatch.setattr(api, "load_encoder", load)
    monkeypatch.setattr("mean_prompt.runs.recipe.load_encoder", load)


@pytest.fixture
def model(monkeypatch, tiny_bert):
    """Give every command one small model; return the names that it was asked for by."""
    asked = []

    def load(name=None, **_options):
        asked.append(name)
        return tiny_bert

    monkeypatch.setattr(api, "load_encoder", load)
    monkeypatch.setattr("mean_prompt.runs.recipe.load_encoder", load)
    # Threads that wait for each other on a busy machine take longer than these few numbers.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield asked
    torch.set_num_threads(threads)


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs the program in this process: exit code, stdout, stderr."""

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["mean-prompt", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii"))
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        said = capsys.readouterr()
        return exit_.value.code or 0, said.out, said.err

    return run


def one_line(err):
    """Return the one line on standard error."""
    assert err.startswith("mean-prompt: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err.removeprefix("mean-prompt: ").strip()


def files_below(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


# Bad input to search


def text_file(name, content):
    def write(folder):
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
        return [name]

    return write


def empty_folder(folder):
    (folder / "empty").mkdir()
    return ["empty"]


def file_in_the_way(folder):
    (folder / "run").write_text("in the way")
    return ["good.csv"]


def finished_run(folder):
    (folder / "run").mkdir()
    (folder / "run" / "result.json").write_text("{}")
    return ["good.csv"]


def good(*options):
    return lambda _folder: ["good.csv", *options]


def recipe(text, *options):
    def write(folder):
        (folder / "mine.toml").write_text(text)
        return ["good.csv", "--recipe", "mine.toml", *options]

    return write


BAD = {
    "missing file": (lambda _: ["gone.csv"], "must exist: found no file or folder gone.csv"),
    "unknown suffix": (text_file("a.docx", "x"), "must be one of .csv, .tsv,"),
    "folder without prompts": (empty_folder, "found no file of .csv"),
    "wrong column": (good("--column", "x"), "good.csv has prompt, n, not 'x'"),
    "no likely column": (text_file("a.csv", "id,words\n1,x\n"), "a.csv has id, words"),
    "invalid UTF-8": (text_file("a.csv", b"prompt\na\nb\xff\n"), "a.csv, line 3 holds byte 0xff"),
    "newline in a column": (text_file("a.csv", '"a\nb",c\n1,2\n'), r"a.csv has 'a\\nb', c"),
    "broken Parquet": (text_file("a.parquet", "no Parquet"), "a.parquet: "),
    "empty corpus": (text_file("a.csv", "prompt\n"), "a.csv has 0 rows"),
    "one prompt": (text_file("a.txt", "Make it formal\n"), "a.txt holds 1; give more"),
    "10 MB cell": (text_file("a.txt", "x" * 10**7), "a.txt, line 1 holds 10,000,000"),
    "bad weight": (lambda _: ["good.csv:heavy"], "found 'heavy' in 'good.csv:heavy'"),
    "some weights": (lambda _: ["good.csv:1", "good.csv"], "or none: good.csv has none"),
    "budget 0": (good("--budget", "0"), "reads like 90s, 10m, 2h or 1h30m: found '0'"),
    "budget abc": (good("--budget", "abc"), "reads like 90s, 10m, 2h or 1h30m: found 'abc'"),
    "budget of nothing": (good("--budget", "0s"), "longer than nothing: found '0s'"),
    "no evaluations": (good("--max-evaluations", "0"), "search.max_evaluations .* found 0"),
    "no tokens": (good("--max-tokens", "0"), "constraints.max_tokens .* found 0"),
    "negative seed": (good("--seed", "-1"), "search.seed .* found -1"),
    "endless seed": (good("--seed", "99999999999"), "search.seed .* found 99999999999"),
    "holdout of all": (good("--holdout", "1"), "corpus.holdout .* found 1"),
    "unknown recipe": (good("--recipe", "gone"), "one of kaggle, quick, readable: .*gone"),
    "unknown recipe field": (recipe("[search]\nx = 1"), "mine.toml has 'search.x'; search/README"),
    "wrong recipe value": (recipe("[search]\nseed = 'x'"), "search.seed in mine.toml .* found 'x'"),
    "broken recipe": (recipe("[search\n"), r"mine.toml: .*line 1, column 8\); fix that line"),
    "budget abc of a recipe": (recipe("[search]\nbudget = 'abc'"), "mine.toml .* found 'abc'"),
    "unwritable out": (file_in_the_way, "can be written: run: File exists; choose another"),
    "out with a run": (finished_run, "without a run: run holds one; choose another"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.usefixtures("no_model")
def test_bad_input_is_one_line_and_leaves_nothing(case, run, tmp_path):
    build, fault = BAD[case]
    (tmp_path / "good.csv").write_text("prompt,n\none,1\ntwo,2\n")
    arguments = build(tmp_path)
    before = files_below(tmp_path)
    code, out, err = run("search", *arguments, "--out", "run")
    line = one_line(err)
    assert code == 2
    assert out == ""
    assert re.search(fault, line), line
    assert len(line) < 600
    assert files_below(tmp_path) == before


@pytest.mark.usefixtures("no_model")
def test_unreadable_file_is_one_line(run, prompts_file, monkeypatch):
    opened = Path.open

    def forbidden(path, *args, **options):
        if path.name == prompts_file.name:
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", forbidden)
    code, _, err = run("search", prompts_file, "--out", "run")
    assert code == 2
    assert one_line(err) == (
        f"a corpus must be readable: {prompts_file}: Permission denied; check its name and its "
        "rights"
    )
    assert not Path("run").exists()


@pytest.mark.usefixtures("no_model")
def test_bad_corpus_makes_no_folder_of_results(run):
    code, _, err = run("search", "gone.csv")
    assert code == 2
    assert one_line(err)
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("command", "name", "fault"),
    [
        ("search", "nobody/no-such-model", "'nobody/no-such-model' is none of these; check the"),
        ("score", "no such model", "a folder or a name on the hub: found neither: 'no such model'"),
        ("search", "x" * 300, "found neither: 'xxx"),
    ],
)
def test_unknown_model_is_one_line(run, prompts_file, monkeypatch, command, name, fault):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    given = {"search": [prompts_file, "--out", "run"], "score": ["x", "--corpus", prompts_file]}
    code, out, err = run(command, *given[command], "--model", name)
    assert code == 2
    assert out == ""
    assert fault in one_line(err)
    assert files_below("run") == []


def test_failed_run_has_an_exit_code_of_its_own(run, prompts_file, monkeypatch):
    def fail(*_args, **_options):
        raise RunError("the budget ended before the search could begin")

    monkeypatch.setattr(api, "search", fail)
    code, _, err = run("search", prompts_file, "--out", "run")
    assert code == 1
    assert one_line(err) == "the budget ended before the search could begin"


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", "--no-such-option"],
        ["search", "--max-tokens", "many"],
        ["search", "--alphabet", "latin"],
        ["score"],
        ["no-such-command"],
    ],
)
def test_bad_usage_ends_with_code_2_and_names_the_fault(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert "Usage: " in unstyle(err)
    assert "Traceback" not in err


def test_python_callers_get_the_same_error(prompts_file):
    with pytest.raises(InputError, match=r"search.budget in the options .* found 'abc'"):
        api.search([prompts_file], budget="abc")
    with pytest.raises(InputError, match=r"no file or folder gone\.csv"):
        api.score(["x"], "gone.csv")


# What options become


@pytest.fixture
def searched(monkeypatch):
    """Replace the search after its checks; return what it was given."""
    given = types.SimpleNamespace()

    class Session:
        def __init__(self, inputs, team):
            given.inputs, given.climbers = inputs, team.size
            assert callable(inputs.listener)

        def run(self):
            raise RunError("enough was seen")

    def load(_name, **options):
        vars(given).update(options)
        return types.SimpleNamespace(device="cpu")

    monkeypatch.setattr(climbers, "Processes", lambda _: Here())
    monkeypatch.setattr(climbers, "cores", lambda: 6)
    monkeypatch.setattr(climbers, "available_memory", lambda: None)
    monkeypatch.setattr(api, "SearchSession", Session)
    monkeypatch.setattr("mean_prompt.runs.recipe.load_encoder", load)
    return given


@pytest.mark.parametrize(
    ("options", "climbers"),
    [
        ("", 6),
        ("--budget 1m", 6),
        ("--max-evaluations 9", 1),
        ("--workers 1", 1),
        ("--max-evaluations 9 --budget 1m", 6),
        ("--max-evaluations 9 --workers 2", 2),
    ],
)
def test_there_is_a_climber_a_core_unless_the_run_is_to_repeat(
    run, searched, prompts_file, options, climbers
):
    run("search", prompts_file, "--out", "here", *options.split())
    assert searched.climbers == climbers


@pytest.mark.parametrize(
    ("line", "address"),
    [("{} --ray", "local"), ("--ray --budget 1m {}", "local"), ("{} --ray=head:1", "head:1")],
)
def test_climbers_on_a_cluster_need_no_processes_here(
    run, searched, prompts_file, monkeypatch, line, address
):
    placed = []

    def place(cluster, device, *, cpus, **_):
        placed.append((cluster.address, cluster.workers, device, cpus))
        plan = ActorPlan(7, "cpu", cpus, 0)
        return types.SimpleNamespace(plan=plan, give=print, member=Here().member, close=int)

    monkeypatch.setattr("mean_prompt.system.RayPlacement", place, raising=False)
    monkeypatch.setattr("mean_prompt.system.Cluster.check", lambda _: None)
    monkeypatch.setattr(climbers, "Processes", lambda _: pytest.fail("climbers were begun here"))
    run("search", *line.format(prompts_file).split(), "--out", "here", "--workers", "7")
    assert placed == [(address, 7, "cpu", 1)]
    assert searched.climbers == 7


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--ray prompts.csv", "--ray must be alone, or with local, auto or HOST:PORT: found 'prom"),
        ("prompts.csv --ray 127.0.0.1:9", "a cluster that runs: 127.0.0.1:9: .*: ray start --head"),
        ("--context t.csv --ray", "searched by one process: found --ray with --context; leave"),
        ("--context t.csv --workers 2", "by one process: found --workers 2 with --context; leave"),
        ("prompts.csv --ray --workers 2", r"not installed; run: pip install 'mean-prompt\[ray\]'$"),
    ],
)
@pytest.mark.usefixtures("no_model", "prompts_file")
def test_a_cluster_that_cannot_be_used_is_one_line(run, monkeypatch, line, fault):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, err = run("search", *line.split(), "--out", "run")
    assert (code, out) == (2, "")
    assert re.search(fault, one_line(err))
    assert not Path("run").exists()


def test_every_option_reaches_the_search(run, searched, prompts_file):
    Path("mine.toml").write_text("[search]\nseed = 1\nbudget = '9m'\n[climb]\nwidth = 7\n")
    options = (
        "--budget 10m --max-evaluations 77 --max-tokens 12 --alphabet words --model m --device cpu "
        "--recipe mine.toml --column prompt --holdout 0.5 --seed 3 --out here --quiet --workers 3"
    )
    code, _, _ = run("search", f"mine={prompts_file}:2", *options.split())
    assert code == 1
    inputs, plan = searched.inputs, searched.inputs.recipe
    assert searched.climbers == 3
    assert (plan.search.budget, plan.search.max_evaluations, plan.search.seed) == ("10m", 77, 3)
    assert (plan.constraints.max_tokens, plan.constraints.alphabet) == (12, "words")
    assert (plan.corpus.column, plan.corpus.holdout) == ("prompt", 0.5)
    assert inputs.sources == (f"mine={prompts_file}:2",)
    assert plan.corpus.sources == ()
    assert inputs.recorded.corpus.sources == inputs.sources
    assert (plan.model.name, plan.model.device) == ("m", "cpu")
    assert plan.climb.width == 7
    assert searched.device == "cpu"
    assert (inputs.budget.seconds, inputs.budget.max_evaluations) == (600, 77)
    assert inputs.folder.path == Path("here")
    assert searched.inputs.data.prompts == tuple(PROMPTS)


def test_defaults_are_two_minutes_and_a_new_folder(run, searched, prompts_file):
    run("search", prompts_file)
    assert searched.inputs.budget.seconds == 120
    assert searched.inputs.budget.max_evaluations is None
    assert searched.inputs.folder.path.parent == Path("results/runs")
    run("search", prompts_file, "--max-evaluations", "100")
    assert searched.inputs.budget.seconds is None


def test_corpora_of_the_working_directory_are_the_default(run, searched, prompts_file):
    Path("corpora").mkdir()
    prompts_file.rename("corpora/prompts.csv")
    run("search")
    assert searched.inputs.data.prompts == tuple(PROMPTS)
    assert searched.inputs.sources == ("corpora",)


def test_recipe_names_the_corpus_where_no_argument_does(run, searched, prompts_file):
    Path("mine.toml").write_text(f"[corpus]\nsources = ['{prompts_file}']\n")
    run("search", "--recipe", "mine.toml")
    assert searched.inputs.data.prompts == tuple(PROMPTS)


# score


def scored(out):
    return [row["text"] for row in json.loads(out)]


@pytest.mark.usefixtures("model")
def test_strings_are_scored_in_the_order_given(run, prompts_file):
    code, out, _ = run(
        "score", "Make it formal", " kept as is ", "--corpus", prompts_file, "--json"
    )
    assert code == 0
    assert scored(out) == ["Make it formal", " kept as is "]


@pytest.mark.usefixtures("model")
def test_json_has_a_shape_to_rely_on(run, prompts_file, tiny_bert):
    long = "word " * 600
    code, out, _ = run("score", PROMPTS[0], "café 🦜", long, "--corpus", prompts_file, "--json")
    rows = json.loads(out)
    assert code == 0
    assert "café 🦜" in out
    assert [set(row) for row in rows] == 3 * [
        {"text", "tokens", "score", "fraction", "ceiling", "truncated"}
    ]
    prompts = tiny_bert.encode(PROMPTS)
    for row in rows:
        vector = tiny_bert.encode([row["text"]])[0]
        assert row["score"] == pytest.approx(float(((prompts @ vector) ** 3).mean()), abs=1e-6)
        assert row["fraction"] == pytest.approx(row["score"] / row["ceiling"])
    assert [row["truncated"] for row in rows] == [False, False, True]
    assert rows[0]["tokens"] == len(tiny_bert.tokenize([PROMPTS[0]])[0])
    assert all(row["score"] <= row["ceiling"] < 1 for row in rows)


@pytest.mark.usefixtures("model")
def test_table_is_best_first_and_marks_cut_strings(run, prompts_file):
    code, out, err = run("score", "word " * 600, "Make it formal", "--corpus", prompts_file)
    assert code == 0
    assert err == ""
    assert out.index("Make it formal") < out.index("600 (cut)")


@pytest.mark.usefixtures("model")
def test_weights_and_columns_of_the_corpus_count(run):
    Path("a.csv").write_text("id,style\n1,formal\n2,poem\n")
    Path("b.csv").write_text("id,style\n1,pirate\n")
    given = ["formal", "--column", "style", "--json", "--corpus"]
    light, heavy = (
        json.loads(run("score", *given, "a.csv:1", "--corpus", f"b.csv:{weight}")[1])[0]["score"]
        for weight in (1, 100)
    )
    assert heavy < light


def test_model_given_is_the_model_asked_for(run, prompts_file, model):
    run("score", "x", "--corpus", prompts_file, "--model", "all-MiniLM-L6-v2")
    run("score", "x", "--corpus", prompts_file)
    assert model == ["all-MiniLM-L6-v2", None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("best.txt", "first\n\n  \nsecond\n"),
        ("strings.txt", "first\r\nsecond"),
        ("strings.csv", "id,prompt\n1,first\n2,\n3,second\n"),
        ("strings.jsonl", '"first"\n""\n"second"\n'),
    ],
)
@pytest.mark.usefixtures("model")
def test_files_of_strings_are_read_and_blank_rows_left_out(run, prompts_file, name, content):
    Path(name).write_bytes(content.encode())
    code, out, _ = run("score", name, "third", "--corpus", prompts_file, "--json")
    assert code == 0
    assert scored(out) == ["first", "second", "third"]


@pytest.mark.usefixtures("model")
def test_file_whose_name_holds_blanks_is_a_file_if_it_is_there(run, prompts_file):
    Path("my best.txt").write_text("first")
    given = ["my best.txt", "see notes.txt", "--corpus", prompts_file, "--json"]
    assert scored(run("score", *given)[1]) == ["first", "see notes.txt"]


@pytest.mark.usefixtures("model")
def test_standard_input_is_lines_in_utf8(run, prompts_file):
    lines = "\ufeffcafé\r\n\n one\u2028line \n🦜".encode()
    given = ["-", "last", "--corpus", prompts_file, "--json"]
    code, out, _ = run("score", *given, stdin=lines)
    assert code == 0
    assert scored(out) == ["café", " one\u2028line ", "🦜", "last"]


@pytest.mark.parametrize(
    ("strings", "stdin", "fault"),
    [
        ([""], b"", "a string to score must not be blank"),
        (["good", " \t"], b"", "a string to score must not be blank"),
        (["-"], b"", "at least one string: found none that is not blank"),
        (["-"], b" \n\n", "at least one string: found none that is not blank"),
        (["-"], b"caf\xe9", "standard input must be UTF-8: found byte 0xe9"),
        (["blank.txt"], b"", "at least one string: found none that is not blank"),
        (["gone.csv"], b"", "must exist: found no file or folder gone.csv"),
        (["deep/gone.txt"], b"", "must exist: found no file or folder deep/gone.txt"),
        (["notes.md"], b"", "must be one of .csv, .tsv,"),
        (["caf\udce9"], b"", "must be Unicode text: character 4 of 'caf\\udce9' is none"),
    ],
)
@pytest.mark.usefixtures("no_model")
def test_strings_that_cannot_be_scored_are_one_line(run, prompts_file, strings, stdin, fault):
    Path("blank.txt").write_text("\n \n")
    Path("notes.md").write_text("# Notes")
    code, out, err = run("score", *strings, "--corpus", prompts_file, stdin=stdin)
    assert code == 2
    assert out == ""
    assert fault in one_line(err)


@pytest.mark.usefixtures("no_model")
def test_bad_corpus_of_score_is_one_line(run, prompts_file):
    for given, fault in (
        (["gone.csv"], "no file or folder gone.csv"),
        ([prompts_file, "--column", "x"], "not 'x'"),
        ([f"{prompts_file}:0"], "found '0'"),
    ):
        code, _, err = run("score", "x", "--corpus", *given)
        assert code == 2
        assert fault in one_line(err)


# Around the commands


@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_lists_every_option(name):
    command = COMMANDS[name] if name else typer.main.get_command(app)
    arguments = [name, "--help"] if name else ["--help"]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120", "TERMINAL_WIDTH": "120"})
    text = unstyle(result.output)
    assert result.exit_code == 0
    for parameter in command.params:
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert option in text
        assert getattr(parameter, "help", None) or parameter.name == "help"
    for other in COMMANDS if name is None else ():
        assert other in text


def test_no_arguments_show_the_help(run):
    code, out, err = run()
    assert code in {0, 2}
    assert "search" in unstyle(out + err)


def test_version_is_the_packages(run):
    from importlib.metadata import version

    assert run("--version") == (0, f"mean-prompt {version('mean-prompt')}\n", "")


def test_warnings_are_one_line_and_end_with_their_block(capsys):
    import warnings

    with one_line_warnings():
        warnings.warn("scores are of another space", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "mean-prompt: warning: scores are of another space\n"
    with pytest.warns(UserWarning, match="again"):
        warnings.warn("again", UserWarning, stacklevel=1)


def test_a_corpus_that_is_not_there_is_missed_before_anything_heavy_is_loaded(tmp_path):
    code = """if True:
        import sys
        import mean_prompt.cli.app
        print(*sys.modules)
        sys.argv = ["mean-prompt", "score", "x", "--corpus", "a=no"]
        try:
            mean_prompt.cli.main()
        finally:
            print("torch" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    modules, has_torch = done.stdout.splitlines()
    heavy = {"torch", "numpy", "transformers", "optuna", "sklearn", "polars", "pydantic"}
    heavy |= {"jinja2", "IPython"}
    assert "mean_prompt.cli.search" in modules.split()
    assert heavy.isdisjoint(modules.split())
    assert (done.returncode, has_torch) == (2, "False")
    assert "a file of prompts must exist: found no file or folder" in done.stderr
