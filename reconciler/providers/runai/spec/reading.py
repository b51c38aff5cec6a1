"""A table of a spec in, drafts of resources and every problem out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from reconciler.core.ports import Draft, Fact, Place, Problem, SpecReading
from reconciler.core.reading import read
from reconciler.providers.runai.spec.compute import Compute
from reconciler.providers.runai.spec.credential import Credential
from reconciler.providers.runai.spec.environment import Environment
from reconciler.providers.runai.spec.scope import Scoped
from reconciler.providers.runai.spec.words import LONGEST_NAME, Conflict, Values

MODELS: Mapping[str, type[Scoped]] = {
    "environment": Environment,
    "compute": Compute,
    "credential": Credential,
}


_USUAL_NAME = re.compile(r"[A-Za-z0-9 ._-]+")


def read_spec(kind: str, table: Mapping[str, Any], place: Place) -> SpecReading:
    """What one spec's table asks Run:ai for: an environment and perhaps a compute asset, or another kind."""
    found, problems = read(MODELS[kind], table)
    if found is None:
        return SpecReading(problems=(*problems, *_what_else(MODELS[kind], table, problems)))
    if conflicts := [_problem(one, table) for one in found.conflicts()]:
        return SpecReading(problems=tuple(conflicts))
    warnings: list[str] = []
    drafts: list[Draft] = []
    match found:
        case Environment():
            attributes = found.canonical(place)
            facts = [
                Fact("scope", found.scope, ("scope",)),
                Fact("image", found.image, ("image",)),
            ]
            drafts.append(Draft("environment", attributes, tuple(facts)))
            if found.compute is not None:
                shared: Values = {k: attributes[k] for k in ("name", "scope", "scope_id") if k in attributes}
                drafts.append(
                    Draft("compute", {**shared, **found.compute.amounts()}, found.compute.facts(("compute",)))
                )
            if "inference" in attributes["workload_types"] and found.inference_endpoint is None:
                warnings.append(
                    f"{place.name} is for inference and has no [inference_endpoint]; "
                    "Run:ai's own form demands one"
                )
        case Compute():
            facts = [Fact("scope", found.scope, ("scope",)), *found.facts(())]
            drafts.append(Draft("compute", {**found.placed(place), **found.amounts()}, tuple(facts)))
        case Credential():
            facts = [Fact("scope", found.scope, ("scope",))]
            drafts.append(Draft("credential", found.canonical(place), tuple(facts)))
    name = drafts[0].attributes["name"]
    if len(name) > LONGEST_NAME:
        summary = f"the name has {len(name)} characters, more than {LONGEST_NAME}"
        return SpecReading(problems=(Problem(("name",), summary, "Give it a shorter `name`."),))
    if not _USUAL_NAME.fullmatch(name):
        warnings.append(f"the name {name!r} has characters other than A-Z a-z 0-9 . _ - and blanks")
    return SpecReading(tuple(drafts), (), tuple(warnings))


def _problem(conflict: Conflict, table: Mapping[str, Any]) -> Problem:
    there = (name for name in conflict.fields if name in table)
    path = conflict.path or tuple(next(([name] for name in there), []))
    return Problem(path, conflict.summary, conflict.hint)


# What is assumed of a field that has to be there and is wrong or missing, to look at the others.
_ASSUMED: Mapping[str, str] = {"image": "image", "scope": "tenant", "type": "password"}


def _what_else(
    model: type[Scoped], table: Mapping[str, Any], problems: Iterable[Problem]
) -> Iterator[Problem]:
    """The conflicts among those fields of *table* that *problems* do not touch."""
    wrong = {str(problem.path[0]) for problem in problems if problem.path}
    sound = {key: value for key, value in table.items() if key not in wrong}
    assumed = {key: value for key, value in _ASSUMED.items() if key in wrong and key in model.model_fields}
    try:
        found = model.model_validate({**assumed, **sound})
    except ValidationError:
        return
    for conflict in found.conflicts():
        if wrong.isdisjoint(conflict.fields):
            yield _problem(conflict, table)


def schema(kind: str) -> Values:
    """JSON Schema of the table of *kind*."""
    model: type[BaseModel] = MODELS[kind]
    return model.model_json_schema()
