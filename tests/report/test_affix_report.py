"""The sections of an affix's run, and its page in a browser."""

import re

import pytest

from mean_prompt import search_affix
from mean_prompt.report.analysis.data import AffixAnalysis, AffixRow, TokenWorth
from mean_prompt.report.page.files import RunFiles
from mean_prompt.report.page.run_report import affix_sections, run_parts
from mean_prompt.system.errors import InputError
from tests.browser import page_of, serious_faults
from tests.runs.test_affix_session import make_context, make_recipe

HOSTILE = "<img src=x onerror=alert(1)> \u202e🦜"


def analysis(**changes):
    changed = [0.2, -0.1, 0.0, 0.3]
    rows = tuple(
        AffixRow(
            id=f"r{number}",
            prediction=HOSTILE,
            prompt=f"truth {number}",
            without=0.5,
            affixed=0.5 + change,
            held_out=number == 3,
        )
        for number, change in enumerate(changed)
    )
    worths = (TokenWorth(piece="so", worth=0.1), TokenWorth(piece=" it", worth=-0.05))
    given = {"text": "so it", "position": "suffix", "rows": rows, "worths": worths, "judged": 3}
    return AffixAnalysis(**given | changes)


def sections(**changes):
    figures = {}
    return dict(affix_sections(analysis(**changes), figures)), figures


def test_rows_that_gain_and_lose_stand_by_their_change():
    found, figures = sections()
    best, worst = found["rows"].split("The rows that lose most</caption>")
    assert re.findall(r"<bdi>(r\d)</bdi></td><td>(\w+)", best) == [("r3", "yes"), ("r0", "no")]
    assert re.findall(r"<bdi>(r\d)</bdi></td><td>(\w+)", worst) == [("r1", "no")]
    assert "Of 4 predictions 2 score higher with the suffix, and 1 lower" in found["rows"]
    assert sum(figures["plot-change"]["data"][0]["y"]) == 4
    assert HOSTILE not in found["rows"]
    assert "&lt;img src=x onerror=alert(1)&gt;" in found["rows"]


def test_tokens_say_what_they_are_judged_by():
    some = sections()[0]["tokens"]
    assert "mean SCS of 3 of 4 predictions, drawn at random, with the suffix" in some
    assert "+0.10000" in some
    assert "-0.05000" in some
    assert "mean SCS of every prediction with the suffix" in sections(judged=4)[0]["tokens"]
    assert "tokens" not in sections(worths=())[0]


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_bert):
    out = tmp_path_factory.mktemp("affix") / "run"
    plan = make_recipe(search={"max_evaluations": 2_000})
    found = search_affix(make_context(), model=tiny_bert, recipe=plan, out=out)
    return out, found


def test_a_runs_rows_add_up_to_its_result(run):
    out, found = run
    rows = RunFiles.read(out).affix.rows
    for side, some in (
        (found.context.everything, rows),
        (found.context.holdout, [row for row in rows if row.held_out]),
        (found.context.train, [row for row in rows if not row.held_out]),
    ):
        assert len(some) == side.rows
        assert sum(row.without for row in some) / len(some) == pytest.approx(side.without)
        assert sum(row.affixed for row in some) / len(some) == pytest.approx(side.affixed)
    parts = run_parts(out)
    assert {"rows", "tokens"} < set(parts.sections)


def test_rows_of_another_string_are_not_shown(run, tmp_path):
    out, _ = run
    for name in ("result.json", "recipe.toml", "events.jsonl"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    (tmp_path / "rows.json").write_text(analysis(text="another").model_dump_json())
    assert RunFiles.read(tmp_path).affix is None
    (tmp_path / "rows.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"a run's rows\.json must be whole: .*text: Field required"
    ):
        RunFiles.read(tmp_path)


def test_the_page_of_a_run_shows_it(browser, run):
    out, _ = run
    with page_of(browser, (out / "report.html").as_uri()) as page:
        assert page.locator("#rows .main-svg").first.bounding_box()["width"] > 500
        bars = page.evaluate("() => document.getElementById('plot-change').data[0].y")
        assert sum(bars) == 60
        assert page.locator("#tokens .token").count() == len(RunFiles.read(out).affix.worths)
        assert serious_faults(page) == []
