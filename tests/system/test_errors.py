"""Errors in one line: the rule, what was found, the remedy."""

import pytest

from mean_prompt.system.errors import InputError, RunError, os_errors

RULE = "a recipe must be a file that can be read"


def test_an_error_of_the_system_has_its_reason_between_rule_and_remedy(tmp_path):
    with pytest.raises(InputError) as caught, os_errors(RULE, tmp_path, "name another"):
        tmp_path.read_bytes()
    assert str(caught.value) == f"{RULE}: {tmp_path}: Is a directory; name another"
    assert isinstance(caught.value.__cause__, IsADirectoryError)


def test_one_without_a_reason_is_named_by_its_message(tmp_path):
    with (
        pytest.raises(RunError, match=r"must hold: .*: odd; do it"),
        os_errors("it must hold", tmp_path, "do it", raises=RunError),
    ):
        raise OSError("odd")


def test_other_errors_go_through(tmp_path):
    with pytest.raises(ZeroDivisionError), os_errors(RULE, tmp_path, "name another"):
        _ = 1 / 0


def test_a_message_is_one_line_whatever_a_name_in_it_holds():
    assert str(InputError("no file\nname: x")) == "no file name: x"
    assert (InputError.exit_code, RunError.exit_code) == (2, 1)
