"""JSON and durations as Go's standard library reads them, its words for what is wrong included.

Keys match in any case, unknown ones are dropped, null leaves a field as it
was, what follows the first value is not read, and a number is a double where
no whole number is asked for. Source: package ``encoding/json``, ``time``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn

__all__ = [
    "ANYTHING",
    "STRINGS",
    "TEXTS",
    "WHOLE",
    "Record",
    "Unreadable",
    "decode",
    "duration",
    "list_of",
    "text",
]


class Unreadable(ValueError):
    """The body is not what was asked for; the text is Go's."""


class _Number(str):
    """A number as it was written: whether it fits depends on who reads it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _At:
    """Where in which struct a value is, as Go's errors say it. ``path`` is empty at the top."""

    struct: str
    path: str = ""

    def refuse(self, shape: str, go_type: str) -> NoReturn:
        where = f"Go struct field {self.struct}.{self.path}" if self.path else "Go value"
        raise Unreadable(f"json: cannot unmarshal {shape} into {where} of type {go_type}")


Reader = Callable[[Any, _At], Any]
"""Reads one parsed value; answers Go's zero value for null."""


def _shape(value: object) -> str:
    if isinstance(value, _Number):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "bool"
    return "array" if isinstance(value, list) else "object"


def _clean(value: str) -> str:
    """Half of a surrogate pair becomes U+FFFD, as in Go; UTF-8 could not carry it."""
    if value.isascii():
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def text(value: Any, at: _At) -> str:
    """Reads a ``string``."""
    if value is None:
        return ""
    if not isinstance(value, str) or isinstance(value, _Number):
        at.refuse(_shape(value), "string")
    return _clean(value)


def _whole(value: Any, at: _At) -> int:
    if not isinstance(value, _Number):
        at.refuse(_shape(value), "int32")
    if not re.fullmatch(r"-?[0-9]{1,10}", value) or not -(2**31) <= int(value) < 2**31:
        at.refuse(f"number {value}", "int32")
    return int(value)


WHOLE: Final[Reader] = _whole
"""Reads an ``int32``."""


def list_of(read: Reader, go_type: str) -> Reader:
    """Reads a slice whose elements *read* reads."""

    def reads(value: Any, at: _At) -> list[Any]:
        if not isinstance(value, list):
            at.refuse(_shape(value), f"[]{go_type}")
        return [read(element, at) for element in value]

    return reads


STRINGS: Final = list_of(text, "string")
"""Reads a ``[]string``."""


def _map_of(read: Reader, go_type: str) -> Reader:
    def reads(value: Any, at: _At) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, tuple):
            at.refuse(_shape(value), f"map[string]{go_type}")
        # Go writes the keys of a map in order, whatever order they came in.
        return dict(sorted((_clean(key), read(inner, at)) for key, inner in dict(value).items()))

    return reads


TEXTS: Final = _map_of(text, "string")
"""Reads a ``map[string]string``."""


def _anything(value: Any, at: _At) -> Any:
    if isinstance(value, _Number):
        number = float(value)
        if math.isinf(number):
            at.refuse(f"number {value}", "float64")
        # As Go writes it again: no fraction that is zero, no digit that the double does not need.
        return int(Decimal(repr(number))) if number.is_integer() and abs(number) < 1e21 else number
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, list):
        return [_anything(element, at) for element in value]
    if isinstance(value, tuple):
        return ANYTHING(value, at)
    return value


ANYTHING: Final = _map_of(_anything, "interface {}")
"""Reads a ``map[string]interface {}``: any object, its keys as they are."""


@dataclass(frozen=True, slots=True)
class Record:
    """A struct: a reader for each key. Called, it reads an element of a list, missing keys being ``""``."""

    name: str
    fields: Mapping[str, Reader]

    def __call__(self, value: Any, at: _At) -> dict[str, Any]:
        if value is not None and not isinstance(value, tuple):
            at.refuse(_shape(value), f"models.{self.name}")
        return {**dict.fromkeys(self.fields, ""), **self.read(value or (), f"{at.path}.")}

    def read(self, pairs: tuple[tuple[str, Any], ...], path: str = "") -> dict[str, Any]:
        """The fields that are there and not null; of a key given twice, the last value."""
        known = {key.lower(): key for key in self.fields}
        found: dict[str, Any] = {}
        for spelled, value in pairs:
            key = spelled if spelled in self.fields else known.get(spelled.lower())
            if key is not None and value is not None:
                found[key] = self.fields[key](value, _At(self.name, path + key))
        return found


def _not_json(name: str) -> NoReturn:
    raise Unreadable(f"invalid character {name.lstrip('-')[0]!r} looking for beginning of value")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=_Number, parse_float=_Number, parse_constant=_not_json
)


def decode(body: bytes, record: Record) -> dict[str, Any]:
    """The fields of *body* that *record* knows and that are not null. Raises Unreadable."""
    content = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not content:
        raise Unreadable("EOF")
    try:
        value, _ = _DECODER.raw_decode(content)
        if value is not None and not isinstance(value, tuple):
            _At(record.name).refuse(_shape(value), f"models.{record.name}")
        return record.read(value or ())
    except json.JSONDecodeError as error:
        if error.pos >= len(content) or error.msg.startswith("Unterminated"):
            raise Unreadable("unexpected EOF") from None
        at = content[error.pos]
        raise Unreadable(f"invalid character {at!r} looking for beginning of value") from None
    except RecursionError:
        raise Unreadable("exceeded max depth") from None


_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)"


def duration(written: str) -> float | None:
    """Seconds of a ``time.Duration`` such as ``1h30m``, None for what Go does not parse."""
    sign, rest = (-1.0, written[1:]) if written.startswith("-") else (1.0, written.removeprefix("+"))
    if rest == "0":
        return 0.0
    if not re.fullmatch(f"({_PART})+", rest):
        return None
    return sign * sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, rest))
