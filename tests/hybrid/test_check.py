"""What is wrong with a submission: each rule is found, with its place, and nothing else is."""

import re

import pytest
from hypothesis import example, given, strategies as st

from mean_prompt.hybrid.check import check_submission
from mean_prompt.hybrid.submission import Submission
from mean_prompt.system.errors import InputError
from tests.fakes import FakeEncoder

GOOD = "id,rewrite_prompt\n1,one\n2,two\n3,three\n"


@pytest.fixture
def check(tmp_path):
    """Return a function that checks a submission's content against ids: findings by rule."""

    def check(content, ids=("1", "2", "3"), **options):
        test = tmp_path / "test.csv"
        test.write_text("\n".join(["id", *ids]) + "\n")
        path = tmp_path / "submission.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = check_submission(path, test, **options)
        assert all("\n" not in finding.message for finding in findings)
        assert len({finding.rule for finding in findings}) == len(findings)
        return {finding.rule: finding for finding in findings}

    return check


def only(findings, rule, severity="fault"):
    """Return the message of the one finding there must be."""
    assert list(findings) == [rule]
    assert findings[rule].severity == severity
    return findings[rule].message


def test_a_good_submission_has_no_findings(check):
    assert check(GOOD) == {}
    assert check(GOOD.replace("\n", "\r\n")) == {}
    assert check(GOOD.replace("two", '" two ""2"",\n\n\r x"')) == {}
    assert check(GOOD.replace("\n2", "\n\n2")) == {}  # pandas skips blank lines


def test_what_the_product_writes_is_good(check, tmp_path):
    ids = ("b", "007", "a")
    submission = Submission(tmp_path / "mine.csv", ids, "one, two")
    submission.put(1, ' "x"\r\n\u2028')
    submission.write()
    assert check(submission.path.read_bytes(), ids) == {}


# Each rule


def test_missing_ids(check):
    message = only(check("id,rewrite_prompt\n2,two\n"), "missing-id")
    assert message == "each id of the test file must be there: missing 2: 1, 3"


def test_extra_ids(check):
    message = only(check(GOOD + "9,nine\n 1,one\n,none\n"), "extra-id")
    assert message.endswith("found 3: 9 (line 5), ' 1' (line 6), '' (line 7)")


def test_ids_are_compared_as_text(check):
    findings = check("id,rewrite_prompt\n7,x\n", ["007"])
    assert set(findings) == {"missing-id", "extra-id"}


def test_duplicate_ids(check):
    message = only(check(GOOD + "2,again\n1,again\n2,again\n"), "duplicate-id")
    assert message == "each id must stand once: found 2: 1 (lines 2, 6), 2 (lines 3, 5, 7)"


@pytest.mark.parametrize("cell", ["", '""', "NA", '"null"', "None", "nan", "N/A"])
def test_null_answers(check, cell):
    message = only(check(GOOD.replace("two", cell)), "null")
    assert message.startswith(
        "no answer may be empty, or what pandas reads so: found 1: 2 (line 3)"
    )
    assert message.endswith("line 3)" if cell in {"", '""'} else f": {cell.strip(chr(34))}")


@pytest.mark.parametrize("cell", [" ", '"\n"', "\u2003\t"])
def test_blank_answers(check, cell):
    message = only(check(GOOD.replace("two", cell)), "blank")
    assert message == "an answer must hold more than blanks: found 1: 2 (line 3)"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("id,prompt", "id,prompt"),
        ("id, rewrite_prompt", "id,' rewrite_prompt'"),
        ("a,b,c,d,e,f,g", "a,b,c,d,e"),
        ('"a\nb",c', r"'a\\nb',c"),
    ],
)
def test_wrong_headers_end_the_check(check, header, found):
    message = only(check(GOOD.replace("id,rewrite_prompt", header)), "header")
    assert re.search(f"must be id,rewrite_prompt: found {found}$", message)


def test_an_empty_file_has_no_header(check):
    for content in ("", "\n\n", b"\xef\xbb\xbf"):
        findings = check(content)
        findings.pop("byte-order-mark", None)
        assert only(findings, "header").endswith("found none")


def test_another_order_is_a_warning_with_its_first_place(check):
    findings = check("id,rewrite_prompt\n1,one\n3,three\n2,two\n")
    message = only(findings, "order", "warning")
    assert message.endswith("line 3 has 3, where 2 would be next")


def test_rows_with_other_numbers_of_cells(check):
    findings = check("id,rewrite_prompt\n1,one, and more\n2\n3,three\n")
    message = only(findings, "cells")
    assert message == "each row must have the header's 2 cells: found 2: line 2 has 3, line 3 has 1"


def test_a_ragged_row_may_end_before_its_id(check):
    findings = check("rewrite_prompt,id\none,1\ntwo\nthree,3\n")
    assert set(findings) == {"header", "cells", "missing-id"}


