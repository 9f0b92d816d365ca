"""Predictions for known rows: asked for in time, or looked up in the same recording."""

import json

import pytest

from mean_prompt.hybrid import known_predictions
from mean_prompt.hybrid.predictor import HybridPredictor
from mean_prompt.system.errors import InputError
from mean_prompt.training.vector import LEAST_PREDICTED
from tests.hybrid.prediction_run import (
    IDS,
    KNOWN,
    SAID,
    WORLD,
    FakeLLM,
    earned,
    run,
    write_rows,
)
from tests.hybrid.synthetic import encoder

pytestmark = pytest.mark.usefixtures("one_thread")


class TestCalibration:
    def test_it_is_asked_about_known_rows_first(self, place, ask, monkeypatch):
        llm = ask(FakeLLM())
        fit = HybridPredictor.fit

        def spied(predictor, triples, predictions, **options):
            said = dict(zip(triples.rows.ids, predictions, strict=True))
            assert {name for name, texts in said.items() if texts} == set(llm.asked[:30])
            assert all(said[name] == WORLD.predictions[int(name[1:])] for name in llm.asked[:30])
            return fit(predictor, triples, predictions, **options)

        monkeypatch.setattr(HybridPredictor, "fit", spied)
        summary = run(place.request(calibrate=30))
        known = {WORLD.triples.rows.ids[row] for row in KNOWN}
        assert len(llm.asked) == 30 + len(IDS)
        assert set(llm.asked[:30]) <= known
        assert llm.asked[30:] == IDS
        assert any("(30 known rows have one)" in note for note in summary.notes)
        assert place.table()["trust"].null_count == 0
        said = dict(zip(IDS, (texts[0] for texts in SAID), strict=True))
        assert earned(place.answers(), encoder()) > 1.2 * earned(said, encoder())

    def test_too_few_known_rows_teach_nothing(self, place, ask):
        llm = ask(FakeLLM())
        summary = run(place.request(calibrate=LEAST_PREDICTED - 1))
        assert llm.asked == IDS
        assert f"fewer than {LEAST_PREDICTED} known rows: the LLM is trusted" in summary.notes
        assert list(place.answers().values()) == [texts[0] for texts in SAID]

    def test_it_is_given_up_early_if_it_takes_too_long(self, place, ask, monkeypatch):
        monkeypatch.setattr(known_predictions, "_SHARE", 0.005)
        llm = ask(FakeLLM(seconds=0.015))
        summary = run(place.request(calibrate=54, time_limit=30))
        known = [name for name in llm.asked if name not in IDS]
        assert 0 < len(known) < LEAST_PREDICTED
        assert any("no time to ask the LLM about 24 known rows" in note for note in summary.notes)
        assert summary.with_llm == len(IDS)

    def test_no_row_is_shown_its_own_prompt(self, place, ask):
        llm = ask(FakeLLM())
        run(place.request(calibrate=54, shots=2))
        prompts = dict(zip(WORLD.triples.rows.ids, WORLD.triples.prompts, strict=True))
        assert len(llm.asked) == 54 + len(IDS)
        for name, shown in zip(llm.asked, llm.shown, strict=True):
            assert len(shown) == 2
            assert len({example.prompt for example in shown}) == 2
            assert prompts[name] not in {example.prompt for example in shown}


class TestRecorded:
    def test_columns_are_joined_on_ids(self, place):
        lines = place.test.read_text().splitlines(keepends=True)
        place.test.write_text("".join(reversed(lines)))
        summary = run(place.request(llm="column:said"))
        assert summary.with_llm == len(IDS)
        assert any("(54 known rows have one)" in note for note in summary.notes)
        place.assert_valid()
        assert list(place.answers()) == IDS[::-1]
        score = earned(place.answers(), encoder())
        said = dict(zip(IDS, (texts[0] for texts in SAID), strict=True))
        assert score > 1.2 * earned(said, encoder())

    def test_triples_without_the_column_leave_predictions_as_they_are(self, place):
        write_rows(place.triples, KNOWN, prompts=True)
        summary = run(place.request(llm="column:said"))
        assert any("has no such predictions" in note for note in summary.notes)
        assert list(place.answers().values()) == [texts[0] for texts in SAID]
        assert summary.kinds == {"prediction": len(IDS)}

    def test_a_finished_run_with_rows_that_have_none_can_be_resumed(self, place):
        said = place.folder / "said.csv"
        lines = [f"{name},{texts[0]}\n" for name, texts in zip(IDS[9:], SAID[9:], strict=True)]
        said.write_text("id,prediction\n" + "".join(lines))
        run(place.request(llm=f"file:{said}"))
        whole = place.answers()
        journal = place.folder / "out.work" / "answers.jsonl"
        lines = journal.read_bytes()
        summary = run(place.request(llm=f"file:{said}", resume=True))
        assert (summary.with_llm, summary.by_index) == (len(IDS) - 9, 9)
        assert place.answers() == whole
        assert journal.read_bytes() == lines  # nothing was answered again

    def test_a_test_rows_prediction_is_not_taken_for_that_of_a_known_row_with_its_id(self, place):
        """Where both files number their rows from 1, a file of predictions is the test file's."""
        for path in (place.test, place.triples):
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            named = [row | {"id": str(n)} for n, row in enumerate(rows, 1)]
            path.write_text("".join(json.dumps(row) + "\n" for row in named))
        said = place.folder / "said.csv"
        lines = [f"{n},{texts[0]}\n" for n, texts in enumerate(SAID, 1)]
        said.write_text("id,prediction\n" + "".join(lines))
        summary = run(place.request(llm=f"file:{said}"))
        assert any("54 known rows have the id of another test row" in n for n in summary.notes)
        assert list(place.answers().values()) == [texts[0] for texts in SAID]

    def test_predictions_of_other_rows_are_refused(self, place):
        said = place.folder / "said.csv"
        said.write_text("id,prediction\nx,make it\n")
        with pytest.raises(InputError, match="knows none of the 54 ids"):
            run(place.request(llm=f"file:{said}"))
        place.assert_valid()
