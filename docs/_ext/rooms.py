"""The drawing and the table of the package's rooms, made from what its modules import.

An arrow means "imports". One that follows from others is left out: if ``runs`` imports ``optimize``
and ``optimize`` imports ``corpus``, an arrow from ``runs`` to ``corpus`` adds nothing to the order.
The table lists every import.

The drawing is layered (Sugiyama, Tagawa and Toda 1981): a room stands one layer below the lowest
room that imports it, an arrow that passes a layer has a place in it, and the places of a layer are
ordered by the mean place of their neighbours.
"""

from __future__ import annotations

import ast
import importlib.util
from collections import Counter, defaultdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PACKAGE = "mean_prompt"
_FOLDER = Path("_generated")
#: Files at the top of the package that are not drawn: they only start it or list its names.
_LEFT_OUT = {PACKAGE, "__main__"}
_BOX_WIDTH, _BOX_HEIGHT, _LANE = 150, 46, 34
_ROW = 92
_GAP = 34
_SWEEPS = 8

_ARROW_HEAD = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
)

Edge = tuple[str, str]


def read_imports() -> tuple[dict[str, int], Counter[Edge]]:
    """Return the number of modules in each room, and how many imports lead from room to room."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    sizes: Counter[str] = Counter()
    imports: Counter[Edge] = Counter()
    for module in graph.modules:
        sizes[_room(module)] += 1
        for other in graph.find_modules_directly_imported_by(module):
            if _room(module) != _room(other):
                imports[_room(module), _room(other)] += 1
    drawn = {room: size for room, size in sizes.items() if room not in _LEFT_OUT}
    kept = {edge: n for edge, n in imports.items() if set(edge) <= drawn.keys()}
    return drawn, Counter(kept)


def _room(module: str) -> str:
    return ([*module.split("."), PACKAGE])[1]


def needed(edges: set[Edge]) -> set[Edge]:
    """Return the edges that follow from no others: the transitive reduction."""
    return {edge for edge in edges if not _reaches(*edge, edges - {edge})}


def _reaches(start: str, end: str, edges: set[Edge]) -> bool:
    below = {second for first, second in edges if first == start}
    return end in below or any(_reaches(room, end, edges) for room in below)


def heights(rooms: set[str], edges: set[Edge]) -> dict[str, int]:
    """Return the layer of each room, 0 at the top: one below the lowest that imports it."""
    found: dict[str, int] = {}

    def height(room: str) -> int:
        if room not in found:
            above = [first for first, second in edges if second == room]
            found[room] = max((height(one) + 1 for one in above), default=0)
        return found[room]

    return {room: height(room) for room in rooms}


def lay_out(
    depth: dict[str, int], edges: set[Edge]
) -> tuple[list[list[Edge]], dict[Edge, list[Edge]]]:
    """Return the places of every layer in their order, and the places that each edge runs through.

    A place is a room, as ``(room, "")``, or an edge that passes the layer.
    """
    layers: list[list[Edge]] = [[] for _ in range(max(depth.values()) + 1)]
    for room in sorted(depth):
        layers[depth[room]].append((room, ""))
    paths: dict[Edge, list[Edge]] = {}
    for first, second in sorted(edges):
        between = range(depth[first] + 1, depth[second])
        for layer in between:
            layers[layer].append((first, second))
        paths[first, second] = [(first, ""), *[(first, second)] * len(between), (second, "")]
    for sweep in range(_SWEEPS):
        _order(layers, depth, paths, downwards=sweep % 2 == 0)
    return layers, paths


def _order(
    layers: list[list[Edge]],
    depth: dict[str, int],
    paths: dict[Edge, list[Edge]],
    *,
    downwards: bool,
) -> None:
    """Sort each layer by the mean place of its neighbours in the layer before it."""
    numbers = range(len(layers)) if downwards else range(len(layers) - 1, -1, -1)
    step = -1 if downwards else 1
    for number in numbers:
        if not 0 <= number + step < len(layers):
            continue
        before = _spread(layers[number + step])
        means: dict[Edge, float] = {}
        for place in layers[number]:
            near = [
                before[other]
                for edge, path in paths.items()
                for other in _beside(path, depth[edge[0]], number, step, place)
            ]
            means[place] = sum(near) / len(near) if near else _spread(layers[number])[place]
        layers[number].sort(key=means.__getitem__)


def _beside(path: list[Edge], top: int, number: int, step: int, place: Edge) -> list[Edge]:
    """Return the place before ``place`` on a path, if the path runs through it."""
    at = number - top
    if 0 <= at < len(path) and path[at] == place and 0 <= at + step < len(path):
        return [path[at + step]]
    return []


def _spread(places: list[Edge]) -> dict[Edge, float]:
    """Return the middle of each place, the layer's own middle being 0."""
    widths = [_LANE if second else _BOX_WIDTH for _, second in places]
    x = -(sum(widths) + _GAP * (len(widths) - 1)) / 2
    found = {}
    for place, width in zip(places, widths, strict=True):
        found[place] = x + width / 2
        x += width + _GAP
    return found


