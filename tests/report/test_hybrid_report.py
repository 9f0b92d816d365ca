"""The page of a submission: its sections, its figures by hand, and its command."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mean_prompt.corpus.triples import Rows, Triples
from mean_prompt.hybrid.comparison import Comparison
from mean_prompt.hybrid.evaluation import Evaluation, method_scores, outcomes_of
from mean_prompt.hybrid.options import BlendOptions
from mean_prompt.report import write
from mean_prompt.report.page import hybrid_figures
from mean_prompt.report.page.hybrid_report import evaluation_parts, submission_parts
from mean_prompt.report.page.page import render
from mean_prompt.report.page.submission_files import SubmissionFiles
from mean_prompt.report.page.truth import find_truth, joined_triples
from mean_prompt.system.errors import InputError
from tests.hybrid.synthetic import encoder
from tests.report.submissions import (
    ANSWERS,
    ODD,
    TRUTHS,
    UNIVERSAL,
    by_hand,
    write_submission,
    write_truth,
)


def truth_of(files, path):
    answers, triples = joined_triples(files, path)
    return find_truth(files, answers, triples, encoder())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("submission")
    out = write_submission(folder)
    write_truth(folder / "truth.csv")
    return out


@pytest.fixture(scope="module")
def parts(place):
    return submission_parts(SubmissionFiles.read(place))


@pytest.fixture(scope="module")
def known(place):
    files = SubmissionFiles.read(place)
    return submission_parts(files, truth_of(files, place.parent / "truth.csv"))


def text_of(html):
    """Return what a reader sees, blanks made one."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


class TestTruth:
    def test_rows_are_joined_on_ids_in_the_submissions_order(self, place):
        files = SubmissionFiles.read(place)
        answers, triples = joined_triples(files, place.parent / "truth.csv")
        assert [answer.id for answer in answers] == ["a", "b", "c", "d", "f"]
        assert triples.prompts == tuple(TRUTHS.values())

    def test_scores_are_as_by_hand(self, place):
        found = truth_of(SubmissionFiles.read(place), place.parent / "truth.csv")
        hand = by_hand()
        for name in ("actual", "universal", "llm"):
            values = [getattr(row, name) for row in found.outcomes]
            assert values == pytest.approx(getattr(hand, name), abs=1e-6), name
        means = {method.name: method.mean for method in found.methods}
        assert means == {
            "hybrid": pytest.approx(hand.actual.mean(), abs=1e-6),
            "universal alone": pytest.approx(hand.universal.mean(), abs=1e-6),
            "LLM alone": pytest.approx(hand.llm.mean(), abs=1e-6),
        }
        assert found.notes[0] == "The truth of 5 of 6 rows is known."
        assert len(found.notes) == 2

    def test_another_model_is_said(self, place):
        files = SubmissionFiles.read(place)
        answers, triples = joined_triples(files, place.parent / "truth.csv")
        found = find_truth(files, answers, triples, encoder(seed=1))
        assert "by another model: expected and actual scores do not compare" in found.notes[-1]

    def test_what_is_not_known_any_more_is_left_out(self, tmp_path):
        answers = [replace(ANSWERS[0], prediction=None), replace(ANSWERS[1], prediction=None)]
        out = write_submission(tmp_path, answers)
        shutil.rmtree(out.with_suffix(".work"))
        found = truth_of(SubmissionFiles.read(out), write_truth(tmp_path / "truth.csv"))
        assert [method.name for method in found.methods] == ["hybrid"]
        assert {(row.universal, row.llm) for row in found.outcomes} == {(None, None)}
        parts = submission_parts(SubmissionFiles.read(out), found)
        assert not {"gains", "reproduce"} & set(parts.sections)

    def test_strangers_are_no_truth(self, place, tmp_path):
        write_truth(tmp_path / "other.csv", {})
        with pytest.raises(
            InputError, match=r"other\.csv has none of the 6 ids of .*sub\.csv; give"
        ):
            joined_triples(SubmissionFiles.read(place), tmp_path / "other.csv")


