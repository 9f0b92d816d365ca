"""HTML views of results for notebooks and pages; every text in them is escaped.

A view has no scripts, fetches nothing, and takes its colours from the page around it, so that it
looks right on light and on dark. Texts are isolated, so that one that runs from right to left
leaves what stands beside it alone, and kept from MathJax, which would typeset their dollars.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jinja2 import Environment

#: Most characters of a text that are shown in a cell.
_MOST: Final = 240


@dataclass(frozen=True, slots=True)
class Passage:
    """The beginning of a text, cut for display.

    Attributes:
        of: number of characters of the whole text if it was cut, else ``None``.
    """

    head: str
    of: int | None


Cell = str | Passage


@dataclass(frozen=True, slots=True)
class Table:
    """A table to show as HTML, whose first column names its rows.

    Attributes:
        headings: headings of the columns; empty if the caption and the rows' names say enough.
        strong: number of the row that is highlighted, or ``None``.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The parts of an HTML view of an object: title, string, bar, tables and lines.

    Attributes:
        string: a text shown in a block of its own, blanks and line ends kept.
        share: a number in [0, 1] that is drawn as a bar.
        lines: sentences below the tables.
        notes: lines that are folded away.
    """

    title: str
    string: Passage | None = None
    share: float | None = None
    tables: tuple[Table, ...] = ()
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def shortened(text: str, most: int = _MOST) -> Passage:
    """Return a text cut to ``most`` characters; a lone surrogate is replaced by its escape."""
    head = text[:most].encode(errors="backslashreplace").decode()
    return Passage(head, len(text) if len(text) > most else None)


def view_html(view: View) -> str:
    """Return a view as a fragment of HTML."""
    return render("view.html", view=view)


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - as Jinja takes it
    """Render a Jinja template of :mod:`mean_prompt.system`, every value HTML-escaped."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("mean_prompt.system"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
