"""Canonical attributes to the wire and back.

Reading is tolerant: a key or a value of a newer control plane is kept where
it has a place and passed over where it has none. Writing sends only keys of
API 1.224, and every one of them: whether PUT replaces or merges is not
documented, so an update sends the whole object, with ``null`` for what is
cleared (``[]`` and ``false`` for the two fields that may not be null).

The wire can spell variables and connections that mean nothing to a spec, such
as a tool that is both inside and outside. An update must not lose them, so
they are kept as they are, below ``as_is``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.core.attributes import ID
from reconciler.core.model import UsedBy
from reconciler.errors import Rejected
from reconciler.providers.quantity import canonical_quantity
from reconciler.providers.runai import api
from reconciler.providers.runai.kinds import COMPUTE_FIELDS, PLAIN_FIELDS, pull_policy_for

__all__ = [
    "PREINSTALLED",
    "compute_from_wire",
    "compute_spec",
    "creation_meta",
    "credential_from_wire",
    "credential_spec",
    "environment_from_wire",
    "environment_spec",
    "merged",
    "scope_from_wire",
    "unkept",
    "used_by",
]

PREINSTALLED = frozenset(
    {"Jupiter-lab", "jupyter-lab", "jupyter-tensorboard", "tensorboard", "llm-server", "chatbot-ui", "gpt2"}
)
"""Environments that Run:ai itself puts into every tenant, at account scope (its documentation)."""

_CONNECTIONS = {"ExternalUrl": "external-url", "NodePort": "node-port", "LoadBalancer": "load-balancer"}
_WIRE_CONNECTIONS = {friendly: wire for wire, friendly in _CONNECTIONS.items()}
_UID_SOURCES = {"fromTheImage": "image", "fromIdpToken": "idp-token", "custom": "custom"}
_WIRE_UID_SOURCES = {friendly: wire for wire, friendly in _UID_SOURCES.items()}
_PROBE = {
    "initial_delay_seconds": "initialDelaySeconds",
    "period_seconds": "periodSeconds",
    "timeout_seconds": "timeoutSeconds",
    "success_threshold": "successThreshold",
    "failure_threshold": "failureThreshold",
}
_ENDED = frozenset({"completed", "failed", "stopped", "deleted", "deleting", "terminating"})

Table = dict[str, Any]


def _filled(values: Mapping[str, Any]) -> Table:
    return {key: value for key, value in values.items() if value is not None}


# --- what all assets share ---


def scope_from_wire(meta: Mapping[str, Any]) -> Table:
    """``scope`` and ``scope_id`` of an asset: the id of its own scope, not those filled in above it."""
    scope = meta["scope"]
    key = {"cluster": "clusterId", "department": "departmentId", "project": "projectId"}.get(scope)
    found = meta.get(key) if key is not None else None
    return {"scope": scope} if found is None else {"scope": scope, "scope_id": str(found)}


def creation_meta(attributes: Mapping[str, Any]) -> Table:
    """``meta`` of a create request: the id of the asset's own scope alone.

    Raises `Rejected` for a project id that is not a number: the wire wants one.
    """
    meta: Table = {"name": attributes["name"]}
    if attributes.get("description") is not None:
        meta["description"] = attributes["description"]
    scope, scope_id = attributes["scope"], attributes.get("scope_id")
    meta["scope"] = scope
    if scope == "cluster":
        meta["clusterId"] = scope_id
    elif scope == "department":
        meta["departmentId"] = scope_id
    elif scope == "project":
        if not re.fullmatch("[0-9]+", str(scope_id)):
            raise Rejected(f"the project id {scope_id!r} is not a number, as this API wants it")
        meta["projectId"] = int(str(scope_id))
    return meta


# --- environments ---


def environment_from_wire(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Table:
    """The canonical attributes of an environment."""
    values: Table = {"name": meta["name"], **scope_from_wire(meta)}
    values["description"] = meta.get("description") or None
    types = meta.get("workloadSupportedTypes") or {}
    values["workload_types"] = sorted(name for name in _WORKLOADS if types.get(name))
    values["distributed_framework"] = types.get("distFramework")
    for name, wire in PLAIN_FIELDS.items():
        values[name] = spec.get(wire)
    if values["image_pull_policy"] is None:
        values["image_pull_policy"] = pull_policy_for(values["image"])
    values["uid_gid_source"] = _UID_SOURCES.get(
        spec.get("uidGidSource") or "fromTheImage", spec.get("uidGidSource")
    )
    values["supplemental_groups"] = _groups(spec.get("supplementalGroups"))
    values["capabilities"] = sorted(spec.get("capabilities") or ()) or None
    variables = spec.get("environmentVariables") or ()
    values["environment_variables"] = {_name(one): _variable(one) for one in variables} or None
    connections = spec.get("connections") or ()
    serving = _serving(connections)
    if serving is not None:
        values["inference_endpoint"] = _endpoint(serving)
    values["tools"] = {_name(one): _tool(one) for one in connections if one is not serving} or None
    values["readiness_probe"] = _probe((spec.get("probes") or {}).get("readiness"))
    return _filled(values)


_WORKLOADS = ("distributed", "inference", "training", "workspace")


def _groups(text: str | None) -> list[int | str] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return [int(part) if part.isdecimal() else part for part in parts]


def _name(one: Mapping[str, Any]) -> str:
    return one.get("name") or ""


def _variable(one: Mapping[str, Any]) -> Any:
    """An environment variable; one with a value alone is the value."""
    plain = _plain(one, _VARIABLE)
    found = _canonical_variable(plain)
    return found if _plain(_wire_variable(_name(one), found), _VARIABLE) == plain else {"as_is": plain}


def _canonical_variable(one: Mapping[str, Any]) -> Any:
    instructions = one.get("description")
    table: Table
    if one.get("exclude"):
        table = {"exclude": True}
    elif (credential := one.get("credential")) is not None:
        table = {"credential": {ID: credential.get("assetId")}, "key": credential.get("key")}
    elif (config_map := one.get("configMap")) is not None:
        table = {"config_map": config_map.get("name"), "key": config_map.get("key")}
    elif (pod_field := one.get("podFieldRef")) is not None:
        table = {"pod_field": pod_field.get("path")}
    elif instructions is None:
        return one.get("value", "")
    else:
        table = {"value": one.get("value", "")}
    if instructions is not None:
        table["instructions"] = instructions
    return table


def _wire_variable(name: str, one: Any) -> Table:
    if isinstance(one, str):
        return {"name": name, "value": one}
    result: Table = {"name": name}
    if "as_is" in one:
        return {**result, **one["as_is"]}
    if one.get("exclude"):
        result["exclude"] = True
    elif "credential" in one:
        result["credential"] = {"assetId": one["credential"][ID], "key": one["key"]}
    elif "config_map" in one:
        result["configMap"] = {"name": one["config_map"], "key": one["key"]}
    elif "pod_field" in one:
        result["podFieldRef"] = {"path": one["pod_field"]}
    else:
        result["value"] = one.get("value", "")
    if one.get("instructions"):
        result["description"] = one["instructions"]
    return result


# What the wire may say, by key; a table for what is a table there.
_VARIABLE: Table = {
    "value": None,
    "credential": {"assetId": None, "key": None},
    "configMap": {"name": None, "key": None},
    "podFieldRef": {"path": None},
    "exclude": None,
    "description": None,
}
_CONNECTION: Table = {
    "isExternal": None,
    "internalToolInfo": {
        "toolType": None,
        "connectionType": None,
        "containerPort": None,
        "nodePortInfo": {"isCustomPort": None},
        "externalUrlInfo": {"isCustomUrl": None, "externalUrl": None},
        "servingPortInfo": {"protocol": None},
    },
    "externalToolInfo": {"toolType": None, "externalUrl": None},
}


def _plain(value: Mapping[str, Any], known: Mapping[str, Any]) -> Table:
    """*value* by what it means: its known keys, without those that hold what their absence means."""
    result: Table = {}
    for key, inner in known.items():
        found = value.get(key)
        if inner is not None and isinstance(found, Mapping):
            found = _plain(found, inner)
        if found not in (None, False, "", {}):
            result[key] = found
    return result


def _serving(connections: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The connection that is the endpoint of inference: by name the first of those that serve."""
    endpoints = [
        one
        for one in connections
        if (one.get("internalToolInfo") or {}).get("connectionType") == "ServingPort"
        and _plain(_wire_endpoint(_endpoint(one)), _CONNECTION) == _plain(one, _CONNECTION)
    ]
    return min(endpoints, key=_name, default=None)


