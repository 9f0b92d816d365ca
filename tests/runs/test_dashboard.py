"""A run's study as optuna-dashboard shows it, asked over HTTP as its page asks."""

import csv
import io
import json
import threading
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from wsgiref.simple_server import WSGIRequestHandler, make_server

import optuna_dashboard
import pytest

from mean_prompt import Corpus, Recipe, search
from mean_prompt.optimize.sampling import StudySettings
from mean_prompt.runs.study_file import StudyFile
from tests.climbs import climb

PROMPTS = ["make it a poem", "write it as a story", "keep the tone formal", "improve the text"]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def run(tiny_t5, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    search(
        Corpus.from_prompts(PROMPTS),
        model=tiny_t5,
        max_evaluations=900,
        max_tokens=8,
        recipe=Recipe().override(study={"climb_evaluations": 60}, corpus={"holdout": 0.0}),
        out=folder,
    )
    return folder


@contextmanager
def dashboard(file):
    """Yield a function that fetches a path of a dashboard on a study's file."""
    app = optuna_dashboard.wsgi(f"sqlite:///{file}")
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()

        def fetch(path):
            address = f"http://127.0.0.1:{server.server_port}{path}"
            with urllib.request.urlopen(address, timeout=30) as answer:
                return answer.read().decode()

        yield fetch
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def get(run):
    with dashboard(run / "study.db") as get:
        yield get


@pytest.fixture(scope="module")
def study(get):
    return only_study(get)


def only_study(get):
    [summary] = json.loads(get("/api/studies"))["study_summaries"]
    return summary | json.loads(get(f"/api/studies/{summary['study_id']}"))


@pytest.fixture(scope="module")
def climbs(run):
    lines = (run / "events.jsonl").read_text("utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "climb"]


def attributes(trial):
    return {row["key"]: row["value"] for row in trial["user_attrs"]}


def test_every_climb_is_a_trial_with_its_score_and_its_string(get, study, climbs):
    assert study["study_name"] == "mean-prompt"
    assert study["directions"] == ["maximize"]
    shown = [
        (trial["state"].lower(), trial["values"], attributes(trial)["text"])
        for trial in study["trials"]
    ]
    assert len(shown) > 3
    assert shown == [(climb["ended"], [climb["score"]], climb["text"]) for climb in climbs]
    assert [attributes(trial)["number"] for trial in study["trials"]] == [
        str(climb["trial"]) for climb in climbs
    ]
    # So has the table that is downloaded.
    rows = list(csv.DictReader(io.StringIO(get(f"/csv/{study['study_id']}"))))
    assert [row["UserAttribute text"] for row in rows] == [climb["text"] for climb in climbs]
    assert '<div id="dashboard">' in get(f"/dashboard/studies/{study['study_id']}")


def test_climbs_have_intermediate_values_that_rise_to_their_score(study):
    assert study["has_intermediate_values"]
    for trial in study["trials"]:
        points = [(row["step"], row["value"]) for row in trial["intermediate_values"]]
        assert [step for step, _ in points] == list(range(1, len(points) + 1))
        values = [value for _, value in points]
        assert values == sorted(values)
        assert values[-1] == pytest.approx(trial["values"][0])


def test_what_was_drawn_for_a_climb_is_among_its_parameters(study):
    names = {row["name"] for row in study["union_search_space"]}
    assert names == {"start", "kick", "order", "phrase", "width", "hot"}
    first, last = study["trials"][0], study["trials"][-1]
    assert [row["name"] for row in first["params"]] == ["start"]
    assert {row["name"] for row in last["params"]} >= {"start", "width", "hot"}


def test_attributes_are_columns_of_their_own_that_sort(study):
    sortable = {row["key"]: row["sortable"] for row in study["union_user_attrs"]}
    assert sortable == {"number": True, "evaluations": True, "text": False}


def test_a_long_string_is_shown_whole(tmp_path):
    """Of what is nested in an attribute the dashboard shows 1,024 characters."""
    text = "rewrite this text " * 100
    file = StudyFile(tmp_path / "study.db", StudySettings())
    file.add(replace(climb(), text=text))
    file.close()
    with dashboard(tmp_path / "study.db") as get:
        [trial] = only_study(get)["trials"]
    assert attributes(trial)["text"] == text
