"""YAML and JSON files of a stack as values of JSON, each with its place in the file.

The only module of this provider's specs that knows the YAML parser. Plain
words are read as YAML 1.2 has it, and conda: ``on`` and ``2026-01-01`` are
text. What could mean two things is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import yaml

from reconciler.core.model import Path

__all__ = ["Document", "DocumentBroken", "read_json", "read_yaml"]

_LONGEST: Final = 1_000_000
_MOST_VALUES: Final = 50_000
"""How much may come of a file: a few aliases can stand for gigabytes."""
_DEEPEST: Final = 50
_TAG: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset(f"{_TAG}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null"))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # whichever is there
    """The parser, with the few kinds of plain words of YAML 1.2."""

    yaml_implicit_resolvers: Final[dict[str, Any]] = {}


for _kind, _words, _first in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", [*"-+0123456789"]),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_words})$"), _first)


class Document(NamedTuple):
    """What a file says, and the line and column of each value, from 1."""

    value: Any
    places: Mapping[Path, tuple[int, int]]


class DocumentBroken(Exception):
    """A file that says nothing. Never quotes it: what stands there may be a secret."""

    def __init__(self, summary: str, hint: str, place: tuple[int, int] = (1, 1)) -> None:
        super().__init__(summary)
        self.summary = summary
        self.hint = hint
        self.place = place


def read_yaml(data: bytes) -> Document:
    """The one document in *data*. Raises `DocumentBroken`."""
    text = _text(data)
    loader = _Loader(text)
    try:
        reader = _Reader(loader)
        node = loader.get_single_node()
        return Document(None if node is None else reader.value(node, (), ()), reader.places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        what = error.problem or error.context or "it cannot be understood"
        raise DocumentBroken(
            f"YAML syntax: {what}", "Check the indentation, and put text with `:` or `#` in quotes.", place
        ) from error
    except yaml.YAMLError as error:
        raise DocumentBroken(
            "YAML syntax: it has characters that YAML does not allow", "Save the file as plain UTF-8 text."
        ) from error
    finally:
        loader.dispose()


def read_json(data: bytes) -> Document:
    """The JSON value in *data*, without places. Raises `DocumentBroken`."""
    try:
        return Document(json.loads(_text(data), parse_constant=_refused_constant), {})
    except json.JSONDecodeError as error:
        raise DocumentBroken(
            f"JSON syntax: {error.msg[:1].lower()}{error.msg[1:]}",
            "Write the file as the SDK did: `Environment.save_to_directory`.",
            (error.lineno, error.colno),
        ) from error
    except RecursionError as error:
        raise DocumentBroken("it is nested too deeply", "Write less in one file.") from error


def _refused_constant(name: str) -> Any:
    raise DocumentBroken(f"{name} is no value of JSON", "Write a number.")


def _text(data: bytes) -> str:
    if len(data) > _LONGEST:
        raise DocumentBroken(f"it has {len(data)} bytes", "Such files are far smaller: check its name.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentBroken("this byte is not UTF-8", "Save the file as UTF-8.", (line, 1)) from error


class _Reader:
    """Makes values of the nodes of one document."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._left = _MOST_VALUES
        self.places: dict[Path, tuple[int, int]] = {}

    def value(self, node: Any, path: Path, above: tuple[Any, ...]) -> Any:
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.places[path] = place
        self._left -= 1
        if self._left < 0 or len(above) > _DEEPEST or any(node is one for one in above):
            raise DocumentBroken(
                "it says too much, or refers to itself", "Write it without anchors and aliases.", place
            )
        if node.tag not in _TAGS:
            raise DocumentBroken(
                "a value with a tag of its own", "Write it as text, a list or a table.", place
            )
        match node:
            case yaml.MappingNode():
                return self._table(node, path, (*above, node))
            case yaml.SequenceNode():
                return [
                    self.value(item, (*path, number), (*above, node))
                    for number, item in enumerate(node.value)
                ]
        try:
            found = self._loader.construct_object(node)
        except ValueError as error:  # an integer of thousands of digits
            raise DocumentBroken("this number is too long", "Put it in quotes.", place) from error
        plain = found is None or isinstance(found, str | bool)
        if plain or (isinstance(found, int) and abs(found) < 2**63):
            return found
        if isinstance(found, float) and math.isfinite(found):
            return found
        raise DocumentBroken("this number is too large", "Put it in quotes.", place)

    def _table(self, node: Any, path: Path, above: tuple[Any, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                raise DocumentBroken("a key must be text", "Write KEY: VALUE.", place)
            if key_node.tag != f"{_TAG}str":
                raise DocumentBroken("a key must be text", "Write it in quotes.", place)
            key = key_node.value
            if key in found:
                raise DocumentBroken(
                    f"the key `{key}` is there twice", "Keep one of the two; the other would be lost.", place
                )
            found[key] = self.value(value_node, (*path, key), above)
            self.places[(*path, key)] = place
        return found
