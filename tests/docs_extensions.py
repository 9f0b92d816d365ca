"""The parts of the site that are generated, loaded from ``docs/_ext``, which is no package."""

import importlib.util
from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "docs" / "_ext"


def _load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", _FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


commands = _load("commands")
rooms = _load("rooms")
