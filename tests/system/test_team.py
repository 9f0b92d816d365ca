"""Members are called by name, answer in any order, and are replaced when they are lost."""

import time
from concurrent.futures import Future

import numpy as np
import pytest

from mean_prompt.system.errors import InputError, RunError
from mean_prompt.system.team import Here, LostError, Team


class Lengths:
    def __init__(self):
        self.parts = []

    def of(self, texts):
        self.parts.append(list(texts))
        return np.array([[len(text)] for text in texts], np.float32)

    def refuse(self, what):
        raise InputError(f"it must not be: {what}")


class Scripted:
    """A placement whose members answer as a test says: a value, an error, or never."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.killed = 0
        self.given = []

    def give(self, name, _thing):
        self.given.append(name)

    def member(self):
        return self

    def call(self, *_):
        future = Future()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        elif answer is not None:
            future.set_result(answer)
        return future

    def is_ready(self):
        return True

    def kill(self):
        self.killed += 1

    def close(self):
        pass


def team_of(placement, size=1, **options):
    team = Team(placement, size, **options)
    team.give("thing", None)
    return team


def test_a_member_in_this_process_shares_the_object_and_raises_at_the_call():
    team, lengths = Team(Here(), 1), Lengths()
    team.give("lengths", lengths)
    assert team.is_here
    team.call(0, "lengths", "of", ["ab"])
    [reply] = team.replies(0.0)
    assert (reply.member, reply.value.tolist(), lengths.parts) == (0, [[2.0]], [["ab"]])
    with pytest.raises(InputError, match="it must not be: so"):
        team.call(0, "lengths", "refuse", "so")


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_strings_are_spread_and_their_rows_come_back_in_order(size, count):
    lengths = Lengths()
    team = Team(Here(), size)
    team.give("lengths", lengths)
    texts = ["x" * n for n in range(count)]
    assert team.spread("lengths", "of")(texts).tolist() == [[n] for n in range(count)]
    sizes = [len(part) for part in lengths.parts]
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == max(1, min(size, count))


def test_a_lost_member_is_replaced_and_its_strings_are_computed_again():
    row = np.ones((1, 1))
    placement = Scripted(row, LostError("died"), row)
    team = team_of(placement, 2)
    assert team.spread("thing", "of")(["a", "b"]).tolist() == [[1.0], [1.0]]
    assert placement.killed == 1


def test_a_member_that_does_not_answer_in_time_is_lost(monkeypatch):
    monkeypatch.setattr("mean_prompt.system.team.PATIENCE", 0.1)
    team = team_of(Scripted(None))
    team.call(0, "thing", "work", seconds=0.1)
    assert list(team.replies(0.0)) == []
    time.sleep(0.3)
    [reply] = team.replies(0.0)
    assert (reply.member, reply.lost) == (0, "does not answer")
    assert team.idle() == [0]


def test_on_a_crowded_machine_a_member_has_more_time(monkeypatch):
    monkeypatch.setattr("mean_prompt.system.team.PATIENCE", 0.1)
    team = team_of(Scripted(None), crowding=100.0)
    team.call(0, "thing", "work", seconds=0.1)
    list(team.replies(0.0))
    time.sleep(0.3)
    assert list(team.replies(0.0)) == []


def test_a_member_that_is_lost_again_and_again_ends_the_run():
    team = team_of(Scripted(*[LostError("died")] * 4))
    for _ in range(3):
        team.call(0, "thing", "work")
        assert [reply.lost for reply in team.replies(0.0)] == ["died"]
        team.replace(0)
    team.call(0, "thing", "work")
    with pytest.raises(RunError, match=r"one was lost 4 times in a row \(died\); free some memory"):
        list(team.replies(0.0))


def test_an_answer_in_between_forgives_the_losses():
    died = LostError("died")
    team = team_of(Scripted(died, died, died, 1, died))
    for expected in ("died", "died", "died", None, "died"):
        team.call(0, "thing", "work")
        assert [reply.lost for reply in team.replies(0.0)] == [expected]


class Doing:
    """A placement whose members each do the same at every call: work, wait for room, or die."""

    def __init__(self, *members):
        self.members = list(members)
        self.killed = []

    def give(self, *_):
        pass

    def member(self):
        return DoingMember(self, self.members.pop(0))


class DoingMember:
    def __init__(self, placement, does):
        self.placement = placement
        self.does = does

    def call(self, _name, _method, task):
        future = Future()
        if self.does == "work":
            future.set_result(task * 10)
        elif self.does == "die":
            future.set_exception(LostError("died"))
        return future

    def is_ready(self):
        return self.does != "wait"

    def kill(self):
        self.placement.killed.append(self.does)


@pytest.mark.parametrize(
    ("members", "twice", "killed"),
    [
        (["work", "work"], False, []),
        (["die", "work", "work"], False, ["die"]),
        (["wait", "work"], False, ["wait"]),
        (["be slow", "work"], True, ["be slow"]),
    ],
)
def test_tasks_of_members_that_do_not_do_them_are_done_by_others(
    members, twice, killed, monkeypatch
):
    monkeypatch.setattr("mean_prompt.system.team.PATIENCE", 0.1)
    placement = Doing(*members)
    team = Team(placement, 2)
    team.give("thing", None)
    found = dict(team.stream("thing", "work", iter(range(5)), twice=twice))
    assert found == {number: number * 10 for number in range(5)}
    assert placement.killed == killed


def test_a_slow_member_is_waited_for_unless_its_task_may_be_done_twice(monkeypatch):
    monkeypatch.setattr("mean_prompt.system.team.PATIENCE", 0.1)
    team = Team(Doing("be slow", "work"), 2)
    team.give("thing", None)
    tasks = team.stream("thing", "work", range(3))
    assert [next(tasks), next(tasks)] == [(1, 10), (2, 20)]
    waiting = [call.future for call in team._calls.values()]
    waiting[0].set_result("at last")
    assert list(tasks) == [(0, "at last")]