def _endpoint(connection: Mapping[str, Any]) -> Table:
    internal = connection["internalToolInfo"]
    return _filled(
        {
            "protocol": (internal.get("servingPortInfo") or {}).get("protocol"),
            "serving_port": internal.get("containerPort"),
            "name": _name(connection),
            "type": internal.get("toolType"),
        }
    )


def _wire_endpoint(endpoint: Mapping[str, Any]) -> Table:
    return {
        "name": endpoint["name"],
        "isExternal": False,
        "internalToolInfo": {
            "toolType": endpoint["type"],
            "connectionType": "ServingPort",
            "containerPort": endpoint["serving_port"],
            "servingPortInfo": _filled({"protocol": endpoint.get("protocol")}),
        },
    }


def _tool(connection: Mapping[str, Any]) -> Table:
    plain = _plain(connection, _CONNECTION)
    found = _canonical_tool(plain)
    if found is not None and _plain(_wire_tool(_name(connection), found), _CONNECTION) == plain:
        return found
    return {**(found or {}), "as_is": plain}


def _canonical_tool(connection: Mapping[str, Any]) -> Table | None:
    external = connection.get("externalToolInfo")
    if external is not None:
        return {"type": external.get("toolType"), "url": external.get("externalUrl")}
    internal = connection.get("internalToolInfo")
    if internal is None:
        return None
    kind = internal.get("connectionType")
    url = internal.get("externalUrlInfo") or {}
    port = internal.get("nodePortInfo") or {}
    return _filled(
        {
            "type": internal.get("toolType"),
            "connection": _CONNECTIONS.get(str(kind), kind),
            "container_port": internal.get("containerPort"),
            "custom": True if url.get("isCustomUrl") or port.get("isCustomPort") else None,
            "url": url.get("externalUrl"),
        }
    )


