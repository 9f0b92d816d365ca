"""The page of a submission in a real browser: its numbers, its plots, and who can read it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pyarrow import parquet

from mean_prompt.report.page.submission_files import SubmissionFiles
from mean_prompt.report.page.truth import find_truth, joined_triples
from mean_prompt.report.write import write_submission_report
from tests.browser import DESKTOP, PHONE, page_of, serious_faults
from tests.hybrid.synthetic import encoder
from tests.report.submissions import ANSWERS, TRUTHS, by_hand, write_submission, write_truth

COPIES = 9


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A submission with the truth of most of its rows, and its page."""
    folder = tmp_path_factory.mktemp("page")
    answers = [
        replace(answer, id=f"{answer.id}{copy}") for answer in ANSWERS for copy in range(COPIES)
    ]
    truths = {f"{name}{copy}": text for name, text in TRUTHS.items() for copy in range(COPIES)}
    out = write_submission(folder, answers)
    files = SubmissionFiles.read(out)
    known, triples = joined_triples(files, write_truth(folder / "truth.csv", truths))
    write_submission_report(files, find_truth(files, known, triples, encoder()))
    return out


@pytest.fixture(scope="module")
def page(browser, place):
    """The page, opened once."""
    with page_of(browser, place.with_suffix(".html").as_uri()) as page:
        yield page


def cells(page, caption):
    """Return a table's rows as texts."""
    table = page.locator("table", has=page.locator("caption", has_text=caption))
    return [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]


def test_numbers_on_the_page_are_those_of_the_table(page, place):
    rows = parquet.read_table(place.with_suffix(".parquet")).to_pylist()
    shown = {row[0]: row for row in cells(page, "Answers by kind;")}
    counts = Counter(row["kind"] for row in rows)
    assert {kind: int(row[1]) for kind, row in shown.items()} == counts
    for kind, cell in shown.items():
        expected = [r["expected"] for r in rows if r["kind"] == kind and r["expected"] is not None]
        assert float(cell[3]) == pytest.approx(np.mean(expected), abs=1e-4)
    methods = {row[0]: float(row[1]) for row in cells(page, "Ways of answering the same rows")}
    hand = by_hand()
    assert methods == pytest.approx(
        {
            "hybrid": hand.actual.mean(),
            "universal alone": hand.universal.mean(),
            "LLM alone": hand.llm.mean(),
        },
        abs=1e-4,
    )
    points = page.evaluate("() => document.getElementById('plot-truth').data.map(t => t.x)")
    assert sum(map(len, points[:-1])) == sum(row["expected"] is not None for row in rows)


def test_every_plot_is_drawn_and_wide(page):
    plots = page.locator(".plot").all()
    assert len(plots) == 9
    for plot in plots:
        assert plot.locator(".main-svg").first.bounding_box()["width"] > 500
        assert plot.get_attribute("aria-label")


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_everyone_can_read_it(page, viewport, scheme):
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(f"document.documentElement.scrollWidth <= {viewport['width']}")
    assert serious_faults(page) == []
