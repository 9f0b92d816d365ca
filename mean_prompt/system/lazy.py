"""Lazy exports: a package's public names, each imported when it is first used.

torch takes seconds to import, and ``mean-prompt --help`` must answer at once; so a subpackage's
``__init__`` lists what it exports, for type checkers, and imports none of it.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path


def lazy_exports(package: str, file: str) -> tuple[Callable[[str], object], list[str]]:
    """Return the ``__getattr__`` and ``__all__`` of a package with lazy exports (PEP 562).

    The exported names are those that its source imports under ``if TYPE_CHECKING``.
    """
    homes = {
        alias.asname or alias.name: statement.module or ""
        for block in ast.parse(Path(file).read_text("utf-8")).body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return get, sorted(homes)
