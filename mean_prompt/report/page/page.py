"""A page of sections and figures as HTML: one file that needs nothing else, or a live page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from mean_prompt.report.page.figures import PALETTE

#: Where a page may load anything from: itself, and a live page from its own server.
_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
    "style-src 'unsafe-inline'; script-src {scripts}; connect-src {server}"
)
#: Folders of this package that hold templates.
_FOLDERS: Final = ("page", "explore")


@dataclass(frozen=True, slots=True)
class PageParts:
    """What a page shows.

    Attributes:
        headings: headings of the sections by their element ids, in their order.
        sections: HTML of each section that has something to show, by the same ids.
        figures: Plotly figures by the ids of the elements in the sections that they are drawn in.
    """

    title: str
    headings: Mapping[str, str]
    sections: Mapping[str, str]
    figures: Mapping[str, dict[str, Any]]


@cache
def _templates() -> Environment:
    return Environment(
        loader=ChoiceLoader([PackageLoader(f"mean_prompt.report.{name}") for name in _FOLDERS]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(parts: PageParts, *, live: bool = False) -> str:
    """Return a whole page as HTML.

    The script of a live one asks its server for ``parts.json`` every second, and shows what has
    changed.
    """
    return fragment(
        "page.html",
        parts=parts,
        live=live,
        figures=dict(parts.figures),
        palette=PALETTE,
        style=_own("style.css"),
        scripts=[plotly_script(), _own("page.js")],
        policy=policy(live=live),
    )


def fragment(template: str, **values: object) -> str:
    """Return a template with values filled in, every text among them escaped."""
    return _templates().get_template(template).render(**values)


def policy(*, live: bool) -> str:
    """Return the page's content security policy: its scripts, and their hosts."""
    allowed = " ".join(_fingerprint(script) for script in (plotly_script(), _own("page.js")))
    return _POLICY.format(scripts=allowed, server="'self'" if live else "'none'")


@cache
def plotly_script() -> str:
    """Return the source of Plotly.js."""
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    if "</script" in script.lower():
        raise AssertionError("a script that ends itself cannot stand in a page")
    return script


@cache
def _own(name: str) -> str:
    return (files("mean_prompt.report.page") / "templates" / name).read_text("utf-8")


@cache
def _fingerprint(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
