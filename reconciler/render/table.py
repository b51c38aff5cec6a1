"""Tables for a terminal, and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reconciler.render.characters import columns as columns_of
from reconciler.render.characters import printable

__all__ = ["csv_text", "table_lines"]

_GAP = "  "
_NARROWEST = 6


def _fitted(text: str, width: int) -> str:
    """*text* in exactly *width* columns, cut with an ellipsis where it is longer."""
    taken = columns_of(text)
    if taken <= width:
        return text + " " * (width - taken)
    result, used = "", 0
    for character in text:
        step = columns_of(character)
        if used + step > width - 1:
            break
        result += character
        used += step
    return result + "…" + " " * (width - 1 - used)


def table_lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, width: int) -> Iterator[str]:
    """*rows* under a heading, in at most *width* columns: the widest give way first."""
    cells = [[_one_line(row.get(column)) for column in columns] for row in rows]
    heads = [column.replace("_", " ").upper() for column in columns]
    wide = [
        min(width, max([columns_of(head), *(columns_of(row[place]) for row in cells)]))
        for place, head in enumerate(heads)
    ]
    room = width - len(_GAP) * (len(columns) - 1)
    while sum(wide) > room and max(wide) > _NARROWEST:
        # Shrink the widest to the next, or by what is too much.
        widest = max(wide)
        place = wide.index(widest)
        second = max((other for spot, other in enumerate(wide) if spot != place), default=_NARROWEST)
        wide[place] = max(_NARROWEST, min(widest - 1, max(second, widest - (sum(wide) - room))))
    for row in (heads, *cells):
        line = _GAP.join(_fitted(text, size) for text, size in zip(row, wide, strict=True)).rstrip()
        # With too many columns for their narrowest, those on the right are cut off.
        yield line if columns_of(line) <= width else _fitted(line, width).rstrip()


def _one_line(value: Any) -> str:
    return printable(" ".join(_text(value).split()))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """*rows* as CSV (RFC 4180) with a heading."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(_text(row.get(column)) for column in columns)
    return text.getvalue()
