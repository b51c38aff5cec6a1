"""Specs are read again before anybody sees them: what does not come back as it was is left out.

For the `write_spec` of providers whose objects can hold more than a spec says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from reconciler.core.attributes import LOOKUP
from reconciler.core.ports import Problem, ResourceKind, SpecReading

__all__ = ["what_comes_back"]

_OWN_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
_LARGEST: Final = 2**63


def what_comes_back(
    table: Mapping[str, Any],
    attributes: Mapping[str, Any],
    kind: ResourceKind,
    read: Callable[[Mapping[str, Any]], SpecReading],
    *,
    said_by: Mapping[str, tuple[str, ...]] = _OWN_NAMES,
) -> tuple[dict[str, Any], list[Problem]]:
    """As much of *table* as *read* makes the same *attributes* of, and what is left out of it.

    *said_by* names the fields of *table* that say an attribute together, where
    that is not the one of its name: they stay or go together. A field that a
    spec must have may be among those that go.
    """
    kept, given = dict(table), dict(attributes)
    left_out: list[Problem] = []
    while True:
        wrong: dict[str, Problem] = {}
        for problem in _wrong(kept, given, kind, read):
            name = str(problem.path[0])
            for attribute in [one for one in given if name in (one, *said_by.get(one, ()))]:
                at = problem.path if attribute == name else (attribute,)
                wrong.setdefault(attribute, Problem(at, problem.summary, problem.hint))
        before = len(kept)
        for attribute in wrong:
            for field in (attribute, *said_by.get(attribute, ())):
                kept.pop(field, None)
        if len(kept) == before:
            return kept, left_out
        for attribute, problem in wrong.items():
            del given[attribute]
            left_out.append(problem)


def _wrong(
    table: Mapping[str, Any],
    given: Mapping[str, Any],
    kind: ResourceKind,
    read: Callable[[Mapping[str, Any]], SpecReading],
) -> Iterator[Problem]:
    """What stands wrong in *table*, each by a field of it or by an attribute."""
    formless = [key for key, value in table.items() if not _has_form(value)]
    if formless:
        yield from (Problem((key,), "TOML has no form for what stands in it") for key in formless)
        return
    reading = read(table)
    if reading.problems:
        yield from (one for one in reading.problems if one.path)
        return
    found = reading.drafts[0].attributes
    for key in {**given, **found}:
        value = found.get(key)
        chosen_later = isinstance(value, Mapping) and LOOKUP in value
        if not chosen_later and _meant(kind, key, value) != _meant(kind, key, given.get(key)):
            yield Problem((key,), "a spec cannot say it as it is")


def _meant(kind: ResourceKind, key: str, value: Any) -> Any:
    return kind.defaults.get(key) if value is None else value


def _has_form(value: Any) -> bool:
    """Whether TOML can hold *value*: it has no null, and no number without an end or of more than 64 bits."""
    match value:
        case Mapping():
            return all(map(_has_form, value.values()))
        case list() | tuple():
            return all(map(_has_form, value))
        case bool() | str():
            return True
        case int():
            return -_LARGEST <= value < _LARGEST
        case float():
            return math.isfinite(value)
    return False
