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
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TOLD_BY_THEIR_END = frozenset({"address", "image"})
"""Columns whose values begin alike: where they are too long, it is the beginning that goes."""


def _fitted(text: str, width: int, *, keeping_end: bool = False) -> str:
    """*text* in exactly *width* columns, cut with an ellipsis where it is longer."""
    taken = columns_of(text)
    if taken <= width:
        return text + " " * (width - taken)
    kept, used = 0, 0
    characters = reversed(text) if keeping_end else text
    for count, character in enumerate(characters, 1):
        step = columns_of(character)
        if used + step > width - 1:
            break
        used += step
        if step or not keeping_end:  # an accent stands behind its letter, and stays with it
            kept = count
    blanks = " " * (width - 1 - used)
    return (f"…{text[len(text) - kept :]}" if keeping_end else f"{text[:kept]}…") + blanks


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
    ends = [column in _TOLD_BY_THEIR_END for column in columns]
    for row in (heads, *cells):
        line = _GAP.join(
            _fitted(text, size, keeping_end=end and row is not heads)
            for text, size, end in zip(row, wide, ends, strict=True)
        ).rstrip()
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
    """*rows* as CSV (RFC 4180) with a heading.

    An apostrophe goes before what a spreadsheet would take for a formula and
    run: names and descriptions are typed by others.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        cells = (_text(row.get(column)) for column in columns)
        writer.writerow(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells)
    return text.getvalue()
