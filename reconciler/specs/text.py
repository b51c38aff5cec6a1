"""Files as text and tables, and complaints with a place in them that never show a secret.

A complaint quotes the line that it is about, and complaints end up in logs. So
each is made here, from the file: what stands in it and is likely a secret is
left out of the line and of the words, whatever the complaint is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Final, Literal

import rtoml

from reconciler.core.model import Path
from reconciler.errors import Complaint
from reconciler.specs.positions import Position, Span, index

__all__ = ["TomlFile", "leaves", "parse", "plain_secrets", "unreadable"]

_AT = re.compile(r" at line (\d+) column (\d+)$")
_SYNTAX_AT_LARGE: Final = (
    "Write KEY = VALUE on a line of its own; https://toml.io shows each form of a value."
)
_SYNTAX: Final[Mapping[str, str]] = {
    "duplicate key": "Keep one of the two; what stands below both goes below the one that stays.",
    "must be quoted": 'Put text in quotes: KEY = "VALUE".',
    "invalid boolean": 'Put text in quotes: KEY = "VALUE"; or write true or false.',
    "missing escaped value": "Write a backslash twice, or put the text in single quotes.",
    "invalid basic string": 'Close the text with " on the same line, or begin and end it with """.',
    "invalid literal string": "Close the text with ' on the same line, or begin and end it with '''.",
    "invalid multi-line": "Close the text with the three quotes that it begins with.",
    "unclosed array": "Close the list with ].",
    "unclosed inline table": "Close the table with }.",
    "unclosed table": "Close the name of the table with ].",
    "expected newline": "Write one key on a line, and text in quotes.",
    "key with no value": "Write KEY = VALUE; a key with blanks in it goes in quotes.",
    "between key-value pairs": "Write { KEY = VALUE, KEY = VALUE }.",
    "unquoted key": "Put the key in quotes.",
    "leading zero": "Write the number without zeros in front, or put it in quotes.",
    "cannot extend": "Write all keys of the table in one place.",
}
"""What to do, by words of what the parser says."""
_HIDDEN: Final = "(hidden)"
_REFERENCE: Final = frozenset({"env", "file", "command"})


@dataclass(frozen=True)
class _Veil:
    """What must not be seen of a file: from which column on, by line, and which values."""

    columns: Mapping[int, int]
    values: tuple[Any, ...]


@dataclass
class TomlFile:
    """One TOML file that parsed. *name* is its path relative to the stack, with slashes."""

    name: str
    text: str
    table: dict[str, Any] = field(repr=False)
    _concealed: set[Path] = field(default_factory=set, repr=False)
    _veil: _Veil | None = field(default=None, repr=False)

    @cached_property
    def _index(self) -> dict[Path, Span]:
        return index(self.text)

    @cached_property
    def _lines(self) -> list[str]:
        return _split(self.text)

    def locate(self, path: Path, *, want: Literal["key", "value"] = "value") -> Position:
        """Where *path* stands, or the deepest part of it that does."""
        here = path
        while here:
            span = self._index.get(here)
            if span is not None:
                # A table that lacks something is best shown at its name.
                return span.value if want == "value" and here == path else span.key
            here = here[:-1]
        return Position(1, 1)

    def line_of_table(self, *path: str) -> int:
        """The line of the header ``[a.b]``, or of what else makes the table; 1 when nothing here does."""
        # The usual spelling is found by looking for it; all others by reading the whole file.
        header = f"\n[{'.'.join(path)}]"
        at = self.text.find(header)
        if at >= 0 and self.text.find('"""') < 0 and self.text.find("'''") < 0:
            return self.text.count("\n", 0, at) + 2
        return self.locate(path, want="key").line

    def conceal(self, path: Path) -> None:
        """Never show a value that stands at or below *path*: secrets belong there, by reference only."""
        self._concealed.add(path)
        self._veil = None

    def complaint(
        self,
        path: Path,
        summary: str,
        hint: str = "",
        *,
        want: Literal["key", "value"] = "value",
        limit: bool = False,
    ) -> Complaint:
        """A complaint about what stands at *path*."""
        at = self.locate(path, want=want)
        if self._veil is None:
            self._veil = self._secrets()
        return _complaint_at(
            self.name,
            self._lines,
            at.line,
            at.column,
            _without(self._veil.values, summary),
            _without(self._veil.values, hint),
            limit=limit,
            end=self._veil.columns.get(at.line),
        )

    def _secrets(self) -> _Veil:
        from reconciler.core.plaintext import suspicions

        suspected = {found.path for found in suspicions(self.table)}
        columns: dict[int, int] = {}
        values = []
        for path, value in leaves(self.table, ()):
            concealed = any(path[:length] in self._concealed for length in range(1, len(path) + 1))
            if not concealed and path not in suspected and not _is_announced(path, value):
                continue
            at = self.locate(path)
            columns[at.line] = min(at.column, columns.get(at.line, at.column))
            if "\n" in str(value):
                # What follows a text of several lines may stand on the last of them.
                further = range(at.line + 1, at.line + 2 + str(value).count("\n"))
                columns.update(dict.fromkeys(further, 1))
            if path in suspected or _name(path) not in _REFERENCE:
                values.append(value)
        return _Veil(columns, tuple(values))


