"""The attributes of a resource: a JSON object by value, and the markers that may stand in it.

Attributes are *canonical*: a provider brings what a spec says and what a
platform answers into one form in which equal meaning is equal JSON. So
comparing is equality, and only here and in the providers does anybody need to
know more.

Three markers stand for values that are not there yet or must never be there:

``{"$ref": "runai.credential.hub"}``
    the server-given id of another resource of the stack, not known before it
    is created;
``{"$id": "0b6a3f5e-…"}``
    such an id, known;
``{"$secret": {"env": "HF_TOKEN"}}``
    a secret, by reference. Its value is resolved in memory at apply and is
    never part of any attributes.

``{"$lookup": {...}}`` is a fourth, for names that a provider turns into ids
while planning (`Reader.resolve`); none is left in a plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

__all__ = [
    "ID",
    "LOOKUP",
    "REF",
    "SECRET",
    "Attributes",
    "canonical",
    "digest",
    "marked",
    "replace_markers",
    "to_json",
]

REF: Final = "$ref"
ID: Final = "$id"
SECRET: Final = "$secret"  # noqa: S105 - the name of a marker
LOOKUP: Final = "$lookup"

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder().decode


class Attributes(Mapping[str, Any]):
    """A JSON object that is decoded only when somebody looks into it.

    Most resources of a large stack are unchanged; their attributes travel
    from the cache of specs, the state and the listing to a comparison of
    bytes without ever becoming Python objects.

    Order of keys is kept (it is the order of the spec) and does not count for
    equality. Never change what it hands out.
    """

    __slots__ = ("_load", "_raw", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] | None = dict(values)
        self._raw: bytes | None = None
        self._load: Callable[[], dict[str, Any]] | None = None

    @classmethod
    def from_raw(cls, raw: bytes) -> Attributes:
        """Attributes from the JSON text of an object, unread."""
        new = cls.__new__(cls)
        new._values, new._raw, new._load = None, raw, None
        return new

    @classmethod
    def lazily(cls, load: Callable[[], dict[str, Any]]) -> Attributes:
        """Attributes that *load* makes when they are first needed."""
        new = cls.__new__(cls)
        new._values, new._raw, new._load = None, None, load
        return new

    @property
    def values_(self) -> dict[str, Any]:
        """The decoded object itself, to read from."""
        values = self._values
        if values is None:
            if self._load is not None:
                values = self._load()
            else:
                assert self._raw is not None
                values = _decode(self._raw)
            self._values = values
        return values

    @property
    def raw(self) -> bytes:
        """The JSON text, keys in the spec's order."""
        if self._raw is None:
            self._raw = _encode(self.values_)
        return self._raw

    def with_values(self, **changes: Any) -> Attributes:
        """These attributes with some replaced."""
        return Attributes({**self.values_, **changes})

    def __getitem__(self, key: str) -> Any:
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Attributes):
            if self._raw is not None and self._raw == other._raw:
                return True
            return self.values_ == other.values_
        return isinstance(other, Mapping) and self.values_ == dict(other)

    __hash__ = None  # type: ignore[assignment]  # compared by content, never a key

    def __repr__(self) -> str:
        return f"Attributes({self.values_!r})"


def to_json(value: Any) -> Any:
    """What msgspec needs to know to encode our values: attributes as they are, read-only tables as tables."""
    if isinstance(value, Attributes):
        return msgspec.Raw(value.raw)
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def canonical(value: Any) -> bytes:
    """The one JSON text of *value*, a JSON value: keys sorted, no blanks, UTF-8."""
    return _encode_sorted(value)


def digest(*parts: bytes | memoryview) -> str:
    """``sha256:`` and the hex digest of *parts*, each framed by its length."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return "sha256:" + hasher.hexdigest()


def marked(value: Any, marker: str) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every place in *value* where *marker* stands: its path, and what it holds."""
    if isinstance(value, Mapping):
        if len(value) == 1 and marker in value:
            yield (), value[marker]
            return
        for key, item in value.items():
            for path, found in marked(item, marker):
                yield (key, *path), found
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            for path, found in marked(item, marker):
                yield (number, *path), found


def replace_markers(value: Any, marker: str, replacement: Callable[[Any], Any]) -> Any:
    """*value* with each ``{marker: x}`` replaced by ``replacement(x)``."""
    if isinstance(value, Mapping):
        if len(value) == 1 and marker in value:
            return replacement(value[marker])
        return {key: replace_markers(item, marker, replacement) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_markers(item, marker, replacement) for item in value]
    return value
