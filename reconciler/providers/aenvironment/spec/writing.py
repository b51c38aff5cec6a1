"""Canonical attributes in, the table of a spec out: the way back of `reading`.

Everything is said in TOML, in the words of specs: nothing of a project's
``config.json`` is to be had from EnvHub but what it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from reconciler.core.attributes import ID, REF
from reconciler.core.ports import Place, Problem, SpecWriting
from reconciler.providers.aenvironment.conversion import artifacts_of
from reconciler.providers.aenvironment.kinds import ENVIRONMENT, RESOURCES, SERVICE
from reconciler.providers.aenvironment.spec.document import DEPLOY_KEYS, SERVICE_KEYS, wire_key
from reconciler.providers.aenvironment.spec.reading import read_spec
from reconciler.providers.aenvironment.spec.words import Values
from reconciler.providers.writing import what_comes_back

__all__ = ["write_spec"]

_ARTIFACTS: Final = ("image", "artifacts")
_SAID_BY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "image": _ARTIFACTS,
        "image_id": _ARTIFACTS,
        "artifacts": _ARTIFACTS,
        "status": ("status", "release"),
        "deploy_config": ("deploy_config", "environment_variables", "compute"),
    }
)
_AS_THEY_ARE: Final = ("name", "version", "description", "tags", "code_url", "build_config", "test_config")
_OF_SERVICES: Final = (
    "name",
    "replicas",
    "environment_variables",
    "port",
    "owner",
    *RESOURCES,
    "storage_size",
    "storage_name",
    "mount_path",
    "delete_storage",
    "ready_timeout",
)
_LOST: Final = (
    "a new service in the place of this one comes without. To manage it: write it in with "
    "[lifecycle] adopt = true, `reconciler state rm` the service, apply"
)


def write_spec(kind: str, attributes: Mapping[str, Any], place: Place) -> SpecWriting:
    """See `ProviderPlugin.write_spec`."""
    given = {key: value for key, value in attributes.items() if value is not None}
    return _service(given, place) if kind == SERVICE.name else _environment(given, place)


# --- environments ---


def _environment(given: Mapping[str, Any], place: Place) -> SpecWriting:
    table = {
        key: given[key] for key in _AS_THEY_ARE if given.get(key) not in (None, ENVIRONMENT.defaults.get(key))
    }
    if given.get("status") == "Released":
        table["release"] = True
    elif given.get("status", "Ready") != "Ready":
        table["status"] = given["status"]
    if given.get("artifacts") or given.get("image_id"):
        table["artifacts"] = artifacts_of(given)
    elif "image" in given:
        table["image"] = given["image"]
    table |= _deployment(given.get("deploy_config") or {})
    table, left_out = what_comes_back(
        table, given, ENVIRONMENT, partial(read_spec, ENVIRONMENT.name, place=place), said_by=_SAID_BY
    )
    return SpecWriting(table, left_out=tuple(left_out), said_by=_SAID_BY)


def _deployment(config: Mapping[str, Any]) -> Values:
    """The fields that say ``deployConfig``: variables as other platforms have them, else snake_case."""
    rest = dict(config)
    table: Values = {}
    variables = rest.get("environmentVariables")
    if (
        isinstance(variables, Mapping)
        and variables
        and all(isinstance(one, str) for one in variables.values())
    ):
        table["environment_variables"] = dict(rest.pop("environmentVariables"))
    if isinstance(rest.get("service"), Mapping):
        rest["service"] = _in_words(rest["service"], SERVICE_KEYS)
    if rest:
        table["deploy_config"] = _in_words(rest, DEPLOY_KEYS)
    return table


def _in_words(table: Mapping[str, Any], known: tuple[str, ...]) -> Values:
    return {_word(key, known): value for key, value in table.items()}


def _word(key: str, known: tuple[str, ...]) -> str:
    """The snake_case of a *known* key; any other key as it is."""
    word = re.sub(r"([A-Z])", r"_\1", key).lower()
    return word if key in known and wire_key(word, known) == key else key


# --- services ---


def _service(given: Mapping[str, Any], place: Place) -> SpecWriting:
    reference = given["environment"]
    named = str(reference[REF]).split(".", 2)[-1] if REF in reference else reference[ID]
    table = {
        "environment": named,
        **{
            key: given[key] for key in _OF_SERVICES if given.get(key) not in (None, SERVICE.defaults.get(key))
        },
    }
    hidden: list[Problem] = []
    if "storage_name" in given and "storage_size" not in given:
        # A spec that names a volume says how large it is.
        given = {key: value for key, value in given.items() if key != "storage_name"}
        volume = table.pop("storage_name")
        why = f"it is {volume!r}; the size and mount path of that volume are never shown: {_LOST}"
        hidden.append(Problem(("storage_name",), why))
    if given.keys().isdisjoint(RESOURCES):
        why = f"neither this nor `memory` and `ephemeral_storage` are ever shown: {_LOST}"
        hidden.append(Problem(("cpu",), why))
    table, left_out = what_comes_back(table, given, SERVICE, partial(read_spec, SERVICE.name, place=place))
    return SpecWriting(table, left_out=(*hidden, *left_out))
