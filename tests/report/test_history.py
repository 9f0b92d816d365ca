"""What the events of a run tell, by events written by hand."""

import pytest
from hypothesis import given, strategies as st

from mean_prompt.report.page.history import diff, gains_by_move, read_history
from mean_prompt.system.errors import InputError


def event(kind, time, evaluations, trial, score, **more):
    return {
        "event": kind,
        "time": time,
        "evaluations": evaluations,
        "trial": trial,
        "score": score,
        "fraction": score * 2,
        "text": f"text {score}",
        **more,
    }


EVENTS = [
    event("best", 1.0, 10, 0, 0.1, holdout=0.09, move="best corpus prompt"),
    event("stage", 1.0, 10, 0, 0.08, number=0),
    event("best", 2.0, 20, 0, 0.15, holdout=None, move="replace"),
    event("stage", 2.5, 25, 0, 0.15, number=1),
    event("stage", 3.0, 30, 1, 0.05, number=0),
    {"event": "resume", "number": 1, "time": 3.5, "evaluations": 35, "read_back": 3},
    event("best", 4.0, 40, 1, 0.2, holdout=0.2, move="combine"),
    event("best", 4.5, 45, 1, 0.21, holdout=0.2, move="replace"),
    event("climb", 5.0, 50, 0, 0.15, ended="pruned", spent=22, start="corpus"),
    event("climb", 6.0, 60, 1, 0.21, ended="complete", spent=30, start="elite", kick=2, width=30),
]


def test_each_improvement_is_measured_against_the_one_before():
    history = read_history(EVENTS)
    gains = [(row.move, row.text, row.before, row.gain) for row in history.improvements]
    assert gains == [
        ("best corpus prompt", "text 0.1", None, pytest.approx(0.1)),
        ("replace", "text 0.15", "text 0.1", pytest.approx(0.05)),
        ("combine", "text 0.2", "text 0.15", pytest.approx(0.05)),
        ("replace", "text 0.21", "text 0.2", pytest.approx(0.01)),
    ]
    assert [row.holdout for row in history.improvements] == [0.09, None, 0.2, 0.2]
    assert gains_by_move(history) == [
        ("replace", 2, pytest.approx(0.06)),
        ("combine", 1, pytest.approx(0.05)),
    ]
    assert (history.last, history.resumes) == ((6.0, 60), (3.5,))


def test_each_climb_has_a_trace_of_its_own():
    first, second = read_history(EVENTS).climbs
    assert [(point.seconds, point.score) for point in first.points] == [
        (1.0, 0.08),
        (2.5, 0.15),
        (5.0, 0.15),
    ]
    assert (first.start, first.ended, first.spent, first.params) == (
        "corpus", "pruned", 22, {"start": "corpus"},
    )  # fmt: skip
    assert second.params == {"start": "elite", "kick": 2, "width": 30}
    assert [point.evaluations for point in second.points] == [30, 60]
    [running] = read_history(EVENTS[:4]).climbs
    assert (running.ended, running.spent, running.start) == (None, None, "running")


def test_a_workers_climb_is_spread_over_its_time():
    told = event(
        "climb", 10.0, 100, 4, 0.4, worker=2, ended="complete", spent=40, seconds=8.0,
        reports=[0.1, 0.2, 0.3, 0.4], start="corpus",
    )  # fmt: skip
    [climb] = read_history([told]).climbs
    assert (climb.worker, climb.trial, climb.name) == (2, 4, "2: 4")
    assert [(point.seconds, point.evaluations) for point in climb.points] == [
        (4.0, 70),
        (6.0, 80),
        (8.0, 90),
        (10.0, 100),
    ]
    assert [point.fraction for point in climb.points] == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_an_event_that_lacks_something_is_one_line():
    broken = [*EVENTS, {"event": "best", "time": 7.0, "evaluations": 70}]
    with pytest.raises(InputError, match=r"number 11 is not: KeyError\('score'\)"):
        read_history(broken)


def test_a_diff_shows_what_stayed_went_and_came():
    assert diff("rewrite this text now", "rewrite the text, now") == [
        ("same", "rewrite"),
        ("out", " this"),
        ("in", " the"),
        ("same", " text"),
        ("in", ","),
        ("same", " now"),
    ]


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_diff_holds_both_strings(before, after):
    pieces = diff(before, after)
    assert "".join(text for kind, text in pieces if kind != "out") == after
    gone = "".join(text for kind, text in pieces if kind == "out")
    stayed = "".join(text for kind, text in pieces if kind == "same")
    assert len(gone) + len(stayed) == len(before)
