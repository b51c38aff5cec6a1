"""The one way to lay out a spec: what `reconciler fmt` writes.

Values are never changed and comments never lost. Canonical is: the fields at
the top in the order of `FIELDS`, then tables in the order of `TABLES`, others
behind them as they stand; one blank line before each table and no more than
one anywhere; one space around ``=``; double quotes where they need no escape;
an array on one line, or one element a line with a comma behind each when it
was written so or does not fit. Line ends are line feeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

import rtoml

from reconciler.errors import Complaint, ReconcilerError
from reconciler.specs.folder import read_bytes
from reconciler.specs.statements import (
    Array,
    Blank,
    Comment,
    Element,
    Header,
    InlineTable,
    Pair,
    Statement,
    Value,
    statements,
)
from reconciler.specs.text import parse, unreadable

__all__ = ["FIELDS", "TABLES", "formatted", "laid_out"]

FIELDS: Final = (
    "kind", "type", "name", "extends", "description", "image", "image_pull_policy", "workload_types",
    "workload_architecture", "distributed_framework", "working_dir", "command", "args", "tools", "tags",
    "depends_on",
)  # fmt: skip
"""The order of the fields at the top of a spec; any other comes after them, in the order that it has."""
TABLES: Final = (
    "stack", "state", "platforms", "policy", "apply", "moved",
    "data", "workload_types", "environment_variables", "compute", "lifecycle", "on",
)  # fmt: skip
"""The order of the tables of ``reconciler.toml`` and of a spec; any other comes before ``lifecycle``."""

_WIDTH: Final = 100
_INDENT: Final = "    "
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_NEEDS_ESCAPE: Final = re.compile(r'["\\\x00-\x08\x0a-\x1f\x7f]')


def formatted(text: str, *, file: str) -> str:
    """*text*, valid TOML, laid out. Raises `ReconcilerError`, naming *file*, rather than change a value."""
    before = text.lstrip("\ufeff")  # our parser takes two of them, too
    after = "".join(f"{line}\n" for line in _lines(list(statements(before))))
    if _meaning(rtoml.loads(after)) != _meaning(rtoml.loads(before)):
        raise ReconcilerError(
            f"{file} is left as it is: laid out, it would mean something else",
            hint="This is a mistake in reconciler. Nothing was written to this file.",
        )
    return after


def _meaning(value: Any) -> Any:
    """*value* in a form in which equal means the same: an integer is no float, not-a-number is itself."""
    if isinstance(value, dict):
        return {key: _meaning(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_meaning(item) for item in value]
    return type(value), repr(value)


# --- what belongs together ---


@dataclass(slots=True)
class _Entry:
    """A pair, with the lines of comments before and behind it that go where it goes.

    In ``before`` an empty text is a blank line. ``apart`` says that a blank
    line stood before all of it.
    """

    pair: Pair
    before: list[str]
    apart: bool
    behind: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Section:
    """A header (none for the top of the file) with what stands below it."""

    header: Header | None
    before: list[str] = field(default_factory=list)
    entries: list[_Entry] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Comments:
    """Comments that are waiting for what they belong to, in blocks without blank lines inside."""

    blocks: list[list[str]] = field(default_factory=list)
    touches: bool = False
    """Whether the first block stands right below something else."""
    apart: bool = False
    """Whether there was a blank line before the first block."""
    open: bool = False
    """Whether the last block may go on: no blank line came behind it."""

    def lines(self) -> list[str]:
        """All blocks; an empty text for the blank line between two, and behind one that is closed."""
        found: list[str] = []
        for number, block in enumerate(self.blocks):
            found += block
            if number < len(self.blocks) - 1 or not self.open:
                found.append("")
        return found


def _sections(every: Sequence[Statement]) -> tuple[list[str], list[_Section], list[str]]:
    """The comment at the head of the file, its sections, and the comments at its end."""
    head: list[str] = []
    sections = [_Section(None)]
    waiting = _Comments()
    for statement in every:
        match statement:
            case Blank():
                if waiting.blocks:
                    waiting.open = False
                else:
                    waiting.apart = True
            case Comment(text):
                if not waiting.blocks:
                    waiting.touches = not waiting.apart
                if waiting.open:
                    waiting.blocks[-1].append(text)
                else:
                    waiting.blocks.append([text])
                    waiting.open = True
            case Header() | Pair():
                nothing_yet = len(sections) == 1 and not sections[0].entries
                if nothing_yet and waiting.blocks:
                    head, waiting = _head(waiting, statement)
                else:
                    _leave_behind(sections[-1], waiting)
                apart = waiting.apart or (bool(waiting.blocks) and not waiting.touches)
                if isinstance(statement, Header):
                    sections.append(_Section(statement, waiting.lines()))
                else:
                    sections[-1].entries.append(_Entry(statement, waiting.lines(), apart))
                waiting = _Comments()
    if len(sections) > 1 or sections[0].entries:
        waiting.open = False
        _leave_behind(sections[-1], waiting)
    return head, sections, waiting.lines()


def _head(waiting: _Comments, first: Statement) -> tuple[list[str], _Comments]:
    """What of the first comments of a file is about the file, and what about its *first* statement.

    A field may move away from a comment that is about the file as well; so
    only a table keeps the one right above it.
    """
    if isinstance(first, Header) and waiting.open:
        own = waiting.blocks.pop()
        waiting.open = False
        return waiting.lines(), _Comments([own], apart=True, open=True)
    return waiting.lines(), _Comments()


def _leave_behind(section: _Section, waiting: _Comments) -> None:
    """A block right below a pair or header, with a blank line behind it, belongs to that."""
    if waiting.blocks and waiting.touches and (len(waiting.blocks) > 1 or not waiting.open):
        where = section.entries[-1].behind if section.entries else section.behind
        where += waiting.blocks.pop(0)
        waiting.touches, waiting.apart = False, True


# --- the layout ---


def _lines(every: Sequence[Statement]) -> Iterator[str]:
    head, sections, end = _sections(every)
    top, *tables = sections
    while head and not head[-1] and not (top.entries or tables):
        head.pop()
    yield from head
    is_first = not head or not head[-1]
    for number, entry in enumerate(_in_order(top.entries)):
        yield from _entry_lines(entry, apart=entry.apart and number > 0)
        is_first = False
    for section in sorted(tables, key=_place):
        if not is_first:
            yield ""
        is_first = False
        yield from section.before
        assert section.header is not None
        yield _header_line(section.header)
        yield from section.behind
        for number, entry in enumerate(section.entries):
            yield from _entry_lines(entry, apart=entry.apart and (number > 0 or bool(section.behind)))
    while end and not end[-1]:
        end.pop()
    if end and (top.entries or tables or head):
        yield ""
    yield from end


def _in_order(entries: Sequence[_Entry]) -> list[_Entry]:
    """The entries at the top in the order of `FIELDS`.

    Blank lines parted groups that are none any more where something moved;
    those before comments stay.
    """
    found = sorted(entries, key=_rank)
    if found != list(entries):
        for entry in found:
            entry.apart = bool(entry.before) and entry.apart
    return found


def _rank(entry: _Entry) -> int:
    name = _plain(entry.pair.key[0])
    if name in FIELDS:
        return FIELDS.index(name)
    # A table that is written as a pair comes last, where tables are.
    return len(FIELDS) + (1 + TABLES.index(name) if name in TABLES else 0)


def _place(section: _Section) -> float:
    assert section.header is not None
    name = _plain(section.header.key[0])
    return TABLES.index(name) if name in TABLES else TABLES.index("lifecycle") - 0.5


def _plain(part: str) -> str:
    return part[1:-1] if part[:1] in ("'", '"') else part


def _entry_lines(entry: _Entry, *, apart: bool) -> Iterator[str]:
    if apart:
        yield ""
    yield from entry.before
    start = f"{_key(entry.pair.key)} = "
    yield _commented(start + _value(entry.pair.value, "", len(start)), entry.pair.comment)
    yield from entry.behind


def _header_line(header: Header) -> str:
    name = _key(header.key)
    return _commented(f"[[{name}]]" if header.repeated else f"[{name}]", header.comment)


def _commented(line: str, comment: str) -> str:
    return f"{line}  {comment}" if comment else line


def _key(parts: Iterable[str]) -> str:
    return ".".join(
        part[1:-1] if _BARE.fullmatch(part[1:-1]) and part[0] in "\"'" else _scalar(part) for part in parts
    )


def _scalar(text: str) -> str:
    """A scalar; a literal string in double quotes where that needs no escape."""
    if text.startswith("'") and not text.startswith("'''") and not _NEEDS_ESCAPE.search(text):
        return f'"{text[1:-1]}"'
    return text


def _value(value: Value, indent: str, used: int) -> str:
    """A value on lines that begin with *indent*, the first of which has *used* columns already."""
    match value:
        case Array():
            return _array(value, indent, used)
        case InlineTable(pairs):
            inner = ", ".join(f"{_key(key)} = {_value(item, indent, used)}" for key, item in pairs)
            return f"{{ {inner} }}" if inner else "{}"
    return _scalar(value)


def _array(array: Array, indent: str, used: int) -> str:
    if not array.elements and not array.rest:
        return "[]"
    if not array.broken and not array.rest:
        line = f"[{', '.join(_value(one.value, indent, 0) for one in array.elements)}]"
        if "\n" in line or used + len(line) <= _WIDTH:
            return line
    deeper = indent + _INDENT
    lines = [f"{deeper}{text}" for one in array.elements for text in _element(one, deeper)]
    lines += [f"{deeper}{comment}" for comment in array.rest]
    return "\n".join(["[", *lines, f"{indent}]"])


def _element(one: Element, indent: str) -> Iterator[str]:
    yield from one.before
    yield _commented(f"{_value(one.value, indent, len(indent))},", one.behind)


def laid_out(path: FilePath, name: str) -> tuple[bytes, bytes] | Complaint:
    """The bytes of the file at *path* as they are and as they should be, or what is wrong with it."""
    try:
        data = read_bytes(str(path))
    except OSError as error:
        return unreadable(name, error)
    parsed = parse(path, name, data)
    if isinstance(parsed, Complaint):
        return parsed
    return data, formatted(parsed.text, file=name).encode()
