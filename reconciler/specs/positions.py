"""Where in a TOML text a value stands.

The parsers we use answer with plain dictionaries and forget the text. A message about a value needs
its line and column, so this module reads the text a second time, and only when there is something to
complain about. It takes for granted that a parser has accepted the text, and therefore checks nothing:
it knows where tokens begin and end, not whether they belong there.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

__all__ = ["KEY_PART", "SCALAR", "Path", "Position", "Span", "index", "locate"]

Path = tuple[str | int, ...]
"""The keys and element numbers from the root to a value: ``("on", "runai", "tools", 0, "port")``."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a text. Both numbers count from 1; a column is one character, also a tab."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value is named and where it begins.

    Of a dotted key or header, *key* is the last part. For an element of an array, which has no name, both
    are where the element begins; for a table that has no value of its own in the text, because a header or
    a dotted key made it, both are where its name is written.
    """

    key: Position
    value: Position


def index(text: str) -> dict[Path, Span]:
    """The span of every key, table, array element and inline table entry in *text*.

    Its keys are the paths of what a parser makes of *text*, except the root. A table that is only implied
    stands where it is first named; a header of its own, even a later one, is preferred. A byte order mark
    is not a character.

    *text* must be valid TOML, 1.0 or 1.1. For anything else the result means nothing, and is a ValueError
    where the reading cannot go on. The time is linear in the length of *text*.
    """
    return _Reading(text).document()


def locate(text: str, path: Path, *, want: Literal["key", "value"] = "value") -> Position:
    """Where the value at *path* begins in *text*, or its key.

    A path that leads nowhere, such as that of a missing key, is cut from its end until it leads to
    something; when nothing is left, the answer is the beginning of the text. *text* as for `index`.
    """
    spans = index(text)
    for length in range(len(path), 0, -1):
        span = spans.get(path[:length])
        if span is not None:
            return span.key if want == "key" else span.value
    return Position(1, 1)


def _token(pattern: str) -> re.Pattern[str]:
    """A token, as group 1, with all the space, line ends and comments behind it."""
    return re.compile(rf"({pattern})(?>(?:[ \t\r\n]++|#[^\n]*+)*)", re.DOTALL)


# Every repetition is possessive (`*+`, or atomic `(?>…)` around a group: before Python 3.11.5 a possessive
# group with alternatives in it misses matches): a string that does not close is given up at once, without
# trying all shorter readings of it.
_BASIC = r'"[^"\\\n]*+(?>(?:\\.[^"\\\n]*+)*)"'
_LITERAL = r"'[^'\n]*+'"
# One or two quotes may stand inside, also right before the three that close: at most five in a row.
_LONG_BASIC = r'"""[^"\\]*+(?>(?:(?:\\.|""?(?!"))[^"\\]*+)*)"{3,5}+'
_LONG_LITERAL = r"'''[^']*+(?>(?:''?(?!')[^']*+)*)'{3,5}+"
# The only value with a space in it that is not a string.
_DATE_AND_TIME = r"\d{4}-\d\d-\d\d \d[^\s,\]}#]*+"
_PLAIN = r"[^\s,\]}#]++"

_NOTHING = _token("")
_EQUALS, _DOT, _COMMA = _token("="), _token(r"\."), _token(",")
_KEY = rf"{_BASIC}|{_LITERAL}|[A-Za-z0-9_-]++"
_ONE_VALUE = "|".join([_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL, _DATE_AND_TIME, _PLAIN])
_KEY_PART, _SCALAR = _token(_KEY), _token(_ONE_VALUE)

KEY_PART = re.compile(_KEY, re.DOTALL)
"""A part of a dotted key, as it is written."""
SCALAR = re.compile(_ONE_VALUE, re.DOTALL)
"""A value that is no array and no inline table, as it is written."""
_BRACKET_OPENS, _BRACKET_CLOSES = _token(r"\["), _token(r"\]")
_BRACKETS_OPEN, _BRACKETS_CLOSE = _token(r"\[\["), _token(r"\]\]")
_BRACE_OPENS, _BRACE_CLOSES = _token(r"\{"), _token(r"\}")

_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U00[0-9A-Fa-f]{6}|.)", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


