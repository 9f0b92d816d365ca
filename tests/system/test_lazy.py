"""Names that a room exports and imports when they are first used."""

import sys

import pytest


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A package that exports one name of a module that is not there and one of one that is."""
    folder = tmp_path / "lazy_room"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from mean_prompt.system.lazy import lazy_exports\n"
        "if TYPE_CHECKING:\n"
        "    from lazy_room.there import value as value\n"
        "    from lazy_room.broken import other as other\n"
        "__getattr__, __all__ = lazy_exports(__name__, __file__)\n"
    )
    (folder / "there.py").write_text("value = object()\n")
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("lazy_room")
    for name in [name for name in sys.modules if name.startswith("lazy_room")]:
        del sys.modules[name]


def test_a_name_is_imported_once_and_when_it_is_used(room):
    assert room.__all__ == ["other", "value"]
    assert "lazy_room.there" not in sys.modules
    assert room.value is sys.modules["lazy_room.there"].value
    assert vars(room)["value"] is room.value


def test_an_import_that_is_broken_says_so(room):
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        _ = room.other


def test_a_name_that_is_not_exported_is_no_attribute(room):
    with pytest.raises(AttributeError, match="module 'lazy_room' has no attribute 'nonsense'"):
        _ = room.nonsense
