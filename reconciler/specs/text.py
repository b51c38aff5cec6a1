"""Files as text and tables, and complaints with a place in them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal

import rtoml

from reconciler.core.model import Path
from reconciler.errors import Complaint
from reconciler.specs.positions import Position, Span, index

__all__ = ["TomlFile", "parse"]

_AT = re.compile(r" at line (\d+) column (\d+)$")


@dataclass
class TomlFile:
    """One TOML file that parsed. *name* is its path relative to the stack, with slashes."""

    name: str
    text: str
    table: dict[str, Any] = field(repr=False)

    @cached_property
    def _index(self) -> dict[Path, Span]:
        return index(self.text)

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.removeprefix("\ufeff").splitlines()

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

    def has(self, path: Path) -> bool:
        """Whether the file itself says something at *path*."""
        return path in self._index

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
        return complaint_at(self.name, self._lines, at.line, at.column, summary, hint, limit=limit)


def complaint_at(
    name: str, lines: list[str], line: int, column: int, summary: str, hint: str = "", *, limit: bool = False
) -> Complaint:
    """A complaint about a place that is known by number."""
    excerpt = lines[line - 1] if 0 < line <= len(lines) else ""
    return Complaint(summary, name, line, column, excerpt, hint, limit)


def parse(path: FilePath, name: str, data: bytes | None = None) -> TomlFile | Complaint:
    """The file at *path* (or its bytes *data*) as a table, or what is wrong with it."""
    if data is None:
        try:
            data = path.read_bytes()
        except OSError as error:
            return Complaint(
                f"cannot be read: {error.strerror}",
                name,
                hint="Check that it is a file, and its permissions.",
            )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(errors="replace")
        line = before.count("\n") + 1
        column = len(before.rpartition("\n")[2]) + 1
        return Complaint(
            "this byte is not UTF-8",
            name,
            line,
            column,
            data.split(b"\n")[line - 1].decode(errors="replace").rstrip("\r"),
            "TOML files are UTF-8. Save the file in that encoding.",
        )
    try:
        return TomlFile(name, text, rtoml.loads(text.removeprefix("\ufeff")))
    except rtoml.TomlParsingError as error:
        summary, line, column = str(error), 1, 1
        if found := _AT.search(summary):
            line, column = int(found[1]), int(found[2])
            summary = summary[: found.start()]
        complaint = complaint_at(name, text.splitlines(), line, column, f"TOML syntax: {summary}")
        from reconciler.specs.plaintext import suspicions

        key, equals, value = complaint.excerpt.partition("=")
        if equals and suspicions({key.strip().strip("\"'"): value.strip().strip("\"'")}):
            # What does not parse cannot be told apart from a secret; messages end up in logs.
            return replace(complaint, excerpt=f"{key}= (hidden)")
        return complaint
