"""Texts of others, spelled so that Markdown and HTML read nothing in them.

What has a character that Markdown may read is spelled with entities, inside
of code: it ends no fence, table or comment, becomes no link, and mentions
nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from reconciler.render.characters import printable

__all__ = ["code", "fenced", "fitting", "html_code", "prose"]

_PLAIN_CODE: Final = re.compile(r"[^\s`|\\<>&](?:[^`|\\<>&]*[^\s`|\\<>&])?")
_PLAIN_PROSE: Final = re.compile(r"(?:[A-Za-z(][A-Za-z0-9 ,.:;()/+='-]*)?")
_LINK: Final = re.compile(r"://|www\.|:\w+:", re.IGNORECASE)
"""What a forge makes a link or a picture of."""
_SAFE: Final = frozenset(" -,()+=/")


def html_code(text: str, room: int | None = None) -> str:
    """*text* as code, inside of HTML that stands in Markdown; cut to about *room* bytes."""
    shown = printable(text)
    safe = _SAFE if _LINK.search(shown) else _SAFE | {".", ":"}
    pieces = [
        character
        if character.isalnum() or character in safe or not character.isascii()
        else f"&#{ord(character)};"
        for character in shown
    ]
    inner = "".join(pieces) if room is None else fitting(pieces, room, lambda _: "…")
    return f"<code>{inner}</code>"


def code(text: str, room: int | None = None) -> str:
    """*text* as code, in a paragraph or in a table; cut to about *room* bytes."""
    shown = printable(text)
    if _PLAIN_CODE.fullmatch(shown) and (room is None or len(shown.encode()) <= room):
        return f"`{shown}`"
    return html_code(text, room)


def prose(text: str, room: int | None = None) -> str:
    """*text* as it is where it is harmless, else as code; cut to about *room* bytes."""
    if _PLAIN_PROSE.fullmatch(text) and not _LINK.search(text) and (room is None or len(text) <= room):
        return text
    return html_code(text, room)


def fenced(lines: Sequence[str], language: str = "") -> str:
    """A block of code that nothing in *lines* can end."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence]) + "\n"


def fitting(parts: Sequence[str], room: int, more: Callable[[int], str]) -> str:
    """*parts*, one after another, as many as *room* bytes hold; *more* says how many are left out."""
    sizes = [len(part.encode()) for part in parts]
    if sum(sizes) <= room:
        return "".join(parts)
    room -= len(more(len(parts)).encode())
    kept = 0
    while kept < len(parts) and sizes[kept] <= room:
        room -= sizes[kept]
        kept += 1
    return "".join(parts[:kept]) + more(len(parts) - kept)
