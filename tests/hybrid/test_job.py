"""A prediction run: what it writes, and what it leaves alone."""

import json
from collections import Counter

import numpy as np
import pytest

from mean_prompt.hybrid import options as blend
from mean_prompt.hybrid.predictor import HybridPredictor
from mean_prompt.system.errors import InputError
from tests.hybrid.prediction_run import (
    IDS,
    SAID,
    FakeLLM,
    earned,
    run,
    universal_everywhere,
)
from tests.hybrid.synthetic import UNIVERSAL, encoder

pytestmark = pytest.mark.usefixtures("one_thread")


class TestSubmission:
    def test_it_is_there_before_anything_heavy(self, place, ask, monkeypatch):
        ask(FakeLLM())

        def load(_name, **_options):
            place.assert_valid()
            assert place.answers() == universal_everywhere()
            raise InputError("seen")

        monkeypatch.setattr(blend, "load_encoder", load)
        with pytest.raises(InputError, match=r"^seen$"):
            run(place.request())

    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("calibrate", [0, 64])
    def test_it_is_valid_at_every_save_and_answers_never_go_back(
        self, place, ask, saves, calibrate
    ):
        ask(FakeLLM(seconds=0.004, fails=IDS[:9]))
        summary = run(place.request(calibrate=calibrate))
        assert len(saves) > 6
        assert saves[0] == universal_everywhere()
        assert saves[-1] == place.answers()
        known = [sum(text != UNIVERSAL for text in answers.values()) for answers in saves]
        assert known == sorted(known)
        assert known[-1] == len(IDS)
        assert summary.with_llm == len(IDS) - 9
        assert summary.by_index == 9

    def test_the_blend_is_better_than_its_parts(self, place, ask):
        ask(None)
        run(place.request("index.csv"))
        ask(FakeLLM())
        run(place.request("trusting.csv"))
        summary = run(place.request("blend.csv", calibrate=64))
        scores = [earned(place.answers(f"{n}.csv"), encoder())
                  for n in ("index", "trusting", "blend")]  # fmt: skip
        assert scores[2] > 1.1 * max(scores[:2])
        assert scores[0] > 1.5 * earned(universal_everywhere(), encoder())
        assert place.answers("trusting.csv") == {
            name: said for name, (said,) in zip(IDS, SAID, strict=True)
        }
        assert summary.expected == pytest.approx(scores[2], abs=0.1)

    def test_choices_lie_beside_it_in_the_order_of_the_test_file(self, place, ask):
        ask(FakeLLM(fails=IDS[3:5]))
        summary = run(place.request(calibrate=64))
        table = place.table()
        assert summary.table == place.folder / "out.parquet"
        assert {field.name: str(field.type) for field in table.schema} == {
            "id": "string",
            "text": "string",
            "kind": "string",
            "expected": "double",
            "trust": "double",
            "rule": "string",
            "candidates": "int64",
            "with_llm": "bool",
            "universal": "double",
            "prediction": "string",
            "predictions": "list<element: string>",
            "choice": "string",
            "choice_expected": "double",
            "searched": "string",
        }
        columns = table.to_pydict()
        assert columns["id"] == IDS
        assert dict(zip(IDS, columns["text"], strict=True)) == place.answers()
        assert columns["with_llm"] == [name not in IDS[3:5] for name in IDS]
        assert table["trust"].null_count == 2
        said = [None if name in IDS[3:5] else list(texts)
                for name, texts in zip(IDS, SAID, strict=True)]  # fmt: skip
        assert columns["prediction"] == [texts and texts[0] for texts in said]
        assert columns["predictions"] == [texts or [] for texts in said]
        assert table["searched"].null_count == len(IDS)
        assert np.mean(columns["expected"]) == pytest.approx(summary.expected)
        assert summary.kinds == Counter(columns["kind"])
        assert set(columns["rule"]) == {"blend"}

    def test_rows_that_rules_decide_have_the_universal_string(self, place, ask):
        rows = [json.loads(line) for line in place.test.read_text().splitlines()]
        rows[0]["rewritten_text"] = " "
        rows[1]["rewritten_text"] = rows[1]["original_text"]
        place.test.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ask(FakeLLM())
        summary = run(place.request(calibrate=64))
        assert summary.rules == {"blank": 1, "unchanged": 1}
        assert [place.answers()[name] for name in IDS[:2]] == [UNIVERSAL] * 2
        llm = ask(FakeLLM())
        run(place.request(calibrate=64, resume=True))
        assert llm.asked == []  # nothing is left that an LLM could decide


