"""Comparing methods: fair turns, honest scores, and a report that survives an interruption."""

import json
import math

import numpy as np
import pytest

from mean_prompt.bench import methods as bench
from mean_prompt.bench.methods import BenchProgress, bench_methods
from mean_prompt.bench.page import curve, methods_markdown, methods_page, summary_rows
from mean_prompt.bench.report import MethodRun, MethodsReport, TracePoint, summarize
from mean_prompt.corpus import Corpus
from mean_prompt.objective import ExpectedSCS
from mean_prompt.runs import Recipe
from mean_prompt.runs.recipe import ModelSection
from mean_prompt.system import InputError, ProgressEvent, RunError
from tests.fakes import WORDS, FakeEncoder

SEARCHED = []


class Steps:
    """A method that takes random strings, one a step, for some steps."""

    def __init__(self, name, steps=6):
        self.name = name
        self._steps = steps

    def search(self, task, start=None):
        SEARCHED.append((self.name, task.seed))
        rng = np.random.default_rng(task.seed)
        best = start or task.starts[0]
        yield best
        for _ in range(self._steps):
            body = tuple(rng.choice(task.vocabulary.allowed, 4).tolist())
            [found] = task.evaluator.exact(
                [row for row in task.evaluator.screen([body]) if row] or [best]
            )
            best = max(best, found, key=lambda row: row.score)
            yield best


class Broken(Steps):
    """A method that yields a string over the limit."""

    def search(self, task, start=None):  # noqa: ARG002
        from dataclasses import replace

        yield replace(task.starts[0], text=" ".join(WORDS))


class Interrupted(Steps):
    """A method during which the user presses Ctrl-C."""

    def search(self, task, start=None):  # noqa: ARG002
        yield task.starts[0]
        raise KeyboardInterrupt


@pytest.fixture
def fakes(monkeypatch):
    """Return a function that replaces the known methods."""

    def put(*methods):
        SEARCHED.clear()
        monkeypatch.setattr(bench, "known_methods", lambda _: {row.name: row for row in methods})

    return put


@pytest.fixture
def corpus():
    rng = np.random.default_rng(3)
    return Corpus.from_prompts([" ".join(rng.choice(WORDS, 5)) for _ in range(60)])


@pytest.fixture
def compare(corpus):
    def compare(**options):
        return bench_methods(
            corpus, **({"model": FakeEncoder(), "max_tokens": 6, "seeds": (4, 9)} | options)
        )

    return compare


def a_run(method="mean-prompt", seed=0, fractions=(0.1, 0.4), *, holdout=0.09, step=10.0):
    shared = {"train_score": 0.1, "holdout_score": holdout}
    trace = tuple(
        TracePoint(seconds=step * number, evaluations=100 * number, fraction=fraction, **shared)
        for number, fraction in enumerate(fractions, 1)
    )
    work = {"evaluations": 500, "evaluations_per_second": 50.0, "seconds": 60.0, "trace": trace}
    answer = {"string": "a <b> | c", "tokens": 5, "score": 0.05, "fraction": fractions[-1]}
    return MethodRun(method=method, seed=seed, **answer, **shared, **work)


def test_runs_are_interleaved_and_all_there(fakes, compare):
    fakes(Steps("one"), Steps("two"))
    report = compare()
    assert SEARCHED == [("one", 4), ("two", 4), ("two", 9), ("one", 9)]
    assert [(run.method, run.seed) for run in report.runs] == SEARCHED
    assert report.complete
    assert report.setup.methods == ("one", "two")
    assert set(report.setup.preparation) == {"model", "corpus", "vocabulary", "starts"}


def test_a_run_is_scored_over_all_prompts_from_its_text(fakes, compare, corpus):
    fakes(Steps("one", steps=40))
    encoder = FakeEncoder()
    report = compare(model=encoder, seeds=(1,))
    [run] = report.runs
    vectors = encoder.encode(corpus.prompts)
    objective = ExpectedSCS(vectors, corpus.weights)
    expected = float(objective.score(encoder.encode([run.string]))[0])
    assert run.score == pytest.approx(expected, rel=1e-5)
    assert run.fraction == pytest.approx(expected / objective.ceiling().value, rel=1e-4)
    assert run.tokens == len(run.string.split()) <= 6
    share = report.setup.train / report.setup.prompts
    mixed = share * run.train_score + (1 - share) * run.holdout_score
    assert mixed == pytest.approx(run.score, rel=0.02)


def test_a_trace_holds_the_improvements_alone(fakes, compare):
    fakes(Steps("one", steps=40))
    [run] = compare(seeds=(1,)).runs
    trains = [at.train_score for at in run.trace]
    assert len(trains) > 1
    assert trains == sorted(set(trains))
    assert all(a.seconds <= b.seconds for a, b in zip(run.trace, run.trace[1:], strict=False))
    assert run.trace[-1].evaluations <= run.evaluations
    assert run.trace[-1].fraction == run.fraction


def test_without_a_hold_out_there_is_no_score_on_it(fakes, compare):
    fakes(Steps("one"))
    report = compare(recipe=Recipe().override(corpus={"holdout": 0}))
    assert {run.holdout_score for run in report.runs} == {None}
    assert report.summaries[0].holdout_ratio is None


def test_a_method_that_breaks_a_rule_ends_the_comparison(fakes, compare):
    fakes(Broken("one"))
    with pytest.raises(RunError, match=r"one yielded .* has 10 tokens, over 6"):
        compare()


