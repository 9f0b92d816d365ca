"""Earlier predictions: which file, which column, which row."""

import pytest

from mean_prompt.corpus import Rows
from mean_prompt.llm.recorded import RecordedPredictor
from mean_prompt.system import InputError

ROWS = Rows(("7", "a-1", "9"), ("x", "y", "z"), ("u", "v", "w"))


def predictions(predictor, rows=ROWS):
    return {one.row: one.texts for one in predictor.predict(rows)}


@pytest.fixture
def file(tmp_path):
    """Predictions in another order than the rows, several for one of them, none for another."""
    path = tmp_path / "predictions.csv"
    path.write_text(
        "llm_prediction,id,other\n"
        "Make it rhyme,a-1,1\nSing it,7,2\nMake it sad,7,3\nSing it,7,4\nNot asked,8,5\n"
    )
    return path


def test_predictions_are_joined_on_the_id(file):
    predictor = RecordedPredictor.from_file(file)
    expected = {0: ("Sing it", "Make it sad"), 1: ("Make it rhyme",), 2: ()}
    assert predictions(predictor) == expected
    assert predictor.notes() == [
        f"recorded predictions: column 'llm_prediction' of {file}",
        "predictions: 2 of 3 rows",
    ]


def test_a_column_may_be_named(file):
    predictor = RecordedPredictor.from_file(file, "other")
    assert predictions(predictor)[1] == ("1",)
    assert predictor.identity != RecordedPredictor.from_file(file).identity


def test_a_file_without_a_likely_column_is_refused(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("id,rewrite_prompt\n7,Sing it\n")
    assert predictions(RecordedPredictor.from_file(path))[0] == ("Sing it",)
    path.write_text("id,guess\n7,Sing it\n")
    with pytest.raises(InputError, match=r"file:PATH#COLUMN: .*odd\.csv has none of these"):
        RecordedPredictor.from_file(path)
    with pytest.raises(InputError, match=r"odd\.csv"):
        RecordedPredictor.from_file(path, "gues")


def test_predictions_for_other_rows_are_refused(file):
    predictor = RecordedPredictor.from_file(file)
    with pytest.raises(InputError, match=r"knows none of the 1 ids \(the first is 'q'\)"):
        list(predictor.predict(Rows(("q",), ("",), ("",))))


def test_the_answers_as_written_are_kept_beside_the_cleaned_ones():
    answers = ["Sing it", "I.", '"Make it sad"', "  ", "Make it sad", '"Make it sad"', "'Sing it'"]
    predictor = RecordedPredictor(["7"] * 7, answers, source="a test")
    [found] = predictor.predict(ROWS.take([0]))
    assert predictor.notes()[-1] == "answers cleaned: quotes 3, list marker 1, empty 1"
    assert found.texts == ("Make it sad", "Sing it")
    # By how often a cleaned text was given, then by how often it was written so; no prompt last.
    assert found.raw == ('"Make it sad"', "Make it sad", "Sing it", "'Sing it'", "I.")
