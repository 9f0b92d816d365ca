"""A model to break, and the command to run."""

import shutil
import sys

import pytest

from mean_prompt import cli


@pytest.fixture
def folder(tmp_path, tiny_t5_folder):
    """A copy of a tiny model that a test may spoil."""
    return shutil.copytree(tiny_t5_folder, tmp_path / "spoilt")


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Return a function that runs the command in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["mean-prompt", "doctor", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as exit_:
            code = exit_.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def findings(check, patient):
    """Return what a check finds, by its name."""
    return {finding.check: finding for finding in check(patient)}
