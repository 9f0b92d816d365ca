"""What the project asks of its surroundings: the Python, the packages and the extras."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PROJECT: Final = "mean-prompt"
#: Packages whose modules are called otherwise than themselves.
_MODULES: Final = {"faiss-cpu": "faiss", "scikit-learn": "sklearn"}
_EXTRA: Final = "extra == "


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a project file, or the metadata of an installation, asks for.

    Attributes:
        python: versions of it.
        needed: packages.
        extras: packages by the extra that brings them.
    """

    python: str
    needed: tuple[Requirement, ...]
    extras: Mapping[str, tuple[Requirement, ...]]


def asked_for() -> Requirements:
    """Return what this version asks for.

    A checkout's own file goes before the metadata of its installation, which are as old as that.

    Raises:
        PackageNotFoundError: it is neither a checkout nor installed.
    """
    project = _project(package_folder().parent / "pyproject.toml")
    return _of_project(project) if project else _of_installation()


def package_folder() -> Path:
    """Return the folder of this package."""
    return Path(__file__).resolve().parent.parent


def fault_of(requirement: Requirement) -> str | None:
    """Return what is wrong with a package's version, or ``None``."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{requirement.name} is {version}, and must be {requirement.specifier}"


def module_of(requirement: Requirement) -> str:
    """Return the module that a package is imported by."""
    return _MODULES.get(requirement.name, requirement.name.replace("-", "_"))


def _of_project(project: Mapping[str, Any]) -> Requirements:
    extras = project.get("optional-dependencies", {})
    return Requirements(
        project["requires-python"],
        _parsed(project["dependencies"]),
        {name: _parsed(lines) for name, lines in extras.items()},
    )


def _of_installation() -> Requirements:
    found = importlib.metadata.distribution(PROJECT)
    lines = [line.replace('"', "'") for line in found.requires or []]
    names = found.metadata.get_all("Provides-Extra") or []
    return Requirements(
        str(found.metadata["Requires-Python"]),
        _parsed(line for line in lines if _EXTRA not in line),
        {
            name: _parsed(line for line in lines if line.endswith(f"{_EXTRA}'{name}'"))
            for name in names
        },
    )


def _project(path: Path) -> dict[str, Any]:
    """Return the project of a file; nothing where it is of another one, or none."""
    try:
        project = tomllib.loads(path.read_text("utf-8")).get("project", {})
    except (OSError, ValueError):
        return {}
    return project if project.get("name") == PROJECT else {}


def _parsed(lines: Iterable[str]) -> tuple[Requirement, ...]:
    from packaging.requirements import Requirement

    return tuple(Requirement(line.partition(";")[0]) for line in lines)
