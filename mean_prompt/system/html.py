"""Views as HTML: made of figures and of texts that do nothing, whatever they hold.

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

#: Characters of a text that are shown in a cell.
_MOST: Final = 240


@dataclass(frozen=True, slots=True)
class Passage:
    """A text as it is shown.

    Attributes:
        head: of it, as far as it is shown.
        of: characters of the whole text, where it was cut; else ``None``.
    """

    head: str
    of: int | None


Cell = str | Passage


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names its rows.

    Attributes:
        headings: of the columns; none where the caption and the rows' names say enough.
        rows: of cells: figures, or texts of anybody.
        strong: number of the row that stands out, if any.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    strong: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of an object.

    Attributes:
        string: shown apart, its blanks and line ends as they are.
        share: drawn as a bar, in [0, 1].
        lines: sentences below.
        notes: lines that are folded away.
    """

    title: str
    string: Passage | None = None
    share: float | None = None
    tables: tuple[Table, ...] = ()
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def shortened(text: str, most: int = _MOST) -> Passage:
    """Return a text, cut if it is long; half an emoji or the like is written as its code."""
    head = text[:most].encode(errors="backslashreplace").decode()
    return Passage(head, len(text) if len(text) > most else None)


def view_html(view: View) -> str:
    """Return a view as a fragment of HTML."""
    return render("view.html", view=view)


def render(template: str, **values: Any) -> str:  # noqa: ANN401 - as Jinja takes it
    """Return a template of this package filled in, every value escaped."""
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