class TestPlace:
    """Nothing that this run did not make is overwritten."""

    @pytest.mark.parametrize(("name", "resume"), [("out.csv", False), ("out.parquet", True)])
    def test_what_is_there_is_left_alone(self, place, ask, name, resume):
        ask(None)
        (place.folder / name).write_text("precious")
        fault = "--resume must find whole work" if resume else "--out must be a new file"
        with pytest.raises(InputError, match=rf"{fault}: .*{name} is there"):
            run(place.request(resume=resume))
        assert (place.folder / name).read_text() == "precious"
        assert not (place.folder / "out.work").exists()

    def test_a_run_that_is_there_is_left_alone(self, place, ask):
        ask(None)
        run(place.request())
        files = {path: path.read_bytes() for path in place.folder.rglob("*") if path.is_file()}
        with pytest.raises(InputError, match=r"--out must be a new file: .*give --resume"):
            run(place.request())
        (place.folder / "out.csv").unlink()
        with pytest.raises(InputError, match=r"out\.work are there; give --resume"):
            run(place.request())
        del files[place.folder / "out.csv"]
        assert files == {p: p.read_bytes() for p in place.folder.rglob("*") if p.is_file()}

    @pytest.mark.parametrize("name", ["out.parquet", "out.work"])
    def test_the_submission_is_no_file_of_the_work(self, place, ask, name):
        ask(None)
        with pytest.raises(InputError, match=rf"--out must be a CSV file: .*{name}"):
            run(place.request(name))
        assert not (place.folder / name).exists()

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"test": "gone.csv"}, r"gone\.csv is not there"),
            ({"triples": "gone.csv"}, r"gone\.csv is not there"),
            ({"triples": "test"}, "must have their true prompts in a column rewrite_prompt"),
            ({"prompt": " "}, "--prompt must be a string that is not blank"),
            ({"prompt": "null"}, "'null' is read as a missing value"),
            ({"prompt": "results/run7"}, "--prompt must be a string, .* nor folder results/run7"),
            ({"out": "gone/out.csv"}, "--out must be a file that can be written"),
        ],
    )
    def test_bad_input_leaves_nothing(self, place, ask, changes, fault):
        ask(None)
        before = sorted(place.folder.rglob("*"))
        [(name, value)] = changes.items()
        if name != "prompt":
            value = place.test if value == "test" else place.folder / value
        with pytest.raises(InputError, match=fault):
            run(place.request(**{name: value}))
        assert sorted(place.folder.rglob("*")) == before


class TestFaults:
    def test_they_are_counted_and_the_rows_keep_the_answer_of_the_index(self, place, ask):
        ask(None)
        run(place.request("index.csv"))
        ask(FakeLLM(fails=IDS[::3]))
        summary = run(place.request(calibrate=64))
        assert summary.faults == {"time-out": len(IDS[::3])}
        assert summary.with_llm == len(IDS) - len(IDS[::3])
        index, answers = place.answers("index.csv"), place.answers()
        assert all(answers[name] == index[name] for name in IDS[::3])


def test_every_option_reaches_the_predictor(place, ask, monkeypatch):
    made = []
    init = HybridPredictor.__init__

    def spied(predictor, *arguments, **options):
        init(predictor, *arguments, **options)
        made.append(predictor)

    monkeypatch.setattr(HybridPredictor, "__init__", spied)
    ask(None)
    (place.folder / "corpus.txt").write_text("make it style1\nmake it style2\n")
    given = {"prefix": "please", "suffix": "turn it", "model": "some", "seed": 5, "trials": 2}
    request = place.request(**given, corpus=(str(place.folder / "corpus.txt"),))
    run(request)
    [predictor] = made
    assert (predictor.universal, predictor.options) == (UNIVERSAL, request.options)
    assert predictor.corpus.prompts == ("make it style1", "make it style2")
