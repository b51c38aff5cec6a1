"""Which files of a directory its ``.amlignore`` or ``.gitignore`` leaves out.

As the vendor's client reads it, so that the same directory has the same hash:
one file at the root counts, ``.amlignore`` before ``.gitignore``; the last
pattern that matches decides; blanks around a pattern do not count. What is
below a directory that is left out cannot be brought back, as in git.
Source: vendor client azure-ai-ml 1.35.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

__all__ = ["IGNORE_FILES", "ignoring"]

IGNORE_FILES: Final = (".amlignore", ".gitignore")
"""The files that say what is left out; the first that is there counts."""


def ignoring(lines: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path, from the directory and with slashes, is left out by these *lines*."""
    patterns = [found for line in lines if (found := _pattern(line.strip())) is not None]

    def ignored(path: str) -> bool:
        return next((out for regex, out in reversed(patterns) if regex.match(path)), False)

    return ignored


def _pattern(text: str) -> tuple[re.Pattern[str], bool] | None:
    """A pattern as an expression, and whether it leaves out what it matches; None when it says nothing."""
    if not text or text.startswith("#") or text == "/":
        return None
    out = not text.startswith("!")
    text = text if out else text[1:]
    segments = text.split("/")
    for number in range(len(segments) - 1, 0, -1):
        if segments[number] == segments[number - 1] == "**":
            del segments[number]
    if segments == ["**", ""]:
        return re.compile("^.+/.*$"), out
    if not segments[0]:
        del segments[0]
    elif segments[0] != "**" and (len(segments) == 1 or (len(segments) == 2 and not segments[1])):
        segments.insert(0, "**")
    if not segments:
        return None
    if not segments[-1] and len(segments) > 1:
        segments[-1] = "**"
    try:
        return re.compile("".join(_expression(segments))), out
    except re.error:  # a class that is none, such as [z-a]
        return None


def _expression(segments: list[str]) -> Iterable[str]:
    end = len(segments) - 1
    slash = ""
    yield "^"
    for number, segment in enumerate(segments):
        if segment == "**":
            if number == 0:
                yield ".+" if end == 0 else "(?:.+/)?"
                slash = ""
            elif number == end:
                yield "/.*"
            else:
                yield "(?:/.+)?"
                slash = "/"
            continue
        yield slash
        yield "[^/]+" if segment == "*" else _glob(segment)
        if number == end:
            yield "(?:/.*)?"
        slash = "/"
    yield "$"


def _glob(segment: str) -> str:
    """One segment with ``*``, ``?``, ``[…]`` and backslashes."""
    found = []
    at = 0
    while at < len(segment):
        char = segment[at]
        at += 1
        if char == "\\" and at < len(segment):
            found.append(re.escape(segment[at]))
            at += 1
        elif char == "*":
            found.append("[^/]*")
        elif char == "?":
            found.append("[^/]")
        elif char == "[" and (end := _end_of_class(segment, at)):
            found.append(_class(segment[at : end - 1]))
            at = end
        else:
            found.append(re.escape(char))
    return "".join(found)


def _end_of_class(segment: str, at: int) -> int:
    """Behind the bracket that closes the one before *at*; 0 when none does."""
    first = at + 1 if segment[at : at + 1] == "!" else at
    # A bracket that comes first is one of the class.
    return segment.find("]", first + 1 if segment[first : first + 1] == "]" else first) + 1


def _class(inside: str) -> str:
    opening = {"!": "[^", "^": r"[\^"}.get(inside[:1], "")
    rest = inside[1:] if opening else inside
    return (opening or "[") + rest.replace("\\", "\\\\") + "]"
