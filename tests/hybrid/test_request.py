"""A request: defaults by its time limit, and the universal string from wherever it is."""

from pathlib import Path

import pytest

from mean_prompt.hybrid.request import Request, universal_string
from mean_prompt.system.errors import InputError


def test_defaults_depend_on_the_time_limit():
    def used(**changes):
        request = Request(Path("a"), Path("b"), "make it", Path("c"), **changes)
        return request.shots_used, request.calibrate_used

    assert used() == used(time_limit=600) == (3, 64)
    assert used(time_limit=599) == (0, 0)
    assert used(time_limit=30, shots=2, calibrate=24) == (2, 24)


class TestUniversalString:
    def test_a_string_is_itself(self):
        for text in ("make it", "and/or", "café 🦜", "x" * 5000, "a\0b", "see results/notes.txt",
                     "either / or / both", "", " ", "Make it formal."):  # fmt: skip
            assert universal_string(text) == text

    def test_a_run_is_its_best_string_byte_for_byte(self, tmp_path):
        (tmp_path / "best.txt").write_bytes("  café \n".encode())
        assert universal_string(str(tmp_path)) == "  café \n"

    def test_a_text_file_is_its_text(self, tmp_path, monkeypatch):
        (tmp_path / "best.txt").write_bytes(b"make it\r\n")
        assert universal_string(str(tmp_path / "best.txt")) == "make it"
        monkeypatch.setenv("HOME", str(tmp_path))
        assert universal_string("~/best.txt") == "make it"

    def test_other_files_are_strings_that_happen_to_be_names(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        Path("poem").write_text("no")
        assert universal_string("poem") == "poem"

    @pytest.mark.parametrize("text", ["results/x", "./x", "../x", "/x/y", "a/b/c", "gone.txt"])
    def test_paths_to_nothing_are_refused(self, tmp_path, monkeypatch, text):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match=rf"--suffix must be .* nor folder {text}; fix"):
            universal_string(text, "--suffix")

    def test_runs_without_a_string_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"--prompt must be .* has no best\.txt"):
            universal_string(str(tmp_path))
        (tmp_path / "best.txt").write_bytes(b"\xff")
        with pytest.raises(InputError, match=r"--prompt must be .* has no best\.txt"):
            universal_string(str(tmp_path))
        with pytest.raises(InputError, match=r"--prompt must be .*best\.txt cannot be read"):
            universal_string(str(tmp_path / "best.txt"))
