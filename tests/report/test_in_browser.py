"""A report in a real browser, as a person would use it."""

import json
import re

import pytest
from playwright.sync_api import expect

from mean_prompt.runs.files import REPORT
from tests.browser import DESKTOP, PHONE, page_of, serious_faults
from tests.report.conftest import HOSTILE, PREFIX


@pytest.fixture(scope="module")
def url(hostile_run):
    out, _ = hostile_run
    return (out / REPORT).as_uri()


@pytest.fixture(scope="module")
def page(browser, url):
    """The report, opened once: loading and drawing take longer than all that is looked at."""
    with page_of(browser, url) as page:
        yield page


def figures(page):
    """Return the figures of the page by name."""
    rows = page.locator("#score .figures div").all()
    return {
        row.locator("dt").inner_text(): row.locator("dd").inner_text().split("\n")[0]
        for row in rows
    }


def test_the_figures_are_those_of_the_result(page, hostile_run):
    _, result = hostile_run
    shown = figures(page)
    assert float(shown["score"]) == pytest.approx(result["score"], abs=5e-6)
    assert float(shown["training"]) == pytest.approx(result["train_score"], abs=5e-6)
    assert float(shown["hold-out"]) == pytest.approx(result["holdout_score"], abs=5e-6)
    assert float(shown["of the ceiling"].rstrip(" %")) == pytest.approx(
        100 * result["fraction"], abs=0.05
    )
    assert f"{result['evaluations']:,} strings encoded" in page.inner_text("#status")
    found = page.locator("#score tr.found td").all_inner_texts()
    assert float(found[0]) == pytest.approx(result["score"], abs=5e-5)
    assert page.locator("#score tbody tr").count() == len(result["baselines"]) + 1


def test_every_figure_is_drawn(page):
    places = page.locator(".plot").all()
    assert {place.get_attribute("id") for place in places} >= {
        "plot-progress", "plot-cosines", "plot-map", "plot-moves",
    }  # fmt: skip
    for place in places:
        place.locator(".main-svg").first.wait_for()
        assert place.locator(".trace, .points path, .bars path").count()


def test_the_button_copies_the_exact_bytes(page, hostile_run):
    out, _ = hostile_run
    # Once as browsers do it, and once without their interface to the clipboard.
    for change in ("", "navigator.clipboard.writeText = () => Promise.reject(Error())"):
        page.evaluate("navigator.clipboard.writeText('')")
        page.evaluate(f"() => {{ {change} }}")
        page.get_by_role("button", name="Copy the string").click()
        page.get_by_text("Copied.").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.encode() == (out / "best.txt").read_bytes()


def test_hostile_text_is_shown_and_does_nothing(page, hostile_run):
    _, result = hostile_run
    assert result["string"].startswith(PREFIX)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#string blockquote .text").evaluate("e => e.textContent") == (
        result["string"].replace("\r\n", "\n")
    )
    served = page.locator("#prompts td .text").evaluate_all("all => all.map(e => e.textContent)")
    shown = [text.replace("\r\n", "\n") for text in HOSTILE if len(text) < 1_000]
    assert set(shown) & set(served)
    assert all(len(text) <= 1_000 for text in served)
    assert page.locator("main img, main a, .plot a, main script").count() == 0
    # One script is Plotly's, one the page's; the two others are data.
    assert page.locator("script:not([type])").count() == 2
    assert page.title() == "mean-prompt: hostile <b>run"


def test_each_edit_is_a_diff(page, hostile_run):
    out, _ = hostile_run
    lines = (out / "events.jsonl").read_text("utf-8").splitlines()
    bests = [row for row in map(json.loads, lines) if row["event"] == "best"]
    page.get_by_text("All edits of the best string").click()
    rows = page.locator("#edits tbody tr")
    assert rows.count() == len(bests) > 3
    last = rows.last.locator(".diff .text")
    pieces = last.evaluate("e => [...e.childNodes].map(n => [n.nodeName, n.textContent])")
    kept = "".join(text for kind, text in pieces if kind != "DEL")
    assert kept == bests[-1]["text"].replace("\r\n", "\n")


def test_worths_are_a_table_too(page, hostile_run):
    out, _ = hostile_run
    look = json.loads((out / "analysis.json").read_text("utf-8"))["look"]
    page.get_by_text("The tokens as a table").click()
    shown = page.locator("#tokens tbody td:nth-child(3)").all_inner_texts()
    assert [float(worth) for worth in shown] == pytest.approx(
        [row["worth"] for row in look["worths"]], abs=5e-6
    )


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_it_is_readable_on_any_screen(page, viewport, scheme):
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    # Figures are drawn anew for the width, some moments after it has changed.
    widest = "Math.max(...[...document.querySelectorAll('.main-svg')].map(e => e.clientWidth))"
    page.wait_for_function(f"{widest} <= {viewport['width']}")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert serious_faults(page) == []


def test_figures_change_their_colours_with_the_scheme(page):
    line = page.locator("#plot-progress .scatterlayer .trace path.js-line").last
    for scheme, colour in (("light", "rgb(0, 114, 178)"), ("dark", "rgb(77, 163, 224)")):
        page.emulate_media(color_scheme=scheme)
        expect(line).to_have_css("stroke", colour)


def test_without_scripts_the_numbers_are_there(browser, hostile_run, url):
    _, result = hostile_run
    with page_of(browser, url, java_script_enabled=False) as page:
        assert figures(page)["score"] == f"{result['score']:.5f}"


def test_a_page_of_a_run_on_its_way_shows_what_there_is(browser, hostile_run, tmp_path):
    from mean_prompt.report.write import write_report

    out, _ = hostile_run
    for name in ("recipe.toml", "best.txt"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    lines = (out / "events.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "events.jsonl").write_bytes(b"".join(lines[:6]) + b'{"event": "be')
    with page_of(browser, write_report(tmp_path).as_uri()) as page:
        assert page.inner_text("#status").startswith("Interrupted: ")
        assert re.fullmatch(r"0\.\d{5}", figures(page)["score so far"])
        assert page.locator("#plot-progress .main-svg").first.is_visible()
        assert not page.locator("#tokens").is_visible()
