"""A table of a spec in, drafts of resources and every problem out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from reconciler.core.model import Path
from reconciler.core.ports import Draft, Fact, Place, Problem, SpecReading
from reconciler.core.reading import read
from reconciler.providers.runai.spec.compute import Compute
from reconciler.providers.runai.spec.credential import Credential
from reconciler.providers.runai.spec.environment import Environment
from reconciler.providers.runai.spec.scope import Scoped
from reconciler.providers.runai.spec.words import LONGEST_NAME, Values

MODELS: Mapping[str, type[Scoped]] = {
    "environment": Environment,
    "compute": Compute,
    "credential": Credential,
}


_USUAL_NAME = re.compile(r"[A-Za-z0-9 ._-]+")


def read_spec(kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
    """What one spec's table asks Run:ai for: an environment and perhaps a compute asset, or another kind."""
    model = MODELS[kind]
    sound = table
    found, problems = read(model, table)
    if found is None:
        found, sound = _sound(model, table, problems)
    if found is None:
        return SpecReading(problems=problems)
    conflicts = tuple(_conflicts(found, table, problems))
    problems = (*problems, *conflicts)
    if any(len(conflict.path) > 1 for conflict in conflicts):
        found, sound = _sound(model, table, problems)
        if found is None:
            return SpecReading(problems=problems)
    drafts = _drafts(found, place)
    name = drafts[0].attributes["name"]
    if len(name) > LONGEST_NAME:
        summary = f"the name has {len(name)} characters, more than {LONGEST_NAME}"
        problems = (*problems, Problem(("name",), summary, "Give it a shorter `name`."))
    if problems:
        return SpecReading(_without_assumptions(drafts, sound, problems), problems)
    warnings: list[str] = []
    if isinstance(found, Environment) and "inference" in found.types and found.inference_endpoint is None:
        warnings.append(
            f"{place.name} is for inference and has no [inference_endpoint]; Run:ai's own form demands one"
        )
    if not _USUAL_NAME.fullmatch(name):
        warnings.append(f"the name {name!r} has characters other than A-Z a-z 0-9 . _ - and blanks")
    return SpecReading(tuple(drafts), (), tuple(warnings))


def _drafts(found: Scoped, place: Place) -> list[Draft]:
    scope = Fact("scope", found.scope, ("scope",))
    match found:
        case Environment():
            attributes = found.canonical(place)
            facts = (scope, Fact("image", found.image, ("image",)))
            drafts = [Draft("environment", attributes, facts, asks=tuple(found.asks(place.platform)))]
            if found.compute is not None:
                shared: Values = {k: attributes[k] for k in ("name", "scope", "scope_id") if k in attributes}
                drafts.append(
                    Draft("compute", {**shared, **found.compute.amounts()}, found.compute.facts(("compute",)))
                )
            return drafts
        case Compute():
            return [Draft("compute", {**found.placed(place), **found.amounts()}, (scope, *found.facts(())))]
        case Credential():
            return [Draft("credential", found.canonical(place), (scope,), keys=found.keys)]
    raise TypeError(type(found).__name__)


def _conflicts(found: Scoped, table: Mapping[str, Any], problems: Iterable[Problem]) -> Iterator[Problem]:
    """What does not go together in *table*, among that which *problems* do not touch."""
    wrong = _fields(problems)
    for conflict in found.conflicts():
        # What stands inside a field and is there in spite of problems is not touched by them.
        if len(conflict.path) > 1 or wrong.isdisjoint(conflict.fields):
            there = (name for name in conflict.fields if name in table)
            path = conflict.path or tuple(next(([name] for name in there), []))
            yield Problem(path, conflict.summary, conflict.hint)


# --- tables with mistakes ---

# What is assumed of a field that has to be there and is wrong or missing, to look at the others.
_ASSUMED: Mapping[str, str] = {"image": "image", "scope": "tenant", "type": "password"}
_IDENTITY = frozenset({"name", "type", "scope", "scope_id", "scope_name", "cluster"})


def _fields(problems: Iterable[Problem]) -> frozenset[str]:
    return frozenset(str(problem.path[0]) for problem in problems if problem.path)


def _sound(
    model: type[Scoped], table: Mapping[str, Any], problems: Iterable[Problem]
) -> tuple[Scoped | None, Mapping[str, Any]]:
    """What *table* says without that which *problems* are about: as little of it as can be left out."""
    paths = [problem.path for problem in problems if problem.path]
    for deepest in (None, 2, 1):
        sound: Mapping[str, Any] = table
        for path in paths:
            sound = _without(sound, path[:deepest])
        assumed = {key: word for key, word in _ASSUMED.items() if key in model.model_fields}
        with contextlib.suppress(ValidationError):
            return model.model_validate({**assumed, **sound}), sound
    return None, {}


def _without(table: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """*table* without what is at *path*; without the whole list when that is in one."""
    key, rest = str(path[0]), path[1:]
    inner = table.get(key)
    # A key that is missing makes the table that lacks it wrong.
    if isinstance(inner, Mapping) and rest and (len(rest) > 1 or rest[0] in inner):
        return {**table, key: _without(inner, rest)}
    return {name: value for name, value in table.items() if name != key}


def _without_assumptions(
    drafts: Iterable[Draft], sound: Mapping[str, Any], problems: Iterable[Problem]
) -> tuple[Draft, ...]:
    """*drafts* of a table with *problems*, good for finding more of them."""
    assumed = _ASSUMED.keys() - sound.keys()
    wrong = _fields(problems)
    return tuple(
        Draft(
            draft.kind,
            {name: value for name, value in draft.attributes.items() if name not in assumed},
            tuple(fact for fact in draft.facts if fact.path[0] not in assumed),
            is_sure=wrong.isdisjoint(_IDENTITY),
            keys=draft.keys if wrong.isdisjoint({"type", "data", "existing_secret_name"}) else None,
            asks=draft.asks,
        )
        for draft in drafts
    )


def schema(kind: str) -> Values:
    """JSON Schema of the table of *kind*."""
    model: type[BaseModel] = MODELS[kind]
    return model.model_json_schema()
