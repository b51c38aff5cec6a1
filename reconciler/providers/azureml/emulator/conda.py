"""What the service makes of a ``condaFile``: YAML or JSON text goes in, indented JSON text comes out.

The order of keys and of lists stays. Scalars are read as YAML 1.2 reads them,
so ``on`` is a text and a date is one too. A number keeps its spelling: a
``3.10`` does not become ``3.1``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

from reconciler.providers.azureml.emulator.answers import refused

__all__ = ["JSON_LIMIT", "parse_conda", "spell_conda"]

JSON_LIMIT: Final = 1024 * 1024
"""Characters of the JSON that a conda file may become: a few YAML aliases can stand for gigabytes."""

_DEEPEST: Final = 32

_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""A number that JSON can spell the same way."""


class Spelled(float):
    """A number that remembers how it was written."""

    text: str

    def __new__(cls, text: str) -> Spelled:
        made = super().__new__(cls, text)
        made.text = text
        return made


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """YAML with the few implicit types of YAML 1.2."""

    yaml_implicit_resolvers: Final[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


def _float(loader: Any, node: Any) -> object:
    text = loader.construct_scalar(node)
    return Spelled(text) if _NUMBER.fullmatch(text) else text


_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), [*"~nN", ""])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"]
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), [*"-0123456789"])
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(rf"^{_NUMBER.pattern}$"), [*"-0123456789"]
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def parse_conda(text: str) -> dict[str, Any] | None:
    """The conda specification that the text spells; None when there is none.

    Refuses what is neither YAML nor JSON, or no mapping.
    """
    if not text.strip():
        return None
    try:
        if text.lstrip().startswith("{"):
            # What the service answers comes back when something is archived; YAML would read it slowly.
            try:
                found = json.loads(text, parse_float=Spelled)
            except ValueError:
                found = yaml.load(text, _Loader)  # noqa: S506  # a safe loader
        else:
            found = yaml.load(text, _Loader)  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise refused(400, f"condaFile is not valid YAML: {error}", "ValidationError") from None
    if not isinstance(found, dict):
        raise refused(
            400, "condaFile must be a mapping with name, channels and dependencies", "ValidationError"
        )
    return found


def spell_conda(conda: dict[str, Any] | None) -> str:
    """The text that the service answers with; empty when there is no conda file."""
    if conda is None:
        return ""
    pieces: list[str] = []
    _spell(conda, "\n", pieces, [JSON_LIMIT])
    return "".join(pieces)


def _spell(value: object, indent: str, pieces: list[str], left: list[int]) -> None:
    if len(indent) > 2 * _DEEPEST or left[0] < 0:
        raise refused(400, "condaFile is nested too deeply, or too long when its aliases are written out")
    if isinstance(value, dict | list) and value:
        inner = indent + "  "
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        pieces.append(opening)
        for n, entry in enumerate(value):
            pieces.append(f",{inner}" if n else inner)
            if isinstance(value, dict):
                pieces.append(f"{json.dumps(_key(entry), ensure_ascii=False)}: ")
            left[0] -= len(inner) + 2
            _spell(value[entry] if isinstance(value, dict) else entry, inner, pieces, left)
        pieces.append(indent + closing)
        return
    text = value.text if isinstance(value, Spelled) else json.dumps(value, ensure_ascii=False, default=str)
    left[0] -= len(text)
    pieces.append(text)


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    return key.text if isinstance(key, Spelled) else json.dumps(key, default=str)
