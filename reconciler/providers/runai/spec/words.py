"""Types of values that several kinds share, and the friendly words that are taken for the wire's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import BeforeValidator, Field

from reconciler.core.attributes import ID, LOOKUP, REF, SECRET
from reconciler.core.reading import nearest, refuse
from reconciler.providers.quantity import canonical_quantity, quantity_bytes

Values = dict[str, Any]


def _spellings(text: str) -> tuple[str, str]:
    """How a word of a guide may be looked up: ``External URL`` and ``ExternalUrl`` as ``external-url``."""
    plain = re.sub(r"[\s_/-]+", "-", text.strip())
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", plain)
    return plain.lower(), spaced.lower()


def translated(words: Mapping[str, str], allowed: Iterable[str], said: Iterable[str] = ()) -> Any:
    """A validator that turns the friendly *words* into the *allowed* ones.

    *said* are those of both that people are told to write, when not the allowed ones.
    """
    known = tuple(allowed)
    told = {words.get(_spellings(word)[0], word): word for word in said or known}

    def translate(value: Any) -> Any:
        if not isinstance(value, str) or value in known:
            return value
        spellings = _spellings(value)
        for word in spellings:
            if (found := words.get(word, word)) in known:
                return found
        meant = nearest(spellings[0], {*known, *words})
        meant = words.get(meant, meant)
        hint = f"Did you mean {told[meant]!r}? " if meant else ""
        raise refuse(f"{value!r} is not allowed here", f"{hint}Allowed: {', '.join(told.values())}.")

    offered = tuple(dict.fromkeys((*told.values(), *known)))
    return BeforeValidator(translate, json_schema_input_type=Literal[offered] | str)


LONGEST_NAME = 253


Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


Text = Annotated[str, Field(min_length=1)]


Port = Annotated[int, Field(ge=1, le=65535)]


Count = Annotated[int, Field(ge=0, le=2**31 - 1)]


Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]


UnixId = Annotated[int, Field(ge=0, le=2**63 - 1)]


Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


Share = Annotated[float, Field(ge=0, le=1)]


def _quantity(value: Any) -> Any:
    if isinstance(value, str):
        if quantity_bytes(value.strip()) is None:
            raise refuse(
                f"{value!r} is no amount of memory",
                "Write a number and a unit: 64Gi or 1Ti (powers of 1024), 128G or 1T (powers of 1000).",
            )
        return canonical_quantity(value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refuse(f"`{value}` has no unit", f'Write it with one, in quotes: "{value}Gi".')
    return value


Quantity = Annotated[str, BeforeValidator(_quantity)]


def canonical_uuid(text: str) -> str:
    """An id that the platform spells as a UUID, in its own spelling."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise refuse(f"{text!r} is no id: Run:ai's are UUIDs", "Copy it from the platform.") from error


class Conflict(NamedTuple):
    """Fields that are sound one by one and do not go together.

    ``fields`` are all that it depends on; the first that the table has is its
    place, unless it has a ``path``.
    """

    fields: tuple[str, ...]
    summary: str
    hint: str
    path: tuple[str | int, ...] = ()


def marking(names: Iterable[str]) -> Iterator[str]:
    """Those of *names* that would stand for something else as the key of a table of attributes."""
    return (name for name in names if name in (REF, ID, SECRET, LOOKUP))
