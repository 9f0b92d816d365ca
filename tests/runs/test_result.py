"""A result that was written reads back; anything else in its place is one line."""

import pytest

from mean_prompt.runs.result import SearchResult
from mean_prompt.system.errors import InputError


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{}",
        b"[]",
        b"5",
        b'"x"',
        b"null",
        b"\xff",
        b"[" * 99_999,
        b'{"holdout_interval": 1}',
        b'{"holdout_interval": [1]}',
    ],
)
def test_what_is_no_result_is_one_line(tmp_path, content):
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a run's result\.json must be whole: .*: ") as caught:
        SearchResult.load(tmp_path)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


def test_no_result_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"a finished run holds a result\.json: found none in "):
        SearchResult.load(tmp_path)
