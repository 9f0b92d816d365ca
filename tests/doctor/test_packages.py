"""Python, packages and extras: there, missing, too old, and broken."""

import importlib.metadata
import platform
import sys
import tomllib
from pathlib import Path

import pytest

from mean_prompt.doctor import requirements
from mean_prompt.doctor.packages import EXTRAS, check_extras, check_installation, check_packages
from mean_prompt.doctor.patient import RunSettings
from tests.doctor.conftest import findings

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


@pytest.fixture
def versions(monkeypatch):
    """Return versions by package that are told in place of the real ones; ``None`` is missing."""
    real, told = importlib.metadata.version, {}

    def version(name):
        if told.get(name, "") is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return told.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    return told


def test_what_is_needed_is_there():
    patient = RunSettings()
    [found] = check_packages(patient)
    assert found.state == "good"
    assert found.found.startswith(f"all {len(PROJECT['dependencies'])} that are needed: faiss-cpu ")
    assert not patient.unusable


def test_a_missing_and_an_old_package_are_installed_in_one_command(versions):
    versions |= {"polars": None, "optuna": "4.1"}
    patient = RunSettings()
    [found] = check_packages(patient)
    assert found.state == "fault"
    assert found.found == "optuna is 4.1, and must be <6,>=5; polars is missing"
    assert found.remedy == "pip install 'optuna<6,>=5' 'polars>=1.20'"
    assert patient.unusable == {"polars", "optuna"}


def test_a_package_that_does_not_import_is_installed_anew(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    patient = RunSettings()
    [found] = check_packages(patient)
    assert found.state == "fault"
    assert found.found.startswith("faiss-cpu ")
    assert "does not import: import of faiss halted" in found.found
    assert found.remedy == "pip install --force-reinstall --no-deps 'faiss-cpu>=1.9'"
    assert patient.unusable == {"faiss-cpu"}


def test_every_extra_for_users_is_told_of():
    assert EXTRAS.keys() == PROJECT["optional-dependencies"].keys() - {"dev"}


def test_a_missing_extra_is_a_note(versions):
    versions["openai"] = None
    found = findings(check_extras, RunSettings())["extra openai"]
    assert found.state == "note"
    assert found.found.startswith("not installed, for predictions of an LLM behind a server")
    assert found.remedy == "to have it: pip install 'mean-prompt[openai]'"


def test_an_extra_that_is_too_old_is_a_warning(versions):
    versions["openai"] = "1.0"
    found = findings(check_extras, RunSettings())["extra openai"]
    assert found.state == "warning"
    assert found.found.startswith("openai is 1.0, and must be >=3")


def test_an_extra_that_is_there_is_good(versions):
    versions["psycopg"] = "3.3"
    assert findings(check_extras, RunSettings())["extra postgres"].state == "good"


def test_another_python_is_a_fault(monkeypatch):
    assert findings(check_installation, RunSettings())["installation"].state == "good"
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.4")
    found = findings(check_installation, RunSettings())["installation"]
    assert found.state == "fault"
    assert found.found.endswith("Python must be >=3.11")


def test_an_installation_says_what_a_checkout_says(monkeypatch):
    class Installed:
        requires = ("numpy>=2", "ray[data]>=2.50; extra == 'ray'", 'pytest; extra == "dev"')
        metadata = importlib.metadata.PackageMetadata

    import email.message

    message = email.message.Message()
    message["Requires-Python"] = ">=3.11"
    message["Provides-Extra"] = "ray"
    message["Provides-Extra"] = "dev"
    Installed.metadata = message
    monkeypatch.setattr(requirements, "_project", lambda _: {})
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: Installed)
    found = requirements.asked_for()
    assert found.python == ">=3.11"
    assert [one.name for one in found.needed] == ["numpy"]
    assert {name: [one.name for one in ones] for name, ones in found.extras.items()} == {
        "ray": ["ray"],
        "dev": ["pytest"],
    }
