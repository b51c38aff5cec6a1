"""A table from a file in, a checked value or every problem with it out.

The edges (``reconciler.toml``, the spec models of providers) describe what
they accept as pydantic models; this turns what pydantic finds into problems
that a person can act on: what is wrong, where, and which key was meant.
Imported only when something has to be checked that the cache does not know.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from reconciler.core.model import Path
from reconciler.core.ports import Problem

__all__ = ["Table", "nearest", "read", "refuse"]


class Table(BaseModel):
    """A table of a TOML file: strict about types, and about keys that it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


M = TypeVar("M", bound=BaseModel)


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    """The error to raise in a validator: *message* says what is wrong, *hint* what to do."""
    # Braces would be taken for placeholders.
    text = message.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError("refused", text, {"hint": hint})


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that *word* was probably meant to be, or empty."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def read(model: type[M], table: Mapping[str, Any]) -> tuple[M | None, tuple[Problem, ...]]:
    """The value of *model* in *table*, or None and what is wrong."""
    try:
        return model.model_validate(table), ()
    except ValidationError as error:
        problems = (_problem(model, found) for found in error.errors(include_url=False))
        return None, tuple(dict.fromkeys(problems))


_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "frozen_set_type": "a list",
}


def _problem(model: type[BaseModel], found: Any) -> Problem:
    path: Path = tuple(found["loc"])
    kind: str = found["type"]
    context: Mapping[str, Any] = found.get("ctx") or {}
    name = str(path[-1]) if path else ""
    match kind:
        case "missing":
            return Problem(path, f"`{name}` is missing", f"Add `{name} = …`.")
        case "extra_forbidden":
            known = _keys_at(model, path[:-1])
            meant = nearest(name, known)
            if meant:
                return Problem(path, f"unknown key `{name}`", f"Did you mean `{meant}`?")
            return Problem(path, f"unknown key `{name}`", f"Known here: {', '.join(sorted(known))}.")
        case "refused":
            return Problem(path, found["msg"], context.get("hint", ""))
        case "literal_error" | "enum":
            allowed = _allowed(model, path)
            meant = nearest(str(found["input"]), allowed)
            hint = f"Did you mean {meant!r}? " if meant else ""
            return Problem(
                path, f"{_shown(found['input'])} is not allowed here", f"{hint}Allowed: {', '.join(allowed)}."
            )
        case _ if kind in _TYPES:
            return Problem(path, f"`{name}` must be {_TYPES[kind]}, not {_shown(found['input'])}")
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            words = {
                "greater_than_equal": ("at least", "ge"),
                "greater_than": ("more than", "gt"),
                "less_than_equal": ("at most", "le"),
                "less_than": ("less than", "lt"),
            }
            word, key = words[kind]
            return Problem(path, f"`{name}` must be {word} {context[key]}, not {_shown(found['input'])}")
        case "string_too_short" | "too_short":
            return Problem(path, f"`{name}` must not be empty")
        case "string_too_long":
            return Problem(path, f"`{name}` must have at most {context['max_length']} characters")
        case "string_pattern_mismatch":
            return Problem(
                path,
                f"{_shown(found['input'])} is not a valid `{name}`",
                f"It must match {context['pattern']}",
            )
        case _:
            return Problem(path, f"`{name}`: {found['msg'][0].lower()}{found['msg'][1:]}")


def _shown(value: Any) -> str:
    """A value of a spec as a message may show it: short, and on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:56] + "…'"


def _models_in(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _field(model: type[BaseModel], name: str | int) -> Any:
    for key, field in model.model_fields.items():
        if name in (key, field.alias):
            return field.annotation
    return None


def _annotation_at(model: type[BaseModel], path: Path) -> Any:
    """The annotation that governs *path*, as far as it can be followed."""
    here: Any = model
    for part in path:
        models = list(_models_in(here))
        following = next((found for one in models if (found := _field(one, part)) is not None), None)
        if following is not None:
            here = following
        elif get_origin(here) is None and models:
            return None
        # else: an element of a list or mapping; what it holds is in the annotation already
    return here


def _keys_at(model: type[BaseModel], path: Path) -> set[str]:
    keys: set[str] = set()
    for one in _models_in(_annotation_at(model, path)):
        keys.update(field.alias or key for key, field in one.model_fields.items())
    return keys


def _allowed(model: type[BaseModel], path: Path) -> list[str]:
    def literals(annotation: Any) -> Iterable[Any]:
        if get_origin(annotation) is Literal:
            yield from get_args(annotation)
        else:
            for part in get_args(annotation):
                yield from literals(part)

    return [str(value) for value in literals(_annotation_at(model, path))]
