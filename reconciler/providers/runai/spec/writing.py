"""Canonical attributes in, the table of a spec out: the way back of `reading`.

What comes out is read again here before anybody sees it. A field that does
not come back as it was (a newer API's spelling, a connection that a spec
cannot say) is left out, so that it stays as it is on the platform, unmanaged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.core.attributes import ID, REF, SECRET
from reconciler.core.model import Path
from reconciler.core.ports import Place, Problem, SpecWriting
from reconciler.providers.runai.kinds import COMPUTE_FIELDS, KINDS, PLAIN_FIELDS
from reconciler.providers.runai.spec.credential import CREDENTIAL_FIELDS
from reconciler.providers.runai.spec.environment import Environment
from reconciler.providers.runai.spec.reading import read_spec
from reconciler.providers.runai.spec.tools import (
    TOOL_PORTS,
    TOOL_TITLES,
    TOOL_WORDS,
    TOOLS,
    InferenceEndpoint,
)
from reconciler.providers.runai.spec.words import Values

__all__ = ["write_spec"]

_FRIENDLY_TOOLS: Final = {TOOL_WORDS.get(word, word): word for word in TOOLS}
_USUAL_TYPES: Final = ["training", "workspace"]
_AS_THEY_ARE: Final = ("distributed_framework", "uid_gid_source", "supplemental_groups", "capabilities")
_SHARED: Final = ("name", "description", "scope")


def write_spec(kind: str, attributes: Mapping[str, Any], place: Place) -> SpecWriting:
    """See `ProviderPlugin.write_spec`."""
    given = {key: value for key, value in attributes.items() if value is not None}
    left_out: list[Problem] = []
    if kind == "environment":
        given, left_out = _sayable(given)
    table = _WRITERS[kind](given)
    to_fill: tuple[Path, ...] = ()
    if kind == "credential":
        secrets, to_fill = _references(given)
        table |= secrets
    while True:
        wrong = {key: why for key, why in _not_coming_back(kind, given, table, place) if key in table}
        if not wrong:
            break
        for key, why in wrong.items():
            del table[key]
            given.pop(key, None)
            left_out.append(Problem((key,), why))
    return SpecWriting(table, to_fill, tuple(left_out))


def _not_coming_back(
    kind: str, given: Mapping[str, Any], table: Mapping[str, Any], place: Place
) -> Iterator[tuple[str, str]]:
    """The fields of *table* that are refused, or mean something else than *given* when read; and why."""
    reading = read_spec(kind, table, place)
    if reading.problems:
        for problem in reading.problems:
            if problem.path:
                yield str(problem.path[0]), problem.summary
        return
    rules = KINDS[kind]
    found = reading.drafts[0].attributes
    for key in {**given, **found}:
        if key in rules.write_only or key == "keys":
            continue
        if found.get(key, rules.defaults.get(key)) != given.get(key, rules.defaults.get(key)):
            yield key, "a spec cannot say it as it is"


# --- what all assets share ---


def _placed(values: Mapping[str, Any]) -> Values:
    table = {key: values[key] for key in _SHARED if key in values}
    if (scope_id := values.get("scope_id")) is not None:
        is_number = values["scope"] == "project" and re.fullmatch(r"0|[1-9][0-9]*", str(scope_id))
        table["scope_id"] = int(scope_id) if is_number else scope_id
    return table


def _said(kind: str, key: str, value: Any) -> bool:
    """Whether a spec has to say *value*: it is not what absence means, on the platform and in a spec."""
    return bool(KINDS[kind].defaults.get(key) != value)


# --- environments ---


def _sayable(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """*values* without the fields in which something stands that only the wire can spell."""
    kept, left_out = dict(values), []
    for key in ("environment_variables", "tools"):
        for name, one in (values.get(key) or {}).items():
            if isinstance(one, Mapping) and "as_is" in one:
                kept.pop(key, None)
                left_out.append(Problem((key, name), "a spec cannot say it as it is"))
    return kept, left_out


def _environment(values: Mapping[str, Any]) -> Values:
    table = _placed(values)
    for key in (
        *PLAIN_FIELDS,
        "distributed_framework",
        "uid_gid_source",
        "supplemental_groups",
        "capabilities",
    ):
        if key in values and _said("environment", key, values[key]):
            table[key] = values[key]
    if table.get("image_pull_policy") == Environment.model_fields["image_pull_policy"].default:
        del table["image_pull_policy"]
    types = list(values.get("workload_types") or ())
    if types != _USUAL_TYPES:
        table["workload_types"] = types
    if variables := values.get("environment_variables"):
        table["environment_variables"] = {name: _variable(one) for name, one in variables.items()}
    if tools := values.get("tools"):
        table["tools"] = [_tool(name, one) for name, one in tools.items()]
    if (endpoint := values.get("inference_endpoint")) is not None:
        usual = InferenceEndpoint(serving_port=1).model_dump()
        table["inference_endpoint"] = {
            key: value for key, value in endpoint.items() if key == "serving_port" or value != usual.get(key)
        }
    if (probe := values.get("readiness_probe")) is not None:
        table["readiness_probe"] = {k: v for k, v in probe.items() if (k, v) != ("scheme", "HTTP")}
    return table


def _variable(one: Any) -> Any:
    if not isinstance(one, Mapping) or not isinstance(one.get("credential"), Mapping):
        return one
    rest = {key: value for key, value in one.items() if key != "credential"}
    reference = one["credential"]
    if REF in reference:
        return {"credential": str(reference[REF]).split(".", 2)[-1], **rest}
    return {"credential_id": reference.get(ID), **rest}


def _tool(name: str, one: Mapping[str, Any]) -> Any:
    kind = one["type"]
    friendly = _FRIENDLY_TOOLS.get(kind, kind)
    table: Values = {"type": friendly}
    if name != TOOL_TITLES.get(kind):
        table["name"] = name
    if one.get("connection") != "external-url":
        table |= {key: one[key] for key in ("connection",) if key in one}
    if one.get("container_port") != TOOL_PORTS.get(kind):
        table |= {key: one[key] for key in ("container_port",) if key in one}
    if one.get("custom") and "url" not in one:
        table["custom"] = True
    if "url" in one:
        table["url"] = one["url"]
    return friendly if len(table) == 1 else table


# --- the others ---


def _compute(values: Mapping[str, Any]) -> Values:
    names = (*COMPUTE_FIELDS, "extended_resources")
    amounts = {key: values[key] for key in names if key in values and _said("compute", key, values[key])}
    return {**_placed(values), **amounts}


def _credential(values: Mapping[str, Any]) -> Values:
    names = ("type", "url", "user", "access_key_id", "existing_secret_name")
    return {**_placed(values), **{key: values[key] for key in names if key in values}}


def _references(values: Mapping[str, Any]) -> tuple[Values, tuple[Path, ...]]:
    """A reference for each secret that the platform never shows, to be filled in; and where they stand."""
    if "existing_secret_name" in values:
        return {}, ()
    secret = KINDS["credential"].write_only
    table: Values = {}
    for key in CREDENTIAL_FIELDS.get(str(values.get("type")), ()):
        if key not in secret:
            continue
        known = values.get(key)
        if key == "data":
            table[key] = {
                name: _reference(values, name, (known or {}).get(name)) for name in values.get("keys") or ()
            }
        else:
            table[key] = _reference(values, key, known)
    given = [key for key in table if key not in values]
    paths: list[Path] = [("data", name) for name in table["data"]] if "data" in given else []
    return table, (*paths, *((key,) for key in given if key != "data"))


def _reference(values: Mapping[str, Any], key: str, known: Any) -> Any:
    if isinstance(known, Mapping) and SECRET in known:
        return dict(known[SECRET])
    words = re.sub(r"[^A-Z0-9]+", "_", f"{values['name']}_{key}".upper()).strip("_")
    return {"env": words}


_WRITERS: Final = {"environment": _environment, "compute": _compute, "credential": _credential}