def test_byte_order_mark_is_a_warning(check):
    message = only(check(b"\xef\xbb\xbf" + GOOD.encode()), "byte-order-mark", "warning")
    assert "should not begin with" in message


def test_lines_are_those_that_rows_begin_on(check):
    content = 'id,rewrite_prompt\n1,"a\nb\nc"\n2,""\n3,three\n3,"d\ne"\n'
    findings = check(content)
    assert findings["null"].message.endswith("2 (line 5)")
    assert findings["duplicate-id"].message.endswith("3 (lines 6, 7)")


def test_many_faults_of_a_kind_are_one_with_a_count(check):
    ids = [str(number) for number in range(2000)]
    content = "id,rewrite_prompt\n" + "".join(f"{name},\n" for name in ids[:1500])
    findings = check(content, ids)
    assert findings["missing-id"].message.endswith("missing 500: 1500, 1501, 1502, 1503, 1504, ...")
    assert ": found 1,500: 0 (line 2), 1 (line 3)," in findings["null"].message
    assert findings["null"].message.endswith("4 (line 6), ...")


def test_faults_stand_before_warnings(check):
    findings = check("\ufeffid,rewrite_prompt\n2,two\n1,\n")
    assert [f.severity for f in findings.values()] == ["fault", "fault", "warning", "warning"]


# Files that are no table


@pytest.mark.parametrize(
    ("content", "rule", "fault"),
    [
        (
            GOOD + '4,"open',
            "csv",
            "well-formed CSV: line 5: unexpected end of data, in the row that",
        ),
        (GOOD + '4,"open\n5,x\n', "csv", "in the row that begins on line 5"),
        (GOOD + '4,"x"y\n', "csv", "line 5: ',' expected after"),
        (GOOD + "4," + "x" * 200_000, "csv", "line 5: a cell holds more than 131,072 characters"),
        (GOOD.encode("utf-16"), "encoding", "line 1 holds byte 0xff; convert the file"),
        (GOOD.encode() + b"4,caf\xe9\n", "encoding", "must be UTF-8: .*, line 5 holds byte 0xe9"),
    ],
)
def test_what_cannot_be_read_is_one_fault(check, content, rule, fault):
    assert re.search(fault, only(check(content), rule))


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "test.csv").write_text("id\n1\n2\n")
    return folder / "submission.csv", folder / "test.csv"


@given(st.binary(), st.booleans())
@example(b"\0", True)
@example(b"1,\0\r2,\r\r\n", True)
@example(b'"', False)
def test_any_bytes_are_judged_and_never_raise(places, data, with_header):
    submission, test = places
    submission.write_bytes(b"id,rewrite_prompt\n" * with_header + data)
    findings = check_submission(submission, test, encoder=FakeEncoder(), max_tokens=1)
    assert all(len(finding.message.splitlines()) == 1 for finding in findings)


def test_a_submission_that_is_not_there_is_no_finding(tmp_path):
    (tmp_path / "test.csv").write_text("id\n1\n")
    for path, fault in ((tmp_path / "gone.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"a submission must be readable: .*: {fault}"):
            check_submission(path, tmp_path / "test.csv")


# Tokens


TOKENS = "id,rewrite_prompt\n1,poem\n2,poem poem poem\n3,poem poem\n"


def test_answers_over_the_budget(check):
    encoder = FakeEncoder()
    assert check(TOKENS, encoder=encoder, max_tokens=3) == {}
    message = only(check(TOKENS, encoder=encoder, max_tokens=1), "token-budget")
    assert message == (
        "an answer may have at most 1 tokens: found 2: 2 (line 3, 3 tokens), 3 (line 4, 2 tokens)"
    )


def test_answers_that_the_model_cuts_are_a_warning(check):
    assert check(TOKENS, encoder=FakeEncoder(max_tokens=3)) == {}
    findings = check(TOKENS, encoder=FakeEncoder(max_tokens=2))
    message = only(findings, "truncation", "warning")
    assert message.endswith("cuts them after 2 tokens: found 1: 2 (line 3, 3 tokens)")


def test_tokens_of_a_real_model_are_those_without_the_special_ones(check, tiny_t5):
    text = "Rewrite this as a poem"
    count = len(tiny_t5.tokenize([text])[0])
    content = GOOD.replace("two", text)
    assert check(content, encoder=tiny_t5, max_tokens=count) == {}
    assert (
        "2 (line 3" in check(content, encoder=tiny_t5, max_tokens=count - 1)["token-budget"].message
    )


def test_a_budget_without_a_model_is_a_mistake(check):
    with pytest.raises(ValueError, match="max_tokens needs an encoder"):
        check(GOOD, max_tokens=3)