def _wire_tool(name: str, tool: Mapping[str, Any]) -> Table:
    if "as_is" in tool:
        return {"name": name, **tool["as_is"]}
    if "connection" not in tool:
        info = {"toolType": tool["type"], "externalUrl": tool["url"]}
        return {"name": name, "isExternal": True, "externalToolInfo": info}
    connection = tool["connection"]
    internal: Table = {
        "toolType": tool["type"],
        "connectionType": _WIRE_CONNECTIONS.get(connection, connection),
        "containerPort": tool.get("container_port"),
    }
    if connection == "external-url":
        internal["externalUrlInfo"] = {"isCustomUrl": bool(tool.get("custom"))}
        if tool.get("url"):
            internal["externalUrlInfo"]["externalUrl"] = tool["url"]
    elif connection == "node-port":
        internal["nodePortInfo"] = {"isCustomPort": bool(tool.get("custom"))}
    return {"name": name, "isExternal": False, "internalToolInfo": internal}


def _probe(probe: Mapping[str, Any] | None) -> Table | None:
    if probe is None:
        return None
    times = _filled({name: probe.get(wire) for name, wire in _PROBE.items()})
    request = (probe.get("handler") or {}).get("httpGet")
    if request is None:
        return times
    return times | _filled(
        {
            "path": request.get("path"),
            "port": request.get("port"),
            "host": request.get("host"),
            "scheme": request.get("scheme") or "HTTP",
        }
    )


def _wire_probe(probe: Mapping[str, Any]) -> Table:
    times = _filled({wire: probe.get(name) for name, wire in _PROBE.items()})
    request = _filled({name: probe.get(name) for name in ("path", "port", "host", "scheme")})
    return {**times, "handler": {"httpGet": request}} if request else times


