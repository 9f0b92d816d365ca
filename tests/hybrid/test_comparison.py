"""An evaluation from files: what is read, asked and swapped is what is compared."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mean_prompt.hybrid import comparison, options as blend
from mean_prompt.hybrid.comparison import Comparison, compare, swapped
from mean_prompt.hybrid.evaluation import HYBRID, LLM, UNIVERSAL, Evaluation
from mean_prompt.system.errors import InputError
from mean_prompt.system.progress import ProgressEvent
from tests.hybrid.prediction_run import KNOWN, WORLD, FakeLLM, with_options, write_rows
from tests.hybrid.synthetic import UNIVERSAL as STRING, encoder

pytestmark = pytest.mark.usefixtures("one_thread")

SAID = [texts[0] for texts in WORLD.said(KNOWN)]


@pytest.fixture(autouse=True)
def loaded(monkeypatch):
    """Give every comparison the fake encoder; return the names that it was asked for by."""
    names = []

    def load(name, **_options):
        names.append(name)
        return encoder()

    monkeypatch.setattr(blend, "load_encoder", load)
    return names


@pytest.fixture
def handed(monkeypatch):
    """Return what reaches the evaluation, which is left out."""
    handed = {}
    names = ("triples", "universal", "options", "predictions", "raw")

    def evaluate(*given, **_options):
        handed.update(zip(names, given, strict=True))
        return Evaluation(0, 0, UNIVERSAL, (), None, {}, (), (), (), ())

    monkeypatch.setattr(comparison, "evaluate", evaluate)
    return handed


@pytest.fixture
def plan(tmp_path):
    triples = write_rows(tmp_path / "known.jsonl", KNOWN, prompts=True, said=SAID)

    def plan(**changes):
        given = {"triples": triples, "prompt": STRING, "trials": 1, "max_tokens": 12}
        return with_options(Comparison, **(given | changes))

    return plan


def asked(monkeypatch, llm):
    monkeypatch.setattr(comparison, "make_predictor", lambda *_args, **_options: llm)
    return llm


def test_a_column_is_compared_with_what_it_says(plan):
    found = compare(plan(llm="column:said"))
    truth = [WORLD.triples.prompts[row] for row in KNOWN]
    encode = encoder().encode
    score = ((encode(SAID) * encode(truth)).sum(axis=1) ** 3).mean()
    assert found.reference == LLM
    assert found.of(LLM).mean == pytest.approx(score, abs=1e-6)
    assert found.of(HYBRID).ratio > 1.1
    assert found.notes[0].startswith("54 triples from 54 rows of ")
    assert "predictions: 54 of 54 rows" in found.notes
    assert json.loads(json.dumps(found.as_dict()))["methods"][0]["name"]


def test_without_an_llm_there_are_no_predictions(plan, handed, loaded):
    compare(plan(model="some"))
    assert handed["predictions"] is handed["raw"] is None
    assert loaded == ["some"]


def test_llm_alone_is_scored_as_it_was_written(plan, handed, tmp_path):
    said = [f'Prompt: "{text}"' for text in SAID]
    triples = write_rows(tmp_path / "raw.jsonl", KNOWN, prompts=True, said=said)
    compare(plan(llm="column:said", triples=triples))
    assert [texts for (texts,) in handed["predictions"]] == SAID
    assert [texts for (texts,) in handed["raw"]] == said


def test_cleaned_and_raw_predictions_are_swapped_alike(plan, handed):
    compare(plan(llm="column:said", swap=0.5, seed=3))
    assert handed["predictions"] == swapped([(text,) for text in SAID], 0.5, seed=3)
    assert handed["raw"] == handed["predictions"]
    assert handed["options"].seed == 3


def test_an_llm_is_shown_rows_of_other_prompts(plan, handed, monkeypatch):
    llm = asked(monkeypatch, FakeLLM(fails=("r3",)))
    found = compare(plan(llm="server:x@http://y", shots=2))
    own = dict(zip(WORLD.triples.rows.ids, WORLD.triples.prompts, strict=True))
    assert len(llm.asked) == len(KNOWN)
    for name, shown in zip(llm.asked, llm.shown, strict=True):
        assert len(shown) == 2
        assert own[name] not in [example.prompt for example in shown]
    place = [WORLD.triples.rows.ids[row] for row in KNOWN]
    for name, texts in zip(place, handed["predictions"], strict=True):
        assert texts == (() if name == "r3" else WORLD.predictions[int(name[1:])])
    assert "fake: 54 rows" in found.notes


def test_none_are_shown_where_none_are_wanted(plan, handed, monkeypatch):
    llm = asked(monkeypatch, FakeLLM())
    compare(plan(llm="server:x@http://y", shots=0))
    assert handed["predictions"] == WORLD.said(KNOWN)
    assert llm.shown == [None] * len(KNOWN)


def test_options_reach_the_evaluation(plan, handed, tmp_path):
    (tmp_path / "best.txt").write_text("please")
    (tmp_path / "corpus.txt").write_text("make it style1\nmake it style2\n")
    given = {"prefix": "please", "suffix": "turn it", "max_tokens": 7, "trials": 2}
    asked = plan(prompt=str(tmp_path), corpus=(str(tmp_path / "corpus.txt"),), **given)
    compare(asked)
    options = handed["options"]
    assert options.corpus.prompts == ("make it style1", "make it style2")
    assert replace(options, corpus=asked.options.corpus, model=None) == asked.options
    assert handed["universal"] == "please"


def test_the_listener_receives_what_is_done(plan, handed, monkeypatch):  # noqa: ARG001
    asked(monkeypatch, FakeLLM())
    events = []
    compare(plan(llm="server:x@http://y", shots=0), listener=events.append)
    assert ProgressEvent("rows asked about", 54, 54, "rows") in events


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"swap": 0.5}, "--swap must have predictions to swap: there are none with --llm none"),
        ({"llm": "column:gone"}, "gone"),
        ({"prompt": "gone/to/run"}, "--prompt must be a string, .* nor folder gone/to/run"),
        ({"vector": Path("trained")}, "must train on other rows than it judges: leave --vector"),
        ({"row_search": None}, "--row-search auto needs a time limit, which an evaluation has no"),
    ],
)
def test_bad_plans_load_no_model(plan, loaded, changes, fault):
    with pytest.raises(InputError, match=fault):
        compare(plan(**changes))
    assert loaded == []
