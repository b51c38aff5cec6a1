"""Types of values that several tables share, and the rules for names."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.core.model import Path
from reconciler.core.reading import refuse
from reconciler.providers.quantity import canonical_quantity, quantity_bytes

__all__ = [
    "Amount",
    "Finding",
    "Port",
    "Text",
    "Values",
    "Version",
    "environment_name",
    "is_reference",
    "service_name",
    "wrong_version",
]

Values = dict[str, Any]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]

_LONGEST_LABEL: Final = 63
_LONGEST_WITH_SERVICE: Final = 52
"""A service that is given no name of its own is called NAME-svc-xxxxxx, which may have 63 characters."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class Finding(NamedTuple):
    """Something about a field, by its path in an environment as the wire spells it."""

    path: Path
    summary: str
    hint: str = ""


def environment_name(text: str, *, with_service: bool = False) -> Finding | None:
    """What is wrong with the name of an environment; with a service of it, more may be."""
    if not _NAME.fullmatch(text):
        return Finding(
            ("name",),
            f"{text!r} cannot name an environment",
            "Use a-z, 0-9 and -, with a letter or digit first and last: it becomes a Kubernetes label.",
        )
    if len(text) > _LONGEST_LABEL:
        return Finding(
            ("name",),
            f"the name has {len(text)} characters, more than {_LONGEST_LABEL}",
            "Give it a shorter `name`.",
        )
    if not with_service:
        return None
    if len(text) > _LONGEST_WITH_SERVICE:
        return Finding(
            ("name",),
            f"the name has {len(text)} characters, more than the {_LONGEST_WITH_SERVICE} that "
            "an environment with services may have",
            "Give it a shorter `name`.",
        )
    if not text[0].isalpha():
        return Finding(
            ("name",),
            f"{text!r} begins with a digit, and its services have to begin with a letter",
            "Give it a `name` that begins with a letter.",
        )
    return None


def service_name(text: str) -> str | None:
    """What is wrong with the name of a service: it becomes a name in the cluster's DNS."""
    if not _NAME.fullmatch(text) or not text[0].isalpha():
        return f"{text!r} cannot name a service"
    if len(text) > _LONGEST_LABEL:
        return f"the name has {len(text)} characters, more than {_LONGEST_LABEL}"
    return None


def wrong_version(text: str) -> tuple[str, str] | None:
    """What is wrong with a version, and what to do."""
    if not _VERSION.fullmatch(text):
        more = " What stands behind a + has no place in a label." if "+" in text else ""
        return (
            f"{text!r} cannot be a version",
            f"Use letters, digits, `.`, `_` and `-`, with a letter or digit first and last.{more}",
        )
    if len(text) > _LONGEST_LABEL:
        return f"the version has {len(text)} characters, more than {_LONGEST_LABEL}", "Write a shorter one."
    return None


def _version(text: str) -> str:
    if wrong := wrong_version(text):
        raise refuse(*wrong)
    return text


Version = Annotated[str, AfterValidator(_version)]


def _amount(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refuse(f"`{value}` is a number, and amounts are text", 'In quotes, with its unit: "2", "4Gi".')
    if isinstance(value, str):
        if quantity_bytes(value.strip()) is None:
            raise refuse(
                f"{value!r} is no amount", 'Write a number, with a unit where it has one: "2", "500m", "4Gi".'
            )
        return canonical_quantity(value.strip())
    return value


Amount = Annotated[str, BeforeValidator(_amount, json_schema_input_type=str)]
"""An amount of CPU, memory or storage, in its one spelling."""


def is_reference(value: Any) -> bool:
    """Whether *value* is a reference to a secret, as other providers take them."""
    match value:
        case {"env": str(), **rest} | {"file": str(), **rest} | {"command": list(), **rest}:
            return not rest
    return False