def plain_secrets(file: TomlFile, allowed: Iterable[str], said: Iterable[Complaint]) -> Iterator[Complaint]:
    """A complaint about each likely secret in *file* that stands there in plain text.

    Not about those that a glob of *allowed* names, nor where something is
    *said* already.
    """
    from reconciler.core.plaintext import suspicions

    places = {(one.file, one.line, one.column) for one in said}
    for found in suspicions(file.table):
        name = ".".join(map(str, found.path))
        # The id of an access key is a user's name, and has a field of its own.
        if found.path[-1] == "access_key_id" or any(fnmatchcase(name, glob) for glob in allowed):
            continue
        complaint = file.complaint(
            found.path,
            f"a secret in plain text: {found.why}",
            "Keep its value out of git: make a credential that takes it by reference, "
            '{ env = "NAME" }, and refer to that. '
            f'If it is no secret: [policy] not_secret = ["{name}"]',
        )
        if (complaint.file, complaint.line, complaint.column) not in places:
            yield complaint


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in *value* that is no table and no array."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*path, number))
    else:
        yield path, value


def _is_announced(path: Path, value: Any) -> bool:
    """Whether the name says secret above a value that can be none as it is: a number, or part of a list."""
    if isinstance(value, bool) or (isinstance(value, str) and isinstance(path[-1], str)):
        return False  # a text by itself has been looked at
    return _says_secret(_name(path))


def _name(path: Path) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _says_secret(name: str) -> bool:
    from reconciler.core.plaintext import suspicions

    return bool(suspicions({name: "?"}))


def _without(values: Iterable[Any], text: str) -> str:
    """*text* without *values*, also where it shows no more than their beginning."""
    for value in values:
        for form in dict.fromkeys((str(value), repr(value).strip("'\""))):
            if not re.search(r"\w", form):
                continue
            text = re.sub(rf"(?<!\w)['\"]?{re.escape(form)}(?!\w)['\"]?", _HIDDEN, text)
            if len(form) > 50:
                text = re.sub(rf"(?<!\w)['\"]?{re.escape(form[:50])}\S*", _HIDDEN, text)
    return text


def _split(text: str) -> list[str]:
    """The lines of *text* as TOML counts them, without their ends."""
    return [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]


def _complaint_at(
    name: str,
    lines: list[str],
    line: int,
    column: int,
    summary: str,
    hint: str = "",
    *,
    limit: bool = False,
    end: int | None = None,
) -> Complaint:
    """A complaint about a place that is known by number. The line is shown up to the column *end*."""
    from reconciler.core.plaintext import suspicions

    excerpt = lines[line - 1] if 0 < line <= len(lines) else ""
    if end is not None:
        excerpt = excerpt[: end - 1] + _HIDDEN
    if suspicions({"": excerpt}):
        excerpt = _HIDDEN  # in a comment, or beside what the parser saw
    return Complaint(summary, name, line, column, excerpt, hint, limit)


def parse(path: FilePath, name: str, data: bytes | None = None) -> TomlFile | Complaint:
    """The file at *path* (or its bytes *data*) as a table, or what is wrong with it."""
    if data is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            return unreadable(name, error)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(errors="replace")
        line = before.count("\n") + 1
        return _broken(
            name,
            data.decode(errors="replace"),
            line,
            len(before.removeprefix("\ufeff").rpartition("\n")[2]) + 1,
            "this byte is not UTF-8",
            "TOML files are UTF-8. Save the file in that encoding.",
        )
    try:
        return TomlFile(name, text, rtoml.loads(text.removeprefix("\ufeff")))
    except rtoml.TomlParsingError as error:
        summary, line, column = str(error), 1, 1
        if found := _AT.search(summary):
            line, column = int(found[1]), int(found[2])
            summary = summary[: found.start()]
        hint = next((advice for word, advice in _SYNTAX.items() if word in summary), _SYNTAX_AT_LARGE)
        return _broken(name, text, line, column, f"TOML syntax: {summary}", hint)


def unreadable(name: str, error: OSError) -> Complaint:
    """A complaint about a file that the system does not let us read."""
    return Complaint(
        f"cannot be read: {error.strerror}", name, hint="Check that it is a file, and its permissions."
    )


_KEY = re.compile(r"\s*(?:\[\[?|[{,])?\s*[\"']?([\w.-]+)[\"']?\s*[=:]")
_WORD = re.compile(r"[\w.-]+")
_OTHER_KIND = re.compile(r"""^\s*["']?kind["']?\s*=\s*["'](?!environment["'])""", re.MULTILINE)


def _broken(name: str, text: str, line: int, column: int, summary: str, hint: str = "") -> Complaint:
    """A complaint about a text that no parser understands, so that secrets in it are found by eye."""
    lines = _split(text)
    return _complaint_at(name, lines, line, column, summary, hint, end=_end_of_harmless(text, lines, line))


def _end_of_harmless(text: str, lines: list[str], line: int) -> int | None:
    """The column from which on a line of a broken file may hold a secret, or None."""
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    telling = [found.end() + 1 for found in _WORD.finditer(here) if _says_secret(found[0])]
    key = _KEY.match(here)
    if key is None:
        # The rest of a text or table that began above?
        above = next((found for one in reversed(lines[: line - 1]) if (found := _KEY.match(one))), None)
        if above is not None and _says_secret(above[1]):
            telling.append(1)
    if _OTHER_KIND.search(text):
        # A credential, perhaps: any of its values may be a secret.
        telling.append(key.end() + 1 if key is not None else 1)
    return min(telling, default=None)
