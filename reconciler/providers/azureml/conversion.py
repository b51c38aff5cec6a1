"""Wire to attributes and back, by meaning: YAML is what it says, empty is absent, a default is no difference.

The attributes are those of `kinds`. The service writes a conda file anew, as
indented JSON text, so it is compared by its parsed value, and sent as JSON
text too: that is YAML without the places where YAML readers disagree.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from reconciler.core.attributes import canonical
from reconciler.providers.azureml.documents import DocumentBroken, read_yaml
from reconciler.providers.azureml.kinds import DEFINITION, ENVIRONMENT, INFERENCE_ROUTES

__all__ = [
    "attributes_of",
    "context_address",
    "definition",
    "definition_digest",
    "new_version",
    "put_back",
    "same_definition",
    "with_mutable",
]

MUTABLE: Final = ("description", "tags", "properties", "stage")

_VENDORS_PROPERTIES: Final = ("azureml.", "_azureml.")
"""How the keys begin that the service itself puts among ``properties``: kept, never shown or compared."""
_READ_ONLY: Final = frozenset({"environmentType", "provisioningState"})
_OURS: Final = frozenset(
    {
        "image",
        "condaFile",
        "build",
        "inferenceConfig",
        "osType",
        "autoRebuild",
        "description",
        "tags",
        "properties",
        "stage",
        "isAnonymous",
        "isArchived",
    }
)
_ROUTES: Final[Mapping[str, str]] = MappingProxyType(
    {name: name.removesuffix("_route") + "Route" for name in INFERENCE_ROUTES}
)

_json = msgspec.json.Decoder()


# --- from the wire -------------------------------------------------------------------------------------


def attributes_of(name: str, version: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical attributes of a version's body, called *name*."""
    return {
        "name": name,
        "version": version,
        "image": properties.get("image") or None,
        "conda": _conda(properties.get("condaFile")),
        "build": _build(properties.get("build")),
        "inference_config": _inference(properties.get("inferenceConfig")),
        "os_type": properties.get("osType") or ENVIRONMENT.defaults["os_type"],
        "auto_rebuild": properties.get("autoRebuild") or ENVIRONMENT.defaults["auto_rebuild"],
        "description": properties.get("description") or "",
        "tags": _texts(properties.get("tags")),
        "properties": {
            key: value
            for key, value in _texts(properties.get("properties")).items()
            if not key.startswith(_VENDORS_PROPERTIES)
        },
        "stage": properties.get("stage") or None,
    }


def _texts(table: Mapping[str, Any] | None) -> dict[str, str]:
    return {key: "" if value is None else str(value) for key, value in (table or {}).items()}


def _conda(text: Any) -> Any:
    """What a conda file says; its text where that is no YAML table, which equals nothing of ours."""
    if not isinstance(text, str) or not text.strip():
        return None
    try:
        found = _json.decode(text.encode())
    except msgspec.DecodeError:
        # Older versions, and those of registries, may still be shown as they were sent.
        try:
            found = read_yaml(text.encode()).value
        except DocumentBroken:
            return text
    if not isinstance(found, dict):
        return None if found is None else text
    return found or None


def _build(found: Mapping[str, Any] | None) -> dict[str, str] | None:
    if not found or not found.get("contextUri"):
        return None
    return {
        "context_uri": context_address(found["contextUri"]),
        "dockerfile": found.get("dockerfilePath") or "Dockerfile",
    }


def context_address(uri: str) -> str:
    """A build context's URI in its one form: a directory ends with ``/``, a usual port is not named."""
    parts = urlsplit(uri)
    if parts.scheme != "https" or parts.query or parts.fragment or parts.path.endswith(".git"):
        return uri
    host = parts.netloc.lower().removesuffix(":443")
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    return urlunsplit((parts.scheme, host, path, "", ""))


def _inference(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    routes = {
        name: {"path": route.get("path"), "port": route.get("port")}
        for name, wire in _ROUTES.items()
        if (route := (found or {}).get(wire))
    }
    return routes or None


# --- meaning -------------------------------------------------------------------------------------------


def definition(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What a version can never change, with every default in its place."""
    found: dict[str, Any] = {}
    for key in DEFINITION:
        value = attributes.get(key)
        found[key] = ENVIRONMENT.defaults.get(key) if value in (None, "", {}) else value
    if isinstance(found["build"], Mapping) and isinstance(found["build"].get("context_uri"), str):
        found["build"] = {**found["build"], "context_uri": context_address(found["build"]["context_uri"])}
    return found


def same_definition(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two environments are the same but for what can be changed in place."""
    return definition(one) == definition(other)


def definition_digest(attributes: Mapping[str, Any]) -> str:
    """SHA-256 of the definition, hex: the same for the same meaning."""
    return hashlib.sha256(canonical(definition(attributes))).hexdigest()


# --- to the wire ---------------------------------------------------------------------------------------


def new_version(attributes: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The ``properties`` of a new version.

    *before* are those of the version that it follows: what this program does
    not know in them is taken along.
    """
    wanted = definition(attributes)
    known = _OURS | _READ_ONLY
    body = {key: value for key, value in (before or {}).items() if key not in known}
    body["isAnonymous"] = False
    body["isArchived"] = False
    body["osType"] = wanted["os_type"]
    if wanted["auto_rebuild"] != ENVIRONMENT.defaults["auto_rebuild"]:
        body["autoRebuild"] = wanted["auto_rebuild"]
    if wanted["image"] is not None:
        body["image"] = wanted["image"]
    if (conda := wanted["conda"]) is not None:
        body["condaFile"] = (
            conda if isinstance(conda, str) else json.dumps(conda, indent=2, ensure_ascii=False)
        )
    if (build := wanted["build"]) is not None:
        body["build"] = {
            "contextUri": build["context_uri"],
            "dockerfilePath": build.get("dockerfile") or "Dockerfile",
        }
    if (config := wanted["inference_config"]) is not None:
        body["inferenceConfig"] = {_ROUTES[name]: dict(route) for name, route in config.items()}
    if before is not None:
        body["properties"] = _kept(before)
    return with_mutable(body, {key: attributes.get(key) for key in MUTABLE})


def put_back(properties: Mapping[str, Any], *, archived: bool | None = None) -> dict[str, Any]:
    """What GET showed, to be sent again; *archived* or not, as it is when None.

    The definition goes back as it came: anything else may be taken for a change.
    """
    body = {key: value for key, value in properties.items() if key not in _READ_ONLY}
    body["isArchived"] = bool(properties.get("isArchived")) if archived is None else archived
    return with_mutable(body, {})


def with_mutable(properties: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """*properties* with the mutable ones that *attributes* names; None clears.

    All of them are sent each time: what a PUT leaves out may be cleared.
    """
    body = dict(properties)
    for key in ("description", "tags", "properties"):
        if key in attributes:
            body[key] = attributes[key]
    body["description"] = body.get("description") or ""
    body["tags"] = dict(body.get("tags") or {})
    body["properties"] = {**_kept(properties), **(body.get("properties") or {})}
    if "stage" in attributes:
        body["stage"] = attributes["stage"]
    if not body.get("stage"):
        body.pop("stage", None)
    return body


def _kept(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The service's own entries of ``properties``, which are not ours to remove."""
    return {
        key: value
        for key, value in (properties.get("properties") or {}).items()
        if key.startswith(_VENDORS_PROPERTIES)
    }