class _Reading:
    """One pass over a text. Between two calls `_at` is where the next token begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 1 if text.startswith("\ufeff") else 0
        self._line_starts = [self._at, *(end.end() for end in re.finditer("\n", text))]
        self._spans: dict[Path, Span] = {}
        # How many elements each array of tables has so far: a header that names the array means the last.
        self._lengths: dict[Path, int] = {}

    def document(self) -> dict[Path, Span]:
        self._take(_NOTHING)
        table: Path = ()
        while self._at < len(self._text):
            if self._sees("[["):
                table = self._next_of_tables()
            elif self._sees("["):
                table = self._table()
            else:
                self._pair(table)
        return self._spans

    def _table(self) -> Path:
        """``[a.b]``: the path of the table the following pairs belong to."""
        self._take(_BRACKET_OPENS)
        table, name = self._header()
        self._take(_BRACKET_CLOSES)
        self._spans[table] = Span(name, name)
        return table

    def _next_of_tables(self) -> Path:
        """``[[a.b]]``: the path of the element the following pairs belong to."""
        self._take(_BRACKETS_OPEN)
        tables, name = self._header()
        self._take(_BRACKETS_CLOSE)
        self._spans.setdefault(tables, Span(name, name))
        number = self._lengths.get(tables, 0)
        self._lengths[tables] = number + 1
        table = (*tables, number)
        self._spans[table] = Span(name, name)
        return table

    def _header(self) -> tuple[Path, Position]:
        """The path a header names, and where its last part is. Tables on the way there are implied."""
        *parents, (name, position) = self._key()
        path: Path = ()
        for parent, named in parents:
            path = (*path, parent)
            self._spans.setdefault(path, Span(named, named))
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        return (*path, name), position

    def _pair(self, table: Path) -> None:
        """``a.b = value``, in a table or an inline table."""
        *parents, (name, position) = self._key()
        path = table
        for parent, named in parents:
            path = (*path, parent)
            self._spans.setdefault(path, Span(named, named))
        self._take(_EQUALS)
        self._value((*path, name), position)

    def _key(self) -> list[tuple[str, Position]]:
        """The parts of a dotted key, each with its place."""
        parts = [self._key_part()]
        while self._sees("."):
            self._take(_DOT)
            parts.append(self._key_part())
        return parts

    def _key_part(self) -> tuple[str, Position]:
        position = self._position()
        written = self._take(_KEY_PART)
        if written.startswith('"'):
            return _ESCAPE.sub(_unescaped, written[1:-1]), position
        if written.startswith("'"):
            return written[1:-1], position
        return written, position

    def _value(self, path: Path, key: Position | None = None) -> None:
        position = self._position()
        self._spans[path] = Span(key or position, position)
        if self._sees("["):
            self._array(path)
        elif self._sees("{"):
            self._inline_table(path)
        else:
            self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        self._take(_BRACKET_OPENS)
        number = 0
        while not self._sees("]"):
            self._value((*path, number))
            number += 1
            if self._sees(","):
                self._take(_COMMA)
        self._take(_BRACKET_CLOSES)

    def _inline_table(self, path: Path) -> None:
        self._take(_BRACE_OPENS)
        while not self._sees("}"):
            self._pair(path)
            if self._sees(","):
                self._take(_COMMA)
        self._take(_BRACE_CLOSES)

    def _sees(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _take(self, token: re.Pattern[str]) -> str:
        """Move behind *token* and what separates it from the next one; the token as it is written."""
        found = token.match(self._text, self._at)
        if found is None:
            place = self._position()
            raise ValueError(f"not valid TOML at line {place.line}, column {place.column}")
        self._at = found.end()
        return found[1]

    def _position(self) -> Position:
        line = bisect_right(self._line_starts, self._at)
        return Position(line, self._at - self._line_starts[line - 1] + 1)


def _unescaped(escape: re.Match[str]) -> str:
    written = escape[1]
    return _ESCAPED[written] if written in _ESCAPED else chr(int(written[1:], 16))
