"""What results, corpora, strings and answers show of themselves, as data and in a browser."""

from dataclasses import replace
from pathlib import Path

import pytest

from mean_prompt.corpus.corpus import Corpus, corpus_view
from mean_prompt.hybrid.answer import Answer, answer_view
from mean_prompt.hybrid.evaluation import Evaluation, GroupScore, MethodScore, evaluation_view
from mean_prompt.objective.intervals import Interval
from mean_prompt.optimize.scores import ContextScores, Side
from mean_prompt.report.progress.notebook import progress_html
from mean_prompt.runs.progress import SearchProgress
from mean_prompt.runs.result import ScoredString, SearchResult, result_view, scored_view
from mean_prompt.system.html import shortened
from tests.browser import page_of, serious_faults

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
HOSTILE = (
    "<script>document.title = 'gone'</script><img src=x onerror=alert(1)> \"'&amp; "
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{HEBREW LETTER ALEF} $x^2$ \N{PARROT}\n"
    + "a very long text "
    * 700
)
STRINGS = ["make it a poem", "كتابة النص", HOSTILE, "x", " x ", " "]


@pytest.fixture
def result():
    """A real result, with figures that stay when the reference is made anew."""
    return replace(
        SearchResult.load(REFERENCE),
        score=0.09591,
        fraction=0.7671,
        tokens=49,
        evaluations=5_066,
        seconds=120.3,
        search_seconds=109.1,
    )


@pytest.fixture
def affix(result):
    side = Side(rows=400, groups=200, without=0.340, affixed=0.352, low=0.0034, high=0.0170)
    scores = ContextScores("suffix", everything=side, train=side, holdout=None)
    return replace(result, context=scores, string="in a warm tone")


@pytest.fixture
def evaluation():
    interval = Interval(0.34, 0.39)
    methods = [
        MethodScore(name, mean, interval, mean - 0.343, Interval(-0.01, 0.02), mean / 0.343)
        for name, mean in (("hybrid", 0.366), ("LLM alone", 0.343), ("oracle", 0.505))
    ]
    winners, losers = (GroupScore(HOSTILE, 3, 0.5, 0.3),), (GroupScore("a poem", 2, 0.1, 0.3),)
    kinds = {"prediction": 400, "retrieved": 111}
    notes = ("fold 1: <i>quick</i>",)
    return Evaluation(
        511, 255, "LLM alone", tuple(methods), 0.351, kinds, winners, losers, notes, outcomes=()
    )


@pytest.fixture
def answer():
    return Answer("<7>", HOSTILE, "prefix + prediction", 0.4131, None, "blend", 30, with_llm=False)


def rows(table):
    return [tuple(getattr(cell, "head", cell) for cell in row) for row in table.rows]


def test_a_result_stands_last_among_what_it_is_compared_with(result):
    [table] = result_view(result).tables
    scores = [float(row[1]) for row in table.rows]
    assert scores == sorted(scores)
    assert rows(table)[table.strong] == ("found", "0.09591", "0.767", "as above")
    assert rows(table)[2][0] == "best corpus prompt"
    bare = replace(result, holdout_score=None, holdout_interval=None, out=None, details={})
    assert result_view(bare).lines == ("49 tokens, 5,066 evaluations in 2m (46/s searching)",)


def test_an_affix_shows_its_sides(affix):
    view = result_view(affix)
    assert view.title == "suffix that changes the mean SCS of predictions by +3.53%"
    [table] = view.tables
    assert table.headings[3:5] == ("without suffix", "with suffix")
    assert rows(table)[0] == (
        "searched", "400", "200", "0.34000", "0.35200", "+3.53%", "+1.00% to +5.00%",
    )  # fmt: skip
    assert [row[0] for row in table.rows] == ["searched", "all"]
    none = result_view(replace(affix, string=""))
    assert none.string is None
    assert none.title.startswith("No suffix was found that is better than none")


def test_a_corpus_shows_weights_and_cleaning_of_each_source(tmp_path):
    for name, lines in {"a": ["one", "two ", "", "two"], "b": ["two", "three", "four"]}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    corpus = Corpus.from_files(f"mine={tmp_path / 'a.txt'}:3", f"{tmp_path / 'b.txt'}:1")
    view = corpus_view(corpus)
    sources, examples = view.tables
    assert view.title == "corpus of 4 prompts"
    assert rows(sources)[0][:7] == ("mine", "2", "4", "1", "1", "1", "75.0%")
    assert rows(sources)[1][:7] == ("b", "2", "3", "0", "1", "0", "25.0%")
    assert rows(examples)[1] == ("2", "58.333%", "two")
    assert view.lines == ("prompts have weights from 8.333% to 58.333%",)


@pytest.mark.parametrize(
    ("count", "numbers"), [(2, ["1", "2"]), (1_001, ["1", "201", "401", "601", "801", "1,001"])]
)
def test_examples_are_from_all_of_a_corpus(count, numbers):
    corpus = Corpus.from_prompts([f"prompt {number}" for number in range(1, count + 1)])
    examples = corpus_view(corpus).tables[-1]
    assert [row[0] for row in rows(examples)] == numbers
    assert [row[2] for row in rows(examples)] == [
        f"prompt {number.replace(',', '')}" for number in numbers
    ]


