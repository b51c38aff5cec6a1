"""The dependency graph as Mermaid, DOT or SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, Generic, TypeVar

from reconciler.core.model import ResourceAddress
from reconciler.core.planner import layers
from reconciler.render.characters import columns, printable

__all__ = ["HEIGHT", "Box", "Drawing", "dot", "drawing", "mermaid", "svg"]

Edges = Mapping[ResourceAddress, Sequence[ResourceAddress]]
"""Each resource with what it needs."""


def mermaid(edges: Edges) -> str:
    """A Mermaid flowchart; an arrow points at what is needed."""
    names = {address: f"n{number}" for number, address in enumerate(sorted(edges))}
    lines = ["flowchart LR"]
    for address, name in names.items():
        # Mermaid's own escape: a label may hold Markdown and HTML otherwise.
        label = "".join(c if c.isalnum() or c in " ._-/:@" else f"#{ord(c)};" for c in str(address))
        lines.append(f'  {name}["{label}"]')
    for address in sorted(edges):
        lines += [
            f"  {names[address]} --> {names[needed]}" for needed in sorted(edges[address]) if needed in names
        ]
    return "\n".join(lines) + "\n"


def dot(edges: Edges) -> str:
    """A graph for Graphviz; an arrow points at what is needed."""
    lines = ["digraph stack {", "  rankdir=LR;", "  node [shape=box];"]
    lines += [f"  {_dot_id(address)};" for address in sorted(edges)]
    for address in sorted(edges):
        lines += [
            f"  {_dot_id(address)} -> {_dot_id(needed)};"
            for needed in sorted(edges[address])
            if needed in edges
        ]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_id(address: ResourceAddress) -> str:
    # DOT knows no escapes but that of the quote; in a label, two backslashes are one.
    return '"' + printable(str(address)).replace("\\", "\\\\").replace('"', '\\"') + '"'


HEIGHT: Final = 28
"""How high a box is."""
_GAP, _PAD, _LETTER, _BETWEEN = 14, 20, 7.4, 70

T = TypeVar("T", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class Box(Generic[T]):
    """A box of a drawing, and where it stands."""

    of: T
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Drawing(Generic[T]):
    """Where everything stands in a picture: what is needed stands left of what needs it.

    A curve is the data of an SVG path, from what needs to what is needed.
    """

    width: float
    height: float
    boxes: tuple[Box[T], ...]
    curves: tuple[str, ...]


def drawing(edges: Mapping[T, Sequence[T]], label: Callable[[T], str]) -> Drawing[T]:
    """The picture of *edges* with boxes as wide as their labels."""
    rows = layers(edges)
    boxes: dict[T, Box[T]] = {}
    left, tallest = float(_PAD), 0.0
    for row in rows:
        width = max((columns(label(one)) for one in row), default=0) * _LETTER + 24
        for number, one in enumerate(row):
            boxes[one] = Box(one, left, _PAD + number * (HEIGHT + _GAP), width)
        tallest = max(tallest, len(row) * (HEIGHT + _GAP))
        left += width + _BETWEEN
    return Drawing(
        left - _BETWEEN + _PAD if rows else 2 * _PAD,
        tallest + 2 * _PAD - (_GAP if rows else 0),
        tuple(boxes[one] for one in sorted(boxes)),
        tuple(
            _curve(boxes[one], boxes[needed])
            for one in sorted(edges)
            for needed in sorted(edges[one])
            if needed in boxes
        ),
    )


def _curve(one: Box[T], needed: Box[T]) -> str:
    start, end = (one.x, one.y + HEIGHT / 2), (needed.x + needed.width, needed.y + HEIGHT / 2)
    middle = (start[0] + end[0]) / 2
    return (
        f"M{start[0]:.1f} {start[1]:.1f}C{middle:.1f} {start[1]:.1f} {middle:.1f} "
        f"{end[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    )


def svg(edges: Edges) -> str:
    """A picture that follows the reader's light or dark scheme."""
    picture = drawing(edges, str)
    size = f"{picture.width:.0f}", f"{picture.height:.0f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
        f'viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="Dependencies">',
        "<style>text{font:13px ui-monospace,monospace;fill:#1f2328}rect{fill:#f6f8fa;stroke:#8c959f}"
        "path{fill:none;stroke:#57606a}@media(prefers-color-scheme:dark){text{fill:#e6edf3}"
        "rect{fill:#161b22;stroke:#6e7681}path{stroke:#8b949e}}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 8 4 0 8" /></marker></defs>',
    ]
    parts += [f'<path d="{curve}" marker-end="url(#a)"/>' for curve in picture.curves]
    parts += [
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{box.x + 12:.1f}" y="{box.y + 18.5:.1f}">{escape(printable(str(box.of)))}</text>'
        for box in picture.boxes
    ]
    return "\n".join([*parts, "</svg>"]) + "\n"
