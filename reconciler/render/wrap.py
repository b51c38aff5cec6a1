"""Lines that are longer than a terminal is wide, broken where a person would break them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from reconciler.render.characters import columns

__all__ = ["wrapped"]

_COLOUR: Final = re.compile(r"\033\[[0-9;]*m")
_WHOLE: Final = re.compile(
    r"Plan: \d|No changes\. |No objects need |Apply complete! |Destroy complete! |Apply exactly it: "
)
"""How the lines begin that tools parse, and the one that people copy: they are never broken."""
_LEAD: Final = re.compile(r" *(?:(?:-/\+|->|<-|[-+~x!]|Error:|Warning:) )?")
"""What stands before a line's text; the lines that continue it begin below the text."""


def wrapped(line: str, width: int) -> Iterator[str]:
    """*line*, coloured or not, in lines of at most *width* columns: broken between words, then indented.

    A word that no line could hold is broken behind its commas; without them
    it stays as it is, so that it can be copied.
    """
    plain = _COLOUR.sub("", line)
    if _size(line) <= width or _WHOLE.match(plain):
        yield line
        return
    lead = _LEAD.match(plain)
    assert lead is not None
    indent = min(len(lead[0]) + (0 if lead[0].strip() else 2), width // 2)
    room = width - indent
    text, taken = "", 0
    for gap, piece in _pieces(line, room):
        size = _size(piece)
        if taken + gap + size > width and size <= room:
            yield text
            text, taken = " " * indent + piece, indent + size
        else:
            text, taken = text + " " * gap + piece, taken + gap + size
    yield text


_PIECES: Final = (r"( *)([^ ]+ = [^ ]+|[^ ]+)", r"( *)([^ ]+)", r"()([^,]*,|[^,]+)")
"""What stays together if there is room for it: ``name = value``, else a word, else a part of a list."""


def _pieces(line: str, room: int, finer: Sequence[str] = _PIECES) -> Iterator[tuple[int, str]]:
    """The pieces of *line*, each with how many blanks stand before it."""
    for blanks, piece in re.findall(finer[0], line):
        if _size(piece) <= room or not finer[1:]:
            yield len(blanks), piece
        else:
            (_, first), *rest = _pieces(piece, room, finer[1:])
            yield len(blanks), first
            yield from rest


def _size(text: str) -> int:
    return columns(_COLOUR.sub("", text))