def environment_spec(attributes: Mapping[str, Any]) -> Table:
    """``spec`` of an environment on the wire: each of its 23 fields, null where there is no value."""
    spec: Table = {wire: attributes.get(name) for name, wire in PLAIN_FIELDS.items()}
    spec["overrideUidGidInWorkspace"] = bool(attributes.get("override_uid_gid_in_workspace"))
    source = attributes.get("uid_gid_source") or "image"
    spec["uidGidSource"] = _WIRE_UID_SOURCES.get(source, source)
    groups = attributes.get("supplemental_groups")
    spec["supplementalGroups"] = None if groups is None else ",".join(map(str, groups))
    spec["capabilities"] = list(attributes.get("capabilities") or ())
    variables = attributes.get("environment_variables") or {}
    spec["environmentVariables"] = [_wire_variable(name, one) for name, one in variables.items()]
    connections = [_wire_tool(name, tool) for name, tool in (attributes.get("tools") or {}).items()]
    if endpoint := attributes.get("inference_endpoint"):
        connections.append(_wire_endpoint(endpoint))
    spec["connections"] = connections
    probe = attributes.get("readiness_probe")
    spec["probes"] = None if probe is None else {"readiness": _wire_probe(probe)}
    return spec


_PROBES: Table = {
    "readiness": {
        **dict.fromkeys(_PROBE.values()),
        "handler": {"httpGet": dict.fromkeys(("path", "port", "host", "scheme"))},
    }
}
# What an update can say of each kind; a list for what is a list there, with its elements' keys.
_SENT: Mapping[str, Table] = {
    "environment": {
        **dict.fromkeys(api.SPEC_FIELDS),
        "environmentVariables": [{"name": None, **_VARIABLE}],
        "connections": [{"name": None, **_CONNECTION}],
        "probes": _PROBES,
    },
    "compute": {
        **dict.fromkeys(COMPUTE_FIELDS.values()),
        "extendedResources": [{"resource": None, "quantity": None, "exclude": None}],
    },
}


def unkept(kind: str, spec: Mapping[str, Any]) -> Iterator[str]:
    """What of a live *spec* has no place in an update: fields of a newer API, and doubles of a name."""
    if kind in _SENT:  # of a credential, only the description is written
        yield from _strangers(spec, _SENT[kind], "")
    for field in ("environmentVariables", "connections"):
        named = Counter(_name(one) for one in spec.get(field) or ())
        yield from (f"{field}.{name} ({count} of that name)" for name, count in named.items() if count > 1)


def _strangers(value: Any, known: Any, at: str) -> Iterator[str]:
    if isinstance(known, list):
        for number, one in enumerate(value if isinstance(value, list) else ()):
            yield from _strangers(one, known[0], f"{at}{_name(one) or number}.")
    elif isinstance(known, Mapping) and isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in known:
                if inner is not None:
                    yield f"{at}{key}"
            elif known[key] is not None:
                yield from _strangers(inner, known[key], f"{at}{key}.")


def merged(previous: Mapping[str, Any], managed: Mapping[str, Any]) -> Table:
    """*managed* over *previous*: what is not managed stays, but for a connection whose name is managed.

    Tools and the endpoint share their names on the platform, and the endpoint
    of a spec is a tool once somebody gave it what only tools have, or another
    connection serves as well.
    """
    values = {**previous, **managed}
    endpoint = values.get("inference_endpoint") or {}
    tools = values.get("tools") or {}
    if endpoint.get("name") in tools:
        if "inference_endpoint" in managed:
            values["tools"] = {name: tool for name, tool in tools.items() if name != endpoint["name"]}
        else:
            del values["inference_endpoint"]
    return values


def workload_types(attributes: Mapping[str, Any]) -> Table:
    """``meta.workloadSupportedTypes``, which exists in create requests only."""
    wanted = attributes.get("workload_types") or ()
    types: Table = {name: name in wanted for name in ("workspace", "training", "inference", "distributed")}
    if attributes.get("distributed_framework"):
        types["distFramework"] = attributes["distributed_framework"]
    return types


# --- compute assets ---