def draw() -> str:
    """Return the drawing as SVG, in the colours of the page that it stands in."""
    sizes, imports = read_imports()
    edges = needed(set(imports))
    depth = heights(set(sizes), edges)
    layers, paths = lay_out(depth, edges)
    x = [_spread(layer) for layer in layers]
    half = max(max(abs(at) for at in layer.values()) for layer in x) + _BOX_WIDTH / 2 + 4
    height = _ROW * (len(layers) - 1) + _BOX_HEIGHT + 8
    said = "; ".join(f"{first} imports {second}" for first, second in sorted(edges))
    box = f"{-half:.0f} 0 {2 * half:.0f} {height}"
    parts = [
        f'<svg class="rooms" viewBox="{box}" style="max-width: {2 * half:.0f}px" role="img">',
        f"<title>The rooms of the package: {escape(said)}</title>",
        _ARROW_HEAD,
    ]
    for (first, _), path in sorted(paths.items()):
        points = [(x[depth[first] + n][place], depth[first] + n) for n, place in enumerate(path)]
        parts.append(_arrow(points))
    for room, layer in sorted(depth.items()):
        parts.append(_box(room, sizes[room], x[layer][room, ""], layer))
    return "\n".join([*parts, "</svg>"])


def _arrow(points: list[tuple[float, int]]) -> str:
    """Return a curve from the lower edge of the first place to the upper edge of the last."""
    (x, layer), *rest = points
    y = layer * _ROW + 4 + _BOX_HEIGHT
    pieces = [f"M{x:.0f} {y}"]
    for number, (next_x, next_layer) in enumerate(rest):
        next_y = next_layer * _ROW + 4 + (0 if number == len(rest) - 1 else _BOX_HEIGHT)
        bend = (y + next_layer * _ROW + 4) / 2
        pieces.append(f"C{x:.0f} {bend:.0f} {next_x:.0f} {bend:.0f} {next_x:.0f} ")
        pieces[-1] += f"{next_layer * _ROW + 4}"
        if next_y > next_layer * _ROW + 4:
            pieces.append(f"L{next_x:.0f} {next_y}")
        x, y = next_x, next_y
    return f'<path class="arrow" d="{" ".join(pieces)}" marker-end="url(#arrow)"/>'


def _box(room: str, size: int, x: float, layer: int) -> str:
    y = layer * _ROW + 4
    left = x - _BOX_WIDTH / 2
    modules = "1 module" if size == 1 else f"{size} modules"
    return (
        f'<rect x="{left:.0f}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6"/>'
        f'<text class="name" x="{x:.0f}" y="{y + 20}">{escape(room)}</text>'
        f'<text class="size" x="{x:.0f}" y="{y + 37}">{modules}</text>'
    )


def table() -> str:
    """Return what each room does and imports, as a Markdown table, the highest room first."""
    sizes, imports = read_imports()
    depth = heights(set(sizes), needed(set(imports)))
    below: dict[str, list[str]] = defaultdict(list)
    order = sorted(sizes, key=lambda room: (depth[room], room))
    for first, second in sorted(imports, key=lambda edge: (depth[edge[1]], edge[1])):
        below[first].append(f"`{second}`")
    rows = [f"| `{room}` | {_purpose(room)} | {', '.join(below[room])} |" for room in order]
    return "\n".join(["| room | what it is for | imports |", "|---|---|---|", *rows, ""])


def _purpose(room: str) -> str:
    """Return the first line of a room's docstring."""
    spec = importlib.util.find_spec(f"{PACKAGE}.{room}")
    assert spec is not None
    assert spec.origin is not None
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text("utf-8"))) or ""
    return text.partition("\n")[0].replace("|", r"\|").rstrip(".")


def write(app: Sphinx) -> None:
    """Write the drawing and the table where ``architecture.md`` includes them."""
    folder = Path(app.srcdir) / _FOLDER
    folder.mkdir(exist_ok=True)
    (folder / "rooms.svg").write_text(draw(), "utf-8")
    (folder / "rooms.md").write_text(table(), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write both before pages are read."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
