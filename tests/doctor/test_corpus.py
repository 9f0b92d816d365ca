"""The corpus that is taken where none is named."""

import pytest

from mean_prompt.doctor import corpus
from mean_prompt.doctor.corpus import check_corpus
from mean_prompt.doctor.patient import RunSettings


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "corpora"


def looked_at():
    [found] = check_corpus(RunSettings())
    return found


def test_the_packaged_one_is_read():
    assert looked_at().state == "good"
    assert "prompts where none is named: the packaged one, " in looked_at().found


def test_that_of_the_working_directory_goes_before(folder):
    folder.mkdir()
    (folder / "a.txt").write_text("Make it rhyme.\nMake it short.\n")
    assert looked_at().found.startswith("2 prompts where none is named: that of the working dir")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff", b""])
def test_one_that_cannot_be_read_is_a_warning(folder, content):
    folder.mkdir()
    if content is not None:
        (folder / "a.txt").write_bytes(content)
    assert looked_at().state == "warning"
    assert looked_at().remedy == "mend it, or name a corpus with every search"


def test_a_large_one_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(corpus, "_LARGE", 3)
    folder.mkdir()
    (folder / "a.txt").write_text("text")
    assert looked_at().found.startswith("4 bytes of files, not read here")
