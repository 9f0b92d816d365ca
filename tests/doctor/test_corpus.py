"""The corpus of a search that is given none."""

import pytest

from mean_prompt.doctor.corpus import check_corpus
from mean_prompt.doctor.settings import RunSettings


def check():
    [found] = check_corpus(RunSettings())
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "corpora"


def test_the_packaged_one_is_read():
    assert check().state == "good"
    assert "prompts by default: the packaged one, " in check().found


def test_that_of_the_working_directory_goes_first_and_must_be_readable(folder):
    folder.mkdir()
    assert check().state == "warning"
    assert check().remedy == "fix it, or name a corpus with every search"
    (folder / "a.txt").write_text("Make it rhyme.\nMake it short.\n")
    assert check().found == "2 prompts by default: that of the working directory, corpora"
