"""The dependency graph as Mermaid, DOT or SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from reconciler.core.model import ResourceAddress
from reconciler.core.planner import layers
from reconciler.render.characters import columns, printable

__all__ = ["dot", "mermaid", "svg"]

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


_HEIGHT, _GAP, _PAD, _LETTER = 28, 14, 20, 7.4


def svg(edges: Edges) -> str:
    """A picture: what is needed stands left of what needs it. Follows the reader's light or dark scheme."""
    rows = layers(edges)
    place: dict[ResourceAddress, tuple[float, float, float]] = {}
    left = float(_PAD)
    tallest = 0.0
    for row in rows:
        width = max((columns(str(address)) for address in row), default=0) * _LETTER + 24
        for number, address in enumerate(row):
            place[address] = (left, _PAD + number * (_HEIGHT + _GAP), width)
        tallest = max(tallest, len(row) * (_HEIGHT + _GAP))
        left += width + 70
    width, height = left - 70 + _PAD if rows else 2 * _PAD, tallest + 2 * _PAD - (_GAP if rows else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="Dependencies">',
        "<style>text{font:13px ui-monospace,monospace;fill:#1f2328}rect{fill:#f6f8fa;stroke:#8c959f}"
        "path{fill:none;stroke:#57606a}@media(prefers-color-scheme:dark){text{fill:#e6edf3}"
        "rect{fill:#161b22;stroke:#6e7681}path{stroke:#8b949e}}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 8 4 0 8" /></marker></defs>',
    ]
    for address in sorted(edges):
        x, y, _ = place[address]
        for needed in sorted(edges[address]):
            if needed not in place:
                continue
            other_x, other_y, other_width = place[needed]
            start, end = (x, y + _HEIGHT / 2), (other_x + other_width, other_y + _HEIGHT / 2)
            middle = (start[0] + end[0]) / 2
            parts.append(
                f'<path d="M{start[0]:.1f} {start[1]:.1f}C{middle:.1f} {start[1]:.1f} {middle:.1f} '
                f'{end[1]:.1f} {end[0]:.1f} {end[1]:.1f}" marker-end="url(#a)"/>'
            )
    for address in sorted(place):
        x, y, wide = place[address]
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{_HEIGHT}" rx="5"/>'
            f'<text x="{x + 12:.1f}" y="{y + 18.5:.1f}">{escape(printable(str(address)))}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
