"""Python, the packages that are needed, and those that only some things need."""

from __future__ import annotations

import importlib
import platform
import shlex
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from mean_prompt.doctor.finding import Finding, first_line
from mean_prompt.doctor.patient import RunSettings
from mean_prompt.doctor.requirements import (
    PROJECT,
    asked_for,
    fault_of,
    module_of,
    package_folder,
)
from mean_prompt.encoder import LOADING_ERRORS

if TYPE_CHECKING:
    from packaging.requirements import Requirement

#: Packages whose versions decide what a run finds and how fast; the others are counted.
_NAMED: Final = ("torch", "transformers", "sentence-transformers", "optuna", "faiss-cpu")
#: What each extra is for.
EXTRAS: Final = {
    "offline": "all-MiniLM-L6-v2, a model that needs no network",
    "postgres": "a study that several machines share in PostgreSQL",
    "ray": "mean-prompt embed --ray",
    "openai": "predictions of an LLM behind a server: --llm server:",
    "web": "a page to play with a run's space: mean-prompt explore",
    "quantized": "a local LLM's weights in four bits: --llm-4bit",
}


def check_installation(_patient: RunSettings) -> Iterator[Finding]:
    """Tell what runs, and hold Python against what it asks for."""
    from packaging.specifiers import SpecifierSet

    place, python = package_folder(), platform.python_version()
    try:
        found = f"{PROJECT} {version(PROJECT)} in {place}, Python {python} on {platform.system()}"
    except PackageNotFoundError:
        yield Finding(
            "installation",
            "fault",
            f"{place} runs without being installed: a run writes down the versions of what it used",
            f"pip install {PROJECT}, or in a checkout: pip install --editable .",
        )
        return
    wanted = asked_for().python
    if SpecifierSet(wanted).contains(python, prereleases=True):
        yield Finding("installation", "good", found)
    else:
        remedy = f"make a virtual environment with Python {wanted}, and install into it"
        yield Finding("installation", "fault", f"{found}: Python must be {wanted}", remedy)


def check_packages(patient: RunSettings) -> Iterator[Finding]:
    """Import every package that is needed, after a look at its version."""
    needed = asked_for().needed
    absent = {one: fault for one in needed if (fault := fault_of(one))}
    broken = {one: fault for one in needed if one not in absent and (fault := _broken(one))}
    patient.unusable.update(one.name for one in (*absent, *broken))
    if not patient.unusable:
        named = ", ".join(f"{one.name} {version(one.name)}" for one in needed if one.name in _NAMED)
        yield Finding("packages", "good", f"all {len(needed)} that are needed: {named}")
    if absent:
        yield Finding("packages", "fault", "; ".join(absent.values()), _pip_install(absent))
    if broken:
        remedy = _pip_install(broken, "--force-reinstall", "--no-deps")
        yield Finding("packages", "fault", "; ".join(broken.values()), remedy)


def check_extras(_patient: RunSettings) -> Iterator[Finding]:
    """Tell which extras are there, and what those are for that are not."""
    extras = asked_for().extras
    for name, purpose in EXTRAS.items():
        check, remedy = f"extra {name}", f"pip install '{PROJECT}[{name}]'"
        faults = {one.name: fault for one in extras.get(name, ()) if (fault := fault_of(one))}
        if not faults:
            yield Finding(check, "good", f"installed, for {purpose}")
        elif all(fault.endswith("missing") for fault in faults.values()):
            yield Finding(check, "note", f"not installed, for {purpose}", f"to have it: {remedy}")
        else:
            yield Finding(check, "warning", f"{'; '.join(faults.values())}: for {purpose}", remedy)


def _pip_install(requirements: Iterable[Requirement], *options: str) -> str:
    """Return the command that installs packages."""
    return shlex.join(["pip", "install", *options, *map(str, requirements)])


def _broken(requirement: Requirement) -> str | None:
    """Return why a package cannot be imported, or ``None``."""
    try:
        importlib.import_module(module_of(requirement))
    except LOADING_ERRORS as error:
        found = f"{requirement.name} {version(requirement.name)}"
        return f"{found} does not import: {first_line(error)}"
    return None
