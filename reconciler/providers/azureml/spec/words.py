"""Types of values that the fields of a spec share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.core.attributes import ID, LOOKUP, REF, SECRET
from reconciler.core.model import Path
from reconciler.core.reading import nearest, refuse
from reconciler.providers.images import image_flaw

Values = dict[str, Any]

Text = Annotated[str, Field(min_length=1)]

NAME_PATTERN = r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}"

Port = Annotated[int, Field(ge=1, le=65535)]

Positive = Annotated[int, Field(ge=1, le=10_000)]

_RESERVED = ("AzureML", "Microsoft")
_ANONYMOUS = "CliV2AnonymousEnvironment"


class Flaw(NamedTuple):
    """Something wrong at *path* inside a value, and what to do."""

    path: Path
    summary: str
    hint: str


class Conflict(NamedTuple):
    """Fields that are sound one by one and do not go together.

    ``fields`` are all that it depends on; the first that the table has is its
    place, unless it has a ``path``.
    """

    fields: tuple[str, ...]
    summary: str
    hint: str
    path: Path = ()


def name_flaw(name: str) -> tuple[str, str] | None:
    """Why the service would not take *name* for an environment's, and what to do; None when it would."""
    if not re.fullmatch(NAME_PATTERN, name):
        return (
            f"{name!r} cannot name an environment of Azure ML",
            "Give it a `name` of letters, digits, `-` and `_` that begins with a letter or digit, "
            "at most 255 characters.",
        )
    if name.startswith(_RESERVED) or name == _ANONYMOUS:
        return (
            f"{name!r} is a name that Azure ML keeps for itself",
            f"Choose one that does not begin with {' or '.join(_RESERVED)}.",
        )
    return None


def _name(text: str) -> str:
    if flaw := name_flaw(text):
        raise refuse(*flaw)
    return text


Name = Annotated[str, AfterValidator(_name)]


def _version(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise refuse("a version is text in quotes, or a whole number", 'Write version = "1".')
    if text.lower() == "latest":
        raise refuse(
            f"{text!r} is what Azure ML calls the newest version, whatever that is",
            "Give a version of your own, or remove this: the platform's `versions` chooses one.",
        )
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,254}", text):
        raise refuse(
            f"{text!r} cannot be a version",
            "Letters, digits, `.`, `-` and `_`; it begins with none of these.",
        )
    return text


Version = Annotated[str, BeforeValidator(_version, json_schema_input_type=str | int)]


def _label(value: Any) -> Any:
    """The service keeps texts; a number or switch has one spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        raise refuse("a number with a point has several spellings", "Put the one that is meant in quotes.")
    return value


Label = Annotated[str, BeforeValidator(_label, json_schema_input_type=str | int | bool)]
"""The value of a tag or property."""


def _image(text: str) -> str:
    if why := image_flaw(text):
        raise refuse(
            f"{text!r} is no image: {why}",
            "Write NAME:TAG or NAME@DIGEST, with its registry in front when it needs one: "
            '"mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1".',
        )
    return text


Image = Annotated[Text, AfterValidator(_image)]


def spelled(*allowed: str) -> Any:
    """A validator that takes a word in any capitals for the one of *allowed* that it spells."""
    by_lower = {word.lower(): word for word in allowed}

    def translate(value: Any) -> Any:
        if not isinstance(value, str) or value in allowed:
            return value
        plain = re.sub(r"[\s_-]", "", value).lower()
        if plain in by_lower:
            return by_lower[plain]
        meant = nearest(plain, by_lower)
        hint = f"Did you mean {by_lower[meant]!r}? " if meant else ""
        raise refuse(f"{value!r} is not allowed here", f"{hint}Allowed: {', '.join(allowed)}.")

    return BeforeValidator(translate, json_schema_input_type=Literal[allowed] | str)


def marking(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where in *value* a key would stand for something else in a table of attributes."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in (REF, ID, SECRET, LOOKUP):
                yield (*path, key)
            yield from marking(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from marking(inner, (*path, number))


def listed(names: Iterable[str], most: int = 3) -> str:
    """*names* in a sentence: ``a, b, c and 4 more``."""
    every = list(names)
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"