class TestSections:
    def test_what_needs_the_truth_is_there_with_it_alone(self, parts, known):
        assert list(parts.sections) == ["status", "winners", "gains", "reproduce"]
        assert set(parts.figures) == {
            *("plot-kinds", "plot-expected", "plot-knowledge", "plot-trust", "plot-expected-gain"),
        }
        assert "actual" not in "".join(parts.sections.values()).lower()
        assert list(known.sections) == ["status", "winners", "truth", "gains", "reproduce"]
        assert set(known.figures) == {
            *("plot-kinds", "plot-expected", "plot-knowledge", "plot-trust", "plot-methods"),
            *("plot-truth", "plot-calibration", "plot-gain-universal", "plot-gain-llm"),
        }
        for page in (parts, known):
            html = "".join(page.sections.values())
            assert set(re.findall(r'class="plot" id="([^"]+)"', html)) == set(page.figures)

    def test_status_counts_rows(self, parts):
        line = text_of(parts.sections["status"])
        assert line.startswith(
            "6 rows: 4 with an answer of their own, 2 with the universal string."
        )
        assert "universal 2, prediction 1, joined 1, retrieved 1, affixed 1." in line
        assert "time" not in line

    def test_rows_without_time_or_reason_are_told(self, tmp_path):
        rows = [ANSWERS[0], replace(ANSWERS[1], text=UNIVERSAL), ANSWERS[3]]
        out = write_submission(tmp_path, rows, told=ANSWERS[:1], table=False)
        line = text_of(submission_parts(SubmissionFiles.read(out)).sections["status"])
        assert "1 rows were left with the universal string because time was up." in line
        assert "1 answers differ from those in the journal and the table" in line

    def test_kinds_and_means_stand_in_the_table(self, known):
        table = text_of(known.sections["winners"])
        actual = by_hand().actual
        assert f"prediction 1 16.7 % 0.6000 0.2000 0.9500 {actual[0]:.4f}" in table
        assert f"universal 2 33.3 % 0.2500 0.2500 {actual[2]:.4f}" in table
        assert "trust 0.8 to 1.0 1 0 1 0 0 0" in table
        assert "no prediction 2 1 0 0 0 1" in table

    def test_means_of_expected_and_actual_are_of_the_same_rows(self, known):
        html = text_of(known.sections["truth"])
        assert "mean expected 0.41000 SCS, 5 rows that were weighed" in html
        hand = by_hand()
        assert f"mean actual {hand.actual.mean():.5f} the same rows" in html
        *traces, line = known.figures["plot-truth"]["data"]
        points = [point for trace in traces for point in zip(trace["x"], trace["y"], strict=True)]
        expected = [answer.expected for answer in ANSWERS if answer.id in hand.ids]
        by_row = sorted(zip(expected, hand.actual, strict=True))
        assert np.array(sorted(points)) == pytest.approx(np.array(by_row), abs=1e-5)
        assert line["x"] == line["y"]

    def test_rows_stand_by_their_gain(self, known):
        hand = by_hand()
        section = known.sections["gains"]
        universal, llm = section.split("Actual gain over the LLM alone</h3>")
        for html, gains in (
            (universal, hand.actual - hand.universal),
            (llm, hand.actual - hand.llm),
        ):
            best, worst = html.split("rows that gain least</caption>")
            order = np.argsort(-gains, kind="stable")
            for part, rows in ((best, order[:3]), (worst, order[:2:-1])):
                ids = re.findall(r"<td><bdi>(\w)</bdi></td>", part)
                assert [hand.ids.index(name) for name in ids] == rows.tolist()
                shown = [float(gain) for gain in re.findall(r'<tr><td class="number">(.*?)<', part)]
                assert shown == pytest.approx(gains[rows], abs=1e-4)

    def test_expected_gain_is_what_the_posterior_says(self, parts):
        html = parts.sections["gains"]
        assert re.findall(r'<tr><td class="number">(.*?)<', html) == [
            "+0.4000", "+0.3000", "+0.2000", "+0.0000", "+0.1000",
        ]  # fmt: skip
        assert "Of 5 rows 4 gain and 0 lose" in text_of(html)

    def test_what_the_journal_pins_is_there_to_do_it_again(self, parts):
        html = text_of(parts.sections["reproduce"])
        for fact in ("universal string make it", "seed 3", "corpus one.csv, two.csv"):
            assert fact in html
        assert f"hash of the test rows {'0' * 16} " in html
        assert "0" * 17 not in html
        assert (
            "mean-prompt predict TEST --triples TRIPLES --prompt &#39;make it&#39; --llm LLM "
            "--model m --corpus one.csv --corpus two.csv --max-tokens 8 --trials 1 --seed 3 "
            "--out submission.csv"
        ) in html

    def test_hostile_text_is_displayed_only(self, known):
        page = render(known)
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in known.sections["gains"]
        assert ODD not in page
        labels = json.dumps(known.figures)
        assert "<script" not in labels
        assert "&lt;script" in labels


def test_of_many_rows_some_are_drawn(place, monkeypatch):
    monkeypatch.setattr(hybrid_figures, "_MOST_POINTS", 2)
    files = SubmissionFiles.read(place)
    parts = submission_parts(files, truth_of(files, place.parent / "truth.csv"))
    *traces, _ = parts.figures["plot-truth"]["data"]
    assert sum(len(trace["x"]) for trace in traces) == 2
    assert "Expected and actual SCS of 2 of 5 answers" in parts.sections["truth"]