def compute_from_wire(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Table:
    """The canonical attributes of a compute asset."""
    values: Table = {
        "name": meta["name"],
        **scope_from_wire(meta),
        "description": meta.get("description") or None,
    }
    for name, wire in COMPUTE_FIELDS.items():
        values[name] = _amount(spec.get(wire))
    extended = [
        _filled(
            {
                "resource": one.get("resource"),
                "quantity": _amount(one.get("quantity")),
                "exclude": one.get("exclude") or None,
            }
        )
        for one in spec.get("extendedResources") or ()
    ]
    values["extended_resources"] = sorted(extended, key=lambda one: str(one.get("resource"))) or None
    return _filled(values)


def _amount(value: Any) -> Any:
    """A quantity in its one spelling, and a whole number as one."""
    if isinstance(value, str):
        return canonical_quantity(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def compute_spec(attributes: Mapping[str, Any]) -> Table:
    """``spec`` of a compute asset on the wire: every field, null where there is no value."""
    spec: Table = {wire: attributes.get(name) for name, wire in COMPUTE_FIELDS.items()}
    spec["extendedResources"] = list(attributes.get("extended_resources") or ())
    return spec


# --- credentials ---

_SEGMENTS = {kind.kind: kind.segment for kind in api.CREDENTIAL_KINDS}


def credential_from_wire(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Table:
    """The canonical attributes of a credential: never a secret, whatever the answer holds.

    In the listing of all kinds ``spec`` has one key, the kind, with the spec
    proper below it.
    """
    inner = spec.get(meta["kind"], spec)
    if not isinstance(inner, Mapping):
        inner = spec
    values: Table = {
        "name": meta["name"],
        "type": _SEGMENTS.get(meta["kind"], meta["kind"]),
        **scope_from_wire(meta),
        "description": meta.get("description") or None,
        "existing_secret_name": inner.get("existingSecretName"),
        "url": inner.get("url"),
        "user": inner.get("user"),
        "access_key_id": inner.get("accessKeyId"),
    }
    pairs = inner.get("keyValuePairs") or ()
    values["keys"] = sorted(pair["key"] for pair in pairs if "key" in pair) or None
    return _filled(values)


def credential_spec(attributes: Mapping[str, Any]) -> Table:
    """``spec`` of a credential's create request, secrets included. Never to be logged or kept."""
    if attributes.get("existing_secret_name") is not None:
        return {"existingSecretName": attributes["existing_secret_name"]}
    match attributes["type"]:
        case "generic-secret":
            pairs = [{"key": key, "value": value} for key, value in attributes["data"].items()]
            return {"keyValuePairs": pairs}
        case "docker-registry":
            return {"url": attributes["url"], "user": attributes["user"], "password": attributes["password"]}
        case "access-key":
            return {
                "accessKeyId": attributes["access_key_id"],
                "secretAccessKey": attributes["secret_access_key"],
            }
        case "password":
            return {"user": attributes["user"], "password": attributes["password"]}
        case "ngc-api-key":
            return {"ngc_api_key": attributes["ngc_api_key"]}
        case other:
            raise Rejected(f"there is no credential of type {other!r}")


# --- what uses an asset ---


def used_by(answer: Mapping[str, Any] | None) -> tuple[UsedBy, ...]:
    """``usedBy`` of an asset. What runs or may start again, and templates, count as active."""
    if answer is None:
        return ()
    found: list[UsedBy] = []
    for key, kind in (
        ("workspaces", "workspace"),
        ("trainings", "training"),
        ("distributed", "distributed training"),
        ("inferences", "inference"),
    ):
        for one in answer.get(key) or ():
            status = one.get("status") or ""
            found.append(UsedBy(kind, one.get("name") or "", status, status.lower() not in _ENDED))
    found += [UsedBy("template", one.get("name") or "", active=True) for one in answer.get("templates") or ()]
    assets = answer.get("assets") or {}
    for key, kind in (
        ("environments", "environment"),
        ("computes", "compute"),
        ("datasources", "data source"),
    ):
        found += [UsedBy(kind, one.get("name") or "") for one in assets.get(key) or ()]
    return tuple(found)
