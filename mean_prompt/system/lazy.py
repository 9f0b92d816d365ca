"""Names that a package exports and imports when they are first used.

torch takes seconds to import, and ``mean-prompt --help`` must answer at once; so a room's
``__init__`` names what the room exports, and loads none of it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def lazy_exports(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], list[str]]:
    """Return a package's ``__getattr__`` and ``__all__`` (PEP 562).

    Args:
        package: its ``__name__``.
        homes: exported names by the submodule that defines them, relative to the package.
    """
    modules = {name: f"{package}.{module}" for module, names in homes.items() for name in names}

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, sorted(modules)