def test_rows_that_rules_decided_have_no_expectations(tmp_path):
    rows = [replace(ANSWERS[4], id=name) for name in "ab"]
    out = write_submission(tmp_path, rows)
    files = SubmissionFiles.read(out)
    parts = submission_parts(files, truth_of(files, write_truth(tmp_path / "truth.csv")))
    assert "Rules chose all of these answers" in parts.sections["truth"]
    assert "plot-truth" not in parts.figures
    assert "plot-trust" not in parts.figures
    render(parts)


def evaluation():
    answers = [answer for answer in ANSWERS if answer.id in TRUTHS]
    blank = ("x",) * len(answers)
    triples = Triples(Rows(tuple(TRUTHS), blank, blank), tuple(TRUTHS.values()))
    hand = by_hand()
    earned = {"hybrid": hand.actual, "universal alone": hand.universal, "LLM alone": hand.llm}
    earned["oracle"] = np.ones(len(answers))
    return Evaluation(
        rows=5,
        groups=5,
        reference="LLM alone",
        methods=method_scores(earned, triples.groups(), "LLM alone"),
        expected=0.41,
        kinds={},
        winners=(),
        losers=(),
        notes=("a note <i>",),
        outcomes=outcomes_of(answers, triples, earned),
    )


def test_an_evaluation_has_the_same_page(tmp_path):
    plan = Comparison(
        tmp_path / "known.csv",
        UNIVERSAL,
        llm="server:m@http://u:secret@h/v1",
        options=BlendOptions(seed=7),
    )
    parts = evaluation_parts(evaluation(), plan, UNIVERSAL)
    assert list(parts.sections) == ["status", "winners", "truth", "gains", "reproduce"]
    [bars] = parts.figures["plot-methods"]["data"]
    means = dict(zip(bars["y"], bars["x"], strict=True))
    assert means["hybrid"] == pytest.approx(by_hand().actual.mean())
    assert means["oracle"] == 1
    html = parts.sections["reproduce"]
    assert "a note &lt;i&gt;" in html
    assert "secret" not in html
    assert "seed 7" in text_of(html)


class TestCommand:
    @pytest.fixture
    def place(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_submission(tmp_path)
        write_truth(tmp_path / "truth.csv")
        (tmp_path / "run").mkdir()
        return tmp_path

    @pytest.fixture
    def asked(self, monkeypatch):
        asked = []

        def load(name, *, trust):
            asked.append((name, trust))
            return encoder()

        monkeypatch.setattr("mean_prompt.encoder.load_encoder", load)
        return asked

    @pytest.mark.parametrize("name", ["sub.csv", "sub.parquet"])
    def test_it_writes_the_page_beside_the_submission(self, program, place, asked, name):
        code, out, err = program("report", name)
        assert (code, out, err) == (0, "sub.html\n", "")
        assert "Which kind of answer was chosen" in (place / "sub.html").read_text("utf-8")
        assert asked == []

    def test_the_truth_is_scored_with_the_model_of_the_run(self, program, place, asked):
        assert program("report", "sub.csv")[0] == 0
        code, out, err = program("report", "sub.csv", "--truth", "truth.csv")
        assert (code, out, err) == (0, "sub.html\n", "")
        assert f"{by_hand().actual.mean():.5f}" in (place / "sub.html").read_text("utf-8")
        program("report", "sub.csv", "--truth", "truth.csv", "--model", "other", "--trust-model")
        assert asked == [("m", False), ("other", True)]

    @pytest.mark.parametrize(
        ("arguments", "fault"),
        [
            (
                ("run", "--truth", "truth.csv"),
                "--truth is of a submission, a .csv or .parquet file",
            ),
            (("run",), "a run's folder must hold its recipe.toml: found none in run"),
            (("gone.csv",), "beside gone.csv there is neither gone.parquet nor gone.work"),
            (("sub.csv", "--model", "m"), "--model is for scoring with the truth: give --truth"),
            (("sub.csv", "--truth", "gone.csv"), "gone.csv is not there"),
            (("sub.csv", "--truth", "sub.csv"), "original_text"),
        ],
    )
    def test_bad_input_is_one_line(self, program, place, arguments, fault):
        code, out, err = program("report", *arguments)
        assert (code, out) == (2, "")
        assert err.startswith("mean-prompt: ")
        assert err.count("\n") == 1
        assert fault in err
        assert not (place / "sub.html").exists()

    def test_a_page_that_cannot_be_written_leaves_the_old_one(self, program, place, monkeypatch):
        (place / "sub.html").write_text("old")

        def full(_path, _data):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(write, "write_atomically", full)
        code, _, err = program("report", "sub.csv")
        assert code == 1
        assert err == (
            "mean-prompt: a page must be written: sub.html: No space left on device; give room, or "
            "another folder\n"
        )
        assert (place / "sub.html").read_text() == "old"
