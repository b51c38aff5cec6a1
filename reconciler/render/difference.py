"""How a change and its fields are put into signs and rows, whatever they are shown in."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.render.characters import printable

__all__ = [
    "CAUSES",
    "DESTRUCTIVE",
    "SYMBOLS",
    "destructive_first",
    "gravest_first",
    "is_grave",
    "line_changes",
    "notes",
    "quoted",
    "reads_better_by_line",
    "symbol_of",
]

SYMBOLS: Final = {
    "create": "+",
    "update": "~",
    "replace": "-/+",
    "delete": "-",
    "adopt": "<-",
    "forget": "x",
    "move": "->",
    "record": "=",
}
DESTRUCTIVE: Final = ("delete", "replace")
CAUSES: Final = {
    "drift": "drift: changed outside",
    "both": "conflict: spec changed, and changed outside",
    "reference": "new id",
}

_WORDS: Final = re.compile(r"\((sensitive|secret from [^\n]+|id of [^\n]+, known after apply)\)")
"""What a view says in place of a value."""


def is_grave(change: Mapping[str, Any]) -> bool:
    """Whether a change takes something away, or cannot be taken back."""
    return change["action"] in DESTRUCTIVE or bool(change["irreversible"])


def destructive_first(change: Mapping[str, Any]) -> tuple[bool, str]:
    """The key to sort changes by, for people."""
    return change["action"] not in DESTRUCTIVE, change["address"]


def gravest_first(changes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The changes that are grave: first what cannot be taken back, then what has a risk besides."""
    return sorted(
        filter(is_grave, changes), key=lambda one: (not one["irreversible"], not one["risk"], one["address"])
    )


def notes(one: Mapping[str, Any]) -> str:
    """What is to be known of a field besides its values; often nothing."""
    found = [CAUSES[one["cause"]]] if one["cause"] in CAUSES else []
    if one["forces_replace"]:
        found.append("forces replacement")
    return ", ".join(found)


def symbol_of(change: Mapping[str, Any]) -> str:
    """The sign of a change: that of its action, or of what it comes to on its platform."""
    return ">" if change["manner"] and change["action"] != "replace" else SYMBOLS[change["action"]]


def quoted(value: Any) -> str:
    """A value on one line, as TOML would spell it."""
    if value is None:
        return "(nothing)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return printable(value if _WORDS.fullmatch(value) else json.dumps(value, ensure_ascii=False))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{printable(key)} = {quoted(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(quoted, value))}]"
    return str(value)


def reads_better_by_line(before: Any, after: Any) -> bool:
    """Whether a long text or list is best shown by the lines that differ."""
    if isinstance(before, str) and isinstance(after, str):
        return "\n" in before or "\n" in after
    return isinstance(before, list) and isinstance(after, list) and max(len(before), len(after)) > 4


def line_changes(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    """The lines or elements that differ, each with ``-`` or ``+``."""
    # Split at line feeds alone: a carriage return or a missing last line end is a difference, too.
    old, new = (
        list(map(printable, value.split("\n"))) if isinstance(value, str) else list(map(quoted, value))
        for value in (before, after)
    )
    for tag, start, end, new_start, new_end in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if tag != "equal":
            yield from (("-", line) for line in old[start:end])
            yield from (("+", line) for line in new[new_start:new_end])
