"""A table from a file in, a checked value or every problem with it out.

The edges (``reconciler.toml``, the spec models of providers) describe what
they accept as pydantic models; this turns what pydantic finds into problems
that a person can act on: what is wrong, where, and which key was meant.
Imported only when something has to be checked that the cache does not know.
"""

from __future__ import annotations

import contextlib
import difflib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Self, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError

from reconciler.core.attributes import SECRET
from reconciler.core.model import Path
from reconciler.core.ports import Problem

__all__ = ["REFERENCES", "SecretReference", "Table", "nearest", "read", "refuse"]


class Table(BaseModel):
    """A table of a TOML file: strict about types, and about keys that it does not know."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


M = TypeVar("M", bound=BaseModel)


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    """The error to raise in a validator: *message* says what is wrong, *hint* what to do."""
    # Not as the template: what stands in braces there is taken for a placeholder.
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


_Text = Annotated[str, Field(min_length=1)]

REFERENCES = 'Refer to it: { env = "NAME" }, { file = "PATH" } or { command = ["pass", "show", "NAME"] }.'


class SecretReference(Table):
    """Where a secret comes from: an environment variable, a file, or a command's output."""

    env: _Text | None = Field(None, description="Name of an environment variable.")
    file: _Text | None = Field(None, description="Path of a file, from the stack's directory.")
    command: list[_Text] | None = Field(
        None, min_length=1, description="A program and its arguments; no shell."
    )

    @model_validator(mode="before")
    @classmethod
    def _reference(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise refuse("a secret must not stand here", REFERENCES)
        if isinstance(value.get("command"), str):
            raise refuse("`command` is a list: no shell reads it", '{ command = ["pass", "show", "NAME"] }')
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in ("env", "file", "command")) != 1:
            raise refuse("a secret has one source", "Give one of `env`, `file` and `command`.")
        return self

    def canonical(self) -> dict[str, Any]:
        """As the attributes hold it."""
        return {SECRET: self.model_dump(exclude_none=True)}


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that *word* was probably meant to be, or empty."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def read(model: type[M], table: Mapping[str, Any]) -> tuple[M | None, tuple[Problem, ...]]:
    """The value of *model* in *table*, or None and what is wrong."""
    try:
        return model.model_validate(table), ()
    except ValidationError as error:
        return None, tuple(dict.fromkeys(_problems(model, table, error.errors(include_url=False))))


_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_OF_MANY = frozenset({"a list", "a table"})


def _problems(model: type[BaseModel], table: Mapping[str, Any], errors: Sequence[Any]) -> Iterator[Problem]:
    """What pydantic found, with one problem for a value that fits none of several types."""
    found = [(*_path(table, error), error) for error in errors]
    tried: dict[Path, list[Any]] = defaultdict(list)
    for path, is_branch, error in found:
        if is_branch and error["type"] in _TYPES:
            tried[path].append(error)
    for path, is_branch, error in found:
        if not is_branch or error["type"] not in _TYPES:
            yield _problem(model, path, error)
        elif any(other[: len(path)] == path and len(other) > len(path) for other, _, _ in found):
            continue  # it was meant for a type that says more about what is wrong inside
        elif error is tried[path][0]:
            yield _wrong_type(model, path, [_TYPES[one["type"]] for one in tried[path]], error["input"])


def _path(table: Mapping[str, Any], error: Any) -> tuple[Path, bool]:
    """Where *error* stands in *table*, and whether it is about one of several types that were allowed.

    Pydantic puts the names of those types into the path, too.
    """
    path: list[str | int] = []
    here: Any = table
    for part in error["loc"]:
        in_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if in_list or (isinstance(here, Mapping) and part in here):
            here = here[part]
            path.append(part)
    is_branch = len(path) < len(error["loc"])
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return tuple(path), is_branch


def _wrong_type(model: type[BaseModel], path: Path, wanted: Sequence[str], value: Any) -> Problem:
    allowed = list(dict.fromkeys(wanted))
    # A value that should be a table of values may be a secret.
    seen = _shown(value) if _OF_MANY.isdisjoint(allowed) else _kind_of(value)
    summary = f"{_named(path)} must be {' or '.join(allowed)}, not {seen}"
    # Where any word would do, this one may be a secret, too: where only some do, it is one of them.
    is_open = not _OF_MANY.isdisjoint(allowed) and _fits(model, path, ["?"])
    for advice, other in () if is_open else _corrections(value):
        if "a whole number" in allowed and isinstance(value, float) and isinstance(other, str):
            continue  # a number it is, only not a whole one
        if _fits(model, path, other):
            return Problem(path, summary, f"{advice}: {_written(other)}.")
    return Problem(path, summary, f"Write {' or '.join(_FORMS[one] for one in allowed)}.")


_ADVICE = {
    "finite_number": "Write a number that has an end.",
    "int_parsing_size": "Write a smaller number.",
}
_FORMS = {
    "text in quotes": "text in quotes",
    "a whole number": "a whole number without quotes",
    "a number": "a number without quotes",
    "true or false": "true or false without quotes",
    "a list": "a list: [ … ]",
    "a table": "a table: { KEY = VALUE, … }",
}


def _corrections(value: Any) -> Iterator[tuple[str, Any]]:
    """What may have been meant by a *value* of the wrong type, and what to do for it."""
    if isinstance(value, str):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                if math.isfinite(number := kind(value)):
                    yield "Remove the quotes", number
        if value in ("true", "false"):
            yield "Remove the quotes", value == "true"
    if isinstance(value, float) and value.is_integer():
        yield "Write it without a point", int(value)
    if isinstance(value, int | float):
        yield "Put it in quotes", _written(value)
    if isinstance(value, list) and len(value) == 1:
        yield "Remove the brackets", value[0]
    if not isinstance(value, list):
        yield "Write a list", [value]