def test_ctrl_c_keeps_what_was_finished(fakes, compare, tmp_path):
    fakes(Steps("one"), Interrupted("two"))
    report = compare(out=tmp_path / "out")
    assert [run.method for run in report.runs] == ["one"]
    assert not report.complete
    saved = json.loads((tmp_path / "out" / "methods.json").read_text())
    assert saved == report.model_dump(mode="json")
    assert "runs are missing" in (tmp_path / "out" / "methods.md").read_text()
    fakes(Interrupted("one"))
    with pytest.raises(RunError, match="before its first run"):
        compare()


def test_json_is_written_after_every_run(fakes, compare, tmp_path):
    fakes(Steps("one"), Steps("two"))
    seen = []

    def listen(at: ProgressEvent):
        file = tmp_path / "methods.json"
        if at.phase == "running" and file.exists():
            seen.append((at.done, len(json.loads(file.read_text())["runs"])))

    report = compare(out=tmp_path, listener=listen)
    assert {done for done, _ in seen} == {1, 2, 3}
    assert all(done == there for done, there in seen)
    assert MethodsReport.model_validate_json((tmp_path / "methods.json").read_text()) == report
    assert {path.name for path in tmp_path.iterdir()} == {
        "methods.html", "methods.json", "methods.md",
    }  # fmt: skip


def test_the_listener_receives_every_phase(fakes, compare):
    fakes(Steps("one"))
    events = []
    compare(listener=events.append)
    phases = list(dict.fromkeys(at.phase for at in events))
    assert phases == ["loading", "embedding", "vocabulary", "running"]
    last = events[-1]
    assert isinstance(last, BenchProgress)
    assert (last.done, last.total, last.method, last.seed) == (1, 2, "one", 9)
    assert 0 < last.fraction <= 1


def test_no_start_is_an_error(fakes, compare):
    fakes(Steps("one"))
    with pytest.raises(RunError, match="needs a start"):
        compare(recipe=Recipe().override(constraints={"banned_words": WORDS[:-1]}, corpus={}))


# -- summaries ----------------------------------------------------------------------------------


def test_a_summary_compares_with_the_best_peer():
    runs = [
        a_run(seed=0, fractions=(0.2, 0.5, 0.6)),
        a_run(seed=1, fractions=(0.5, 0.8)),
        a_run(seed=2, fractions=(0.1, 0.7)),
        *(a_run("good", seed, (0.3, value)) for seed, value in enumerate((0.4, 0.5, 0.6))),
        *(a_run("poor", seed, (0.1, 0.2)) for seed in range(3)),
    ]
    own, good, poor = summarize(runs)
    assert [own.method, good.method, poor.method] == ["mean-prompt", "good", "poor"]
    assert (own.median, own.low, own.high) == (0.7, 0.6, 0.8)
    assert own.ratio == pytest.approx(0.7 / 0.5)
    assert own.seconds_to_peer == 20.0  # of 20, 10 and 20
    assert own.holdout_ratio == pytest.approx(0.9)
    assert good.ratio == 1.0
    assert poor.seconds_to_peer is None


def test_a_run_knows_when_it_reached_a_fraction():
    run = a_run(fractions=(0.2, 0.5))
    assert run.seconds_to(0.2) == 10.0
    assert run.seconds_to(0.3) == 20.0
    assert math.isinf(run.seconds_to(0.6))


def test_a_curve_is_a_band_over_the_runs():
    runs = [a_run(fractions=(0.2, 0.5)), a_run(fractions=(0.4, 0.6))]
    assert curve(runs, [0.0, 15.0, 30.0]) == [
        (0.2, pytest.approx(0.3), 0.4),
        (0.2, pytest.approx(0.3), 0.4),
        (0.5, pytest.approx(0.55), 0.6),
    ]


# -- pages --------------------------------------------------------------------------------------


@pytest.fixture
def report(fakes, compare):
    fakes(Steps("mean-prompt", steps=20), Steps("peer<>"))
    return compare()


def test_markdown_holds_command_table_and_string_and_the_page_a_plot(report):
    text = methods_markdown(report)
    assert f"`{report.setup.machine.command}`" in text
    for row in summary_rows(report):
        assert f"| {' | '.join(row)} |" in text
    assert max(report.runs, key=lambda run: run.fraction).string in text
    page = methods_page(report)
    assert "Plotly.newPlot" in page
    assert not any(f'src="{scheme}' in page for scheme in ("http:", "https:", "//"))


# -- bad input ----------------------------------------------------------------------------------


def test_bad_input_is_found_before_the_model_is_loaded(fakes, monkeypatch, tmp_path):
    fakes(Steps("one"))
    monkeypatch.setattr(ModelSection, "load", lambda _: pytest.fail("a model was loaded"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    good = tmp_path / "good.txt"
    good.write_text("make it rhyme\nshorten this\nas a poem\n")
    for options, message in (
        ({"budget": "soon"}, "a duration reads like"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"corpus": [tmp_path / "none.csv"]}, "none.csv"),
        ({"out": blocked}, "--out must be a folder"),
    ):
        with pytest.raises(InputError, match=message):
            bench_methods(**({"corpus": [good]} | options))


def test_the_limit_is_32_tokens_by_default(fakes, corpus):
    fakes(Steps("one"))
    big = FakeEncoder(max_tokens=200)
    assert bench_methods(corpus, model=big, seeds=(0,)).setup.max_tokens == 32
    recipe = Recipe().override(constraints={"max_tokens": 20})
    assert bench_methods(corpus, model=big, seeds=(0,), recipe=recipe).setup.max_tokens == 20