def test_an_evaluation_shows_each_method_as_the_command_does(evaluation):
    methods, winners, losers = evaluation_view(evaluation).tables
    assert rows(methods)[methods.strong] == (
        "hybrid", "0.3660", "0.340 to 0.390", "1.067", "-0.0100 to +0.0200",
    )  # fmt: skip
    assert rows(winners)[0][0] == HOSTILE[:240]
    assert rows(losers)[0] == ("a poem", "0.100", "0.300", "2")


def test_an_answer_leaves_out_what_was_not_known(answer):
    [table] = answer_view(answer).tables
    assert dict(rows(table)) == {
        "kind": "prefix + prediction",
        "decided": "by weighing candidates",
        "expected SCS": "0.4131",
        "strings compared": "30",
    }
    by_rule = answer_view(replace(answer, rule="no time", expected=None, trust=0.25))
    assert dict(rows(by_rule.tables[0]))["decided"] == "by rule: no time"
    assert dict(rows(by_rule.tables[0]))["trust in the prediction"] == "0.250"


@pytest.mark.parametrize(
    ("text", "head", "of"),
    [
        ("x" * 240, "x" * 240, None),
        ("x" * 241, "x" * 240, 241),
        ("half \ud83d an emoji", "half \\ud83d an emoji", None),
    ],
)
def test_long_texts_are_cut_and_say_so(text, head, of):
    assert (shortened(text).head, shortened(text).of) == (head, of)


def test_a_score_beyond_its_bounds_is_drawn_within_them():
    low = ScoredString("x", 1, -0.1, -0.8, 0.125, truncated=False)
    high = replace(low, fraction=1.0000001)
    assert [scored_view(one).share for one in (low, high)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        (SearchProgress("loaded", 0, 100, seconds=1.0, remaining=9.0, notes=("said",)), None),
        (SearchProgress("searching", 25, None, seconds=3.0, remaining=1.0, text="x"), "75 %"),
        (SearchProgress("searching", 25, 50, seconds=1.0, remaining=9.0, text="x"), "50 %"),
        (SearchProgress("searching", 60, 50, seconds=1.0, remaining=None, text="x"), "100 %"),
    ],
)
def test_the_bar_is_of_the_limit_that_is_nearer(progress, share):
    html = progress_html(progress, "", [])
    assert (f'aria-label="{share} done"' in html) if share else ("aria-label" not in html)


def test_the_newest_edit_stands_out():
    progress = SearchProgress(
        "searching", 1, None, seconds=1.0, remaining=None, text="keep the <b> tone"
    )
    html = progress_html(progress, "keep a tone", [])
    mark = '<strong style="text-decoration: underline">'
    assert f"keep {mark}the</strong> {mark}&lt;b&gt;</strong> tone" in html
    assert mark not in progress_html(progress, "", [])


@pytest.fixture
def page_file(result, affix, evaluation, answer, tmp_path):
    """All views below each other, as a notebook shows them, on light or on dark."""
    searching = SearchProgress(
        "searching", 9, None, seconds=3.0, remaining=1.0, score=0.09, fraction=0.7, text=HOSTILE
    )
    held = [
        result,
        affix,
        Corpus.from_prompts(STRINGS, name=HOSTILE),
        ScoredString(HOSTILE, 9, 0.1, 0.8, 0.125, truncated=True),
        evaluation,
        answer,
    ]
    fragments = [thing._repr_html_() for thing in held]
    fragments.append(progress_html(searching, "make it", [HOSTILE]))
    path = tmp_path / "notebook.html"
    path.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>notebook</title>"
        "<style>body { background: #fff; color: #111 } @media (prefers-color-scheme: dark) "
        "{ body { background: #111; color: #ddd } }</style></head><body><main><h1>notebook</h1>"
        + "".join(f"<section>{fragment}</section>" for fragment in fragments)
        + "</main></body></html>",
        "utf-8",
    )
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_are_readable_and_do_nothing(browser, page_file, scheme):
    with page_of(browser, page_file.as_uri(), scheme=scheme) as page:
        assert page.title() == "notebook"
        assert page.locator("script, img, a, link, iframe").count() == 0
        assert serious_faults(page) == []
        assert page.locator("section").count() == 7
        for table in page.locator("table").all():
            assert table.locator("caption").count() == 1
            assert table.locator("tbody th[scope=row]").count() == table.locator("tbody tr").count()
        colours = "e => [getComputedStyle(e).color, getComputedStyle(document.body).color]"
        for name in ("strong", "td", "th", "bdi", "caption"):
            own, of_page = page.locator(name).first.evaluate(colours)
            assert own == of_page


def test_a_text_from_right_to_left_leaves_its_neighbours_alone(browser, page_file):
    """The count behind a text that was cut inside of an override reads from left to right."""
    with page_of(browser, page_file.as_uri()) as page:
        counts = page.get_by_text("characters)")
        assert counts.count() >= 5
        for count in counts.all():
            first, last = count.evaluate(
                """element => {
                    const text = element.firstChild, end = text.length;
                    return [[end - 11, end - 10], [end - 1, end]].map(([from, to]) => {
                        const range = document.createRange();
                        range.setStart(text, from);
                        range.setEnd(text, to);
                        return range.getBoundingClientRect().left;
                    });
                }"""
            )
            assert first < last
