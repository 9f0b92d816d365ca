"""The order of the package: what stands where, and what is imported from where.

That rooms import only rooms below them is import-linter's to check, in ``make lint``.
"""

import ast
import importlib
import pkgutil
from collections import defaultdict
from pathlib import Path

import pytest

import mean_prompt
from tests.conftest import LONGEST

PACKAGE = Path(mean_prompt.__file__).parent
BENCHMARKS = PACKAGE.parent / "benchmarks"
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())


def trees(*paths):
    return {path: ast.parse(path.read_text()) for path in paths}


def test_only_the_shop_front_stands_at_the_top():
    found = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert found <= {"__init__.py", "__main__.py", "api.py", "py.typed"}


def test_no_room_has_the_name_of_a_function_that_is_exported():
    """Importing the room would hide the function."""
    assert not set(ROOMS) & set(mean_prompt.__all__)


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_name_of_a_front_is_there_and_hides_no_module(room):
    front = importlib.import_module(f"mean_prompt.{room}".rstrip("."))
    exported = getattr(front, "__all__", [])
    assert [name for name in exported if not hasattr(front, name)] == []
    modules = {found.name for found in pkgutil.iter_modules(front.__path__)}
    assert not modules & set(exported)


def imports(tree):
    """Yield the modules and names that are imported, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)


def is_from_a_front(module, name, home):
    """Return whether something is imported from the front of a room, or from the own room."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    if package != "mean_prompt" or (room and room == home):
        return True
    # system.lazy makes the fronts, and the command line is a library to nothing but benchmarks.
    if module == "mean_prompt.system.lazy" or room in {"api", "__main__"} | ({"cli"} - {home}):
        return True
    if rest != room:
        return False
    exported = importlib.import_module(module).__all__
    return not name or name in exported or (not room and name in {"api", *ROOMS})


@pytest.mark.parametrize("folder", ["api.py", "benchmarks", *ROOMS])
def test_another_room_is_imported_through_its_front(folder):
    base = BENCHMARKS if folder == "benchmarks" else PACKAGE / folder
    home = folder if folder in ROOMS else ""
    faults = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {module}: {name}"
        for path, tree in trees(*([base] if base.is_file() else base.rglob("*.py"))).items()
        for module, name, line in imports(tree)
        if not is_from_a_front(module, name, home)
    ]
    assert faults == []


@pytest.mark.slow
def test_no_two_classes_have_one_name():
    homes = defaultdict(list)
    for path, tree in trees(*PACKAGE.rglob("*.py")).items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(path.relative_to(PACKAGE).as_posix())
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_the_modules_that_begin_first_are_there():
    assert [name for name in LONGEST if not (PACKAGE.parent / name).is_file()] == []
