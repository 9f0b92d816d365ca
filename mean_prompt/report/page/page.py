"""Render sections and figures as one HTML file: self-contained, or updated by a live server."""

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

#: Content security policy: a page loads only from itself; a live page also asks its own server.
_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; "
    "style-src 'unsafe-inline'; script-src {scripts}; connect-src {server}"
)
#: Folders of this package that hold templates.
_FOLDERS: Final = ("page", "explore")


@dataclass(frozen=True, slots=True)
class PageParts:
    """The content of an HTML page: headings, sections and Plotly figures.

    Attributes:
        headings: headings of the sections by their element ids, in the order of the page.
        sections: HTML of each section that has content, by the same ids.
        figures: Plotly figures by the ids of the HTML elements that they are drawn in.
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

    The script of a live page asks the server for ``parts.json`` every second, and updates the
    sections that have changed.
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
    """Render a Jinja template of this package as HTML, with all texts in ``values`` escaped."""
    return _templates().get_template(template).render(**values)


def policy(*, live: bool) -> str:
    """Return a page's content security policy, which allows its own scripts by their hashes."""
    allowed = " ".join(_fingerprint(script) for script in (plotly_script(), _own("page.js")))
    return _POLICY.format(scripts=allowed, server="'self'" if live else "'none'")


@cache
def plotly_script() -> str:
    """Return the JavaScript source of Plotly.js from the plotly package."""
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