def _fits(model: type[BaseModel], path: Path, value: Any) -> bool:
    """Whether *model* would take *value* at *path*."""
    for annotation in _types_at(model, path):
        trial: type[BaseModel] = create_model("Trial", __base__=Table, value=(annotation, ...))
        with contextlib.suppress(ValidationError):
            trial.model_validate({"value": value})
            return _written(value) != ""
    return False


def _types_at(annotation: Any, path: Path) -> list[Any]:
    """The annotations that govern *path* inside a value of *annotation*, with their limits."""
    if not path:
        return [annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    inner: list[Any] = []
    if origin is Annotated:
        return _types_at(arguments[0], path)
    if origin in (Union, UnionType):
        return [found for one in arguments for found in _types_at(one, path)]
    if origin in (list, tuple) and isinstance(path[0], int):
        inner = [arguments[0]]
    elif origin in (dict, Mapping):
        inner = [arguments[1]]
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = [
            Annotated[field.annotation, field]
            for key, field in annotation.model_fields.items()
            if path[0] in (key, field.alias)
        ]
    return [found for one in inner for found in _types_at(one, path[1:])]


def _range(model: type[BaseModel], path: Path) -> tuple[Any, Any]:
    """The least and the most that may stand at *path*; None where there is no such limit."""
    limits: dict[str, Any] = {}
    waiting = _types_at(model, path)
    while waiting:
        one = waiting.pop()
        waiting += [*get_args(one), *getattr(one, "metadata", ())]
        for name in ("ge", "le"):
            if (limit := getattr(one, name, None)) is not None:
                limits[name] = limit
    return limits.get("ge"), limits.get("le")


def _advice_on_range(least: Any, most: Any) -> str:
    """What to write for a number with these limits; empty when one of them is missing."""
    if least is None or most is None:
        return ""
    # What only the wire's width limits, nobody wants to read in full.
    return (
        f"Write a number from {least} to {most}."
        if most < 10**6
        else f"Write {least} or more, within reason."
    )


def _written(value: Any) -> str:
    """A short value as a file has it; empty for any other."""
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]" if all(map(_written, value)) else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str) and len(value) <= 60 and value.isprintable():
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return ""


def _named(path: Path) -> str:
    """What stands at *path*, for a sentence to begin with."""
    if path and isinstance(path[-1], int):
        return f"element {path[-1] + 1} of {_named(path[:-1])}"
    return f"`{path[-1]}`" if path else "this"


def _problem(model: type[BaseModel], path: Path, found: Any) -> Problem:
    kind: str = found["type"]
    context: Mapping[str, Any] = found.get("ctx") or {}
    name = str(path[-1]) if path else ""
    match kind:
        case "missing":
            return Problem(path, f"`{name}` is missing", f"Add `{name} = …`.")
        case "extra_forbidden":
            known = _keys_at(model, found["loc"][:-1])
            meant = nearest(name, known)
            if meant:
                return Problem(path, f"unknown key `{name}`", f"Did you mean `{meant}`?")
            return Problem(path, f"unknown key `{name}`", f"Known here: {', '.join(sorted(known))}.")
        case "refused":
            return Problem(path, context["message"], context["hint"])
        case "literal_error" | "enum":
            allowed = _allowed(model, found["loc"])
            meant = nearest(str(found["input"]), allowed)
            hint = f"Did you mean {meant!r}? " if meant else ""
            return Problem(
                path, f"{_shown(found['input'])} is not allowed here", f"{hint}Allowed: {', '.join(allowed)}."
            )
        case _ if kind in _TYPES:
            return _wrong_type(model, path, [_TYPES[kind]], found["input"])
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            words = {
                "greater_than_equal": ("at least", "ge"),
                "greater_than": ("more than", "gt"),
                "less_than_equal": ("at most", "le"),
                "less_than": ("less than", "lt"),
            }
            word, key = words[kind]
            seen = _shown(found["input"])
            hint = _advice_on_range(*_range(model, path)) or f"Write {word} {context[key]:g}."
            return Problem(path, f"{_named(path)} must be {word} {context[key]}, not {seen}", hint)
        case "string_too_short" | "too_short" if context["min_length"] == 1:
            return Problem(path, f"{_named(path)} must not be empty", "Give it a value, or remove it.")
        case "string_too_short" | "string_too_long" | "too_short" | "too_long":
            things = "characters" if kind.startswith("string") else "elements"
            limit = (
                f"at least {context['min_length']}"
                if kind.endswith("short")
                else f"at most {context['max_length']}"
            )
            hint = f"Write {limit} {things}."
            return Problem(path, f"{_named(path)} must have {limit} {things}", hint)
        case "string_pattern_mismatch":
            return Problem(
                path,
                f"{_shown(found['input'])} is not a valid `{name}`",
                f"It must match {context['pattern']}",
            )
        case _:
            hint = _ADVICE.get(kind, "`reconciler schema` prints what may stand here.")
            return Problem(path, f"{_named(path)}: {found['msg'][:1].lower()}{found['msg'][1:]}", hint)


def _shown(value: Any) -> str:
    """A value of a spec as a message may show it: short, and on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        text = repr(value)
        return text if len(text) <= 60 else text[:56] + "…'"
    return _kind_of(value)


def _kind_of(value: Any) -> str:
    """What a value of a TOML file is, without saying it."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, int | float) else "a date or time"


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
