"""Python, packages and extras: there, missing, too old, and broken."""

import importlib.metadata
import platform
import sys
import tomllib
from pathlib import Path

import pytest

from mean_prompt.doctor.installation import EXTRAS, check_extras, check_packages, check_python
from mean_prompt.doctor.settings import RunSettings
from tests.doctor.conftest import findings

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.fixture
def versions(monkeypatch):
    """Return versions by package that replace the real ones; ``None`` is missing."""
    real, others = importlib.metadata.version, {}

    def version(name):
        if others.get(name, "") is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return others.get(name) or real(name)

    monkeypatch.setattr("mean_prompt.doctor.installation.version", version)
    return others


def test_what_is_needed_is_there():
    settings = RunSettings()
    [found] = check_packages(settings)
    assert found.state == "good"
    assert " that are needed: faiss-cpu " in found.found
    assert not settings.unusable


def test_a_missing_and_an_old_package_are_installed_in_one_command(versions):
    versions |= {"plotly": None, "optuna": "4.1"}
    settings = RunSettings()
    [found] = check_packages(settings)
    assert found.state == "fault"
    assert found.found == "optuna is 4.1, and must be <6,>=5; plotly is missing"
    assert found.remedy == "pip install 'optuna<6,>=5' 'plotly>=6'"
    assert settings.unusable == {"plotly", "optuna"}


def test_a_package_that_does_not_import_is_installed_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    settings = RunSettings()
    [found] = check_packages(settings)
    assert found.state == "fault"
    assert found.found.startswith("faiss-cpu ")
    assert "does not import: import of faiss halted" in found.found
    assert found.remedy == "pip install --force-reinstall --no-deps 'faiss-cpu>=1.9'"
    assert settings.unusable == {"faiss-cpu"}


def test_every_extra_for_users_is_checked():
    assert EXTRAS.keys() == PROJECT["optional-dependencies"].keys() - {"dev", "docs"}


def test_an_extra_is_missing_too_old_or_good(versions):
    versions |= {"openai": None, "ray": "1.0", "gradio": "6.1"}
    found = findings(check_extras, RunSettings())
    missing, old = found["extra openai"], found["extra ray"]
    assert (missing.state, old.state) == ("note", "warning")
    assert found["extra web"].state == "good"
    assert missing.found.startswith("not installed, for predictions of an LLM behind a server")
    assert missing.remedy == "to have it: pip install 'mean-prompt[openai]'"
    assert old.found.startswith("ray is 1.0, and must be >=2.50")


def test_another_python_is_a_fault(monkeypatch):
    [found] = check_python(RunSettings())
    assert found.state == "good"
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.4")
    [found] = check_python(RunSettings())
    assert found.state == "fault"
    assert "Python must be " in found.found


def test_a_program_that_is_not_installed_is_a_fault(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("mean_prompt.doctor.installation.distribution", missing)
    [found] = check_python(RunSettings())
    assert found.state == "fault"
    assert found.remedy.startswith("pip install mean-prompt, or in a checkout: ")
