"""What characters do to a terminal: how many columns they take, and which must not get there."""

from __future__ import annotations

import unicodedata

__all__ = ["columns", "printable"]

_TAKES_NONE = frozenset({"Mn", "Me", "Cf"})


def columns(text: str) -> int:
    """How many terminal columns *text* takes: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(character) in _TAKES_NONE
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def printable(text: str) -> str:
    """*text* with what cannot be seen spelled out.

    Names and values come from platforms, where others type them: an escape
    sequence could repaint the plan, a mark of writing direction turn what is
    read into something else than what is applied.
    """
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _spelled(character) for character in text)


def _spelled(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
