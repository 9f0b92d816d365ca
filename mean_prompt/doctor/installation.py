"""Checks of Python, of the packages that every run needs, and of the optional extras."""

from __future__ import annotations

import importlib
import platform
import shlex
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import TYPE_CHECKING, Final

from mean_prompt.doctor.diagnosis import Diagnosis, first_line
from mean_prompt.doctor.settings import RunSettings
from mean_prompt.encoder import LOADING_ERRORS

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_PROJECT: Final = "mean-prompt"
#: Packages whose versions are shown, as results and speed depend on them; others are counted.
_NAMED: Final = ("torch", "transformers", "sentence-transformers", "optuna", "faiss-cpu")
#: Module names of packages that are imported by another name.
_MODULES: Final = {"faiss-cpu": "faiss", "scikit-learn": "sklearn"}
#: Purpose of each optional extra.
EXTRAS: Final = {
    "offline": "all-MiniLM-L6-v2, a model that needs no network",
    "ray": "search --ray and embed --ray",
    "openai": "predictions of an LLM behind a server: --llm server:",
    "web": "a page to explore a run's embedding space: mean-prompt explore",
    "quantized": "a local LLM's weights in four bits: --llm-4bit",
}


def check_python(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether mean-prompt is installed, in a version of Python that it supports."""
    from packaging.specifiers import SpecifierSet

    python = platform.python_version()
    try:
        installed = distribution(_PROJECT)
    except PackageNotFoundError:
        found = f"{_PROJECT} runs without being installed, so that its requirements are unknown"
        remedy = f"pip install {_PROJECT}, or in a checkout: pip install --editable ."
        yield Diagnosis("installation", "fault", found, remedy)
        return
    found = f"{_PROJECT} {installed.version}, Python {python} on {platform.system()}"
    wanted = installed.metadata["Requires-Python"]
    if SpecifierSet(wanted).contains(python, prereleases=True):
        yield Diagnosis("installation", "good", found)
    else:
        remedy = f"make a virtual environment with Python {wanted}, and install into it"
        yield Diagnosis("installation", "fault", f"{found}: Python must be {wanted}", remedy)


def check_packages(settings: RunSettings) -> Iterator[Diagnosis]:
    """Check whether every required package has the right version and can be imported."""
    needed = _requirements()
    absent = {one: fault for one in needed if (fault := _version_fault(one))}
    broken = {one: fault for one in needed if one not in absent and (fault := _import_fault(one))}
    settings.unusable.update(one.name for one in (*absent, *broken))
    if not settings.unusable:
        named = ", ".join(f"{one.name} {version(one.name)}" for one in needed if one.name in _NAMED)
        yield Diagnosis("packages", "good", f"all {len(needed)} that are needed: {named}")
    if absent:
        yield Diagnosis("packages", "fault", "; ".join(absent.values()), _pip_install(absent))
    if broken:
        remedy = _pip_install(broken, "--force-reinstall", "--no-deps")
        yield Diagnosis("packages", "fault", "; ".join(broken.values()), remedy)


def check_extras(_settings: RunSettings) -> Iterator[Diagnosis]:
    """Check for each optional extra whether its packages are installed in the right version."""
    for name, purpose in EXTRAS.items():
        check, remedy = f"extra {name}", f"pip install '{_PROJECT}[{name}]'"
        faults = [fault for one in _requirements(name) if (fault := _version_fault(one))]
        if not faults:
            yield Diagnosis(check, "good", f"installed, for {purpose}")
        elif all(fault.endswith("missing") for fault in faults):
            yield Diagnosis(check, "note", f"not installed, for {purpose}", f"to have it: {remedy}")
        else:
            yield Diagnosis(check, "warning", f"{'; '.join(faults)}: for {purpose}", remedy)


def _requirements(extra: str = "") -> list[Requirement]:
    """Return the packages that an extra requires, or without one those of every run."""
    from packaging.requirements import Requirement

    every = map(Requirement, distribution(_PROJECT).requires or [])
    found = [one for one in every if (f'extra == "{extra}"' in str(one.marker)) == bool(extra)]
    return [Requirement(str(one).partition(";")[0]) for one in found if extra or not one.marker]


def _version_fault(requirement: Requirement) -> str | None:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(found, prereleases=True):
        return None
    return f"{requirement.name} is {found}, and must be {requirement.specifier}"


def _import_fault(requirement: Requirement) -> str | None:
    name = requirement.name
    try:
        importlib.import_module(_MODULES.get(name, name.replace("-", "_")))
    except LOADING_ERRORS as error:
        return f"{name} {version(name)} does not import: {first_line(error)}"
    return None


def _pip_install(requirements: Iterable[Requirement], *options: str) -> str:
    return shlex.join(["pip", "install", *options, *map(str, requirements)])
