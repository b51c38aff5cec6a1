"""A TOML text as its statements: headers, pairs, comments, blank lines, each as it is written.

A parser forgets what a formatter must keep: comments, line ends, the way a
value is spelled. As in `positions`, it is taken for granted that a parser has
accepted the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from reconciler.specs.positions import KEY_PART, SCALAR

__all__ = [
    "Array",
    "Blank",
    "Comment",
    "Element",
    "Header",
    "InlineTable",
    "Pair",
    "Statement",
    "Value",
    "statements",
]

_SPACE = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"#[^\n]*")
_END = re.compile(r"\r?\n")


@dataclass(frozen=True, slots=True)
class Element:
    """An element of an array, with the comments on lines before it, and the one behind it."""

    value: Value
    before: tuple[str, ...] = ()
    behind: str = ""


@dataclass(frozen=True, slots=True)
class Array:
    """An array; *broken* when its first element stands on a line of its own."""

    elements: tuple[Element, ...]
    rest: tuple[str, ...] = ()
    broken: bool = False


@dataclass(frozen=True, slots=True)
class InlineTable:
    """``{ a = 1 }``."""

    pairs: tuple[tuple[tuple[str, ...], Value], ...]


Value = str | Array | InlineTable
"""A scalar is the text that spells it."""


@dataclass(frozen=True, slots=True)
class Blank:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A line with nothing but a comment."""

    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """``[a.b]`` or, when it is *repeated*, ``[[a.b]]``; key parts as they are written."""

    key: tuple[str, ...]
    repeated: bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """``a.b = value``; key parts as they are written."""

    key: tuple[str, ...]
    value: Value
    comment: str = ""


Statement = Blank | Comment | Header | Pair


def statements(text: str) -> Iterator[Statement]:
    """The statements of *text*, valid TOML without a byte order mark, in order."""
    return _Reading(text).document()


@dataclass
class _Reading:
    _text: str
    _at: int = 0
    _held: list[str] = field(default_factory=list)

    def document(self) -> Iterator[Statement]:
        while self._at < len(self._text):
            self._skip(_SPACE)
            if self._at == len(self._text):
                return
            if self._skip(_END):
                yield Blank()
            elif comment := self._skip(_COMMENT):
                self._skip(_END)
                yield Comment(comment.rstrip())
            elif self._sees("["):
                yield self._header()
            else:
                key, value = self._pair()
                yield Pair(key, value, self._behind())

    def _header(self) -> Header:
        repeated = self._sees("[[")
        self._at += 2 if repeated else 1
        key = self._key()
        self._at += 2 if repeated else 1
        return Header(key, repeated, self._behind())

    def _behind(self) -> str:
        """The comment at the end of a statement's line, if any, and the line's end."""
        self._skip(_SPACE)
        comment = self._skip(_COMMENT).rstrip()
        self._skip(_END)
        return comment

    def _pair(self) -> tuple[tuple[str, ...], Value]:
        key = self._key()
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        return key, self._value()

    def _key(self) -> tuple[str, ...]:
        parts = []
        while True:
            self._skip(_SPACE)
            parts.append(self._skip(KEY_PART))
            self._skip(_SPACE)
            if not self._sees("."):
                return tuple(parts)
            self._at += 1

    def _value(self) -> Value:
        if self._sees("["):
            return self._array()
        if self._sees("{"):
            return self._inline_table()
        return self._skip(SCALAR)

    def _array(self) -> Array:
        self._at += 1
        elements: list[Element] = []
        first_line = self._comments_until_value()
        broken = bool(first_line) or "\n" in self._gap
        before = first_line
        while not self._sees("]"):
            value = self._value()
            behind, before_next = self._after_element()
            elements.append(Element(value, tuple(before), behind))
            before = before_next
        self._at += 1
        return Array(
            tuple(elements), tuple(before), broken or any(one.behind or one.before for one in elements)
        )

    _gap: str = ""

    def _comments_until_value(self) -> list[str]:
        """The comments before the next value or bracket; what was skipped stands in ``_gap``."""
        start = self._at
        found = []
        while True:
            self._skip(_SPACE)
            if comment := self._skip(_COMMENT):
                found.append(comment.rstrip())
            elif not self._skip(_END):
                self._gap = self._text[start : self._at]
                return found

    def _after_element(self) -> tuple[str, list[str]]:
        """The comment on the line of an element, before or behind its comma, and those on lines after it."""
        behind, rest = "", []
        for _ in range(2):
            start = self._at
            comments = self._comments_until_value()
            if comments and "\n" not in self._text[start : self._text.index("#", start)] and not behind:
                behind, comments = comments[0], comments[1:]
            rest += comments
            if not self._sees(","):
                break
            self._at += 1
        return behind, rest

    def _inline_table(self) -> InlineTable:
        self._at += 1
        pairs = []
        self._comments_until_value()
        while not self._sees("}"):
            pairs.append(self._pair())
            self._comments_until_value()
            if self._sees(","):
                self._at += 1
                self._comments_until_value()
        self._at += 1
        return InlineTable(tuple(pairs))

    def _sees(self, token: str) -> bool:
        return self._text.startswith(token, self._at)

    def _skip(self, token: re.Pattern[str]) -> str:
        """Move behind *token*, if it stands here; its text, or nothing."""
        found = token.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]
