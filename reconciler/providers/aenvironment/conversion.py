"""Canonical attributes to the wires and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from reconciler.core.attributes import ID
from reconciler.core.model import UsedBy
from reconciler.providers.aenvironment import api
from reconciler.providers.aenvironment.kinds import IMAGE, RESOURCES, STATUSES, environment_id

__all__ = [
    "FIELDS",
    "artifacts_of",
    "birth_of",
    "changed",
    "environment_attributes",
    "environment_body",
    "environment_from_wire",
    "environment_of",
    "image_of",
    "instance_use",
    "remaining",
    "service_body",
    "service_change",
    "service_from_wire",
    "service_use",
]

Table = dict[str, Any]

FIELDS: Final[Mapping[str, str]] = {
    "description": "description",
    "tags": "tags",
    "code_url": "codeUrl",
    "status": "status",
    "build_config": "buildConfig",
    "test_config": "testConfig",
    "deploy_config": "deployConfig",
}
"""Attributes of an environment that are one top-level key of a request."""

_OF_ARTIFACTS: Final = ("image", "image_id", "artifacts")
_EMPTY: Final[Mapping[str, Any]] = {
    "description": "",
    "tags": [],
    "status": "Ready",
    "build_config": {},
    "test_config": {},
    "deploy_config": {},
}
"""What clears a key: null keeps what is there."""


def _filled(values: Mapping[str, Any]) -> Table:
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


# --- environments ---


def _artifact(one: Mapping[str, Any]) -> Table:
    return {key: one.get(key) or "" for key in ("id", "type", "content")}


def _split(artifacts: Iterable[Mapping[str, Any]]) -> Table:
    """``image``, its id, and all other artifacts."""
    others = list(map(_artifact, artifacts))
    image = next((one for one in others if one["type"] == IMAGE), None)
    if image is None:
        return {"artifacts": others}
    others.remove(image)
    return {"image": image["content"], "image_id": image["id"], "artifacts": others}


def artifacts_of(values: Mapping[str, Any]) -> list[Table]:
    """The artifacts as the wire has them: what containers run comes first."""
    others = [dict(one) for one in values.get("artifacts") or ()]
    if values.get("image") is None:
        return others
    return [{"id": values.get("image_id") or "", "type": IMAGE, "content": values["image"]}, *others]


def image_of(artifacts: Iterable[Mapping[str, Any]] | None) -> str:
    """The image that containers of an environment with these artifacts run."""
    return str(_split(artifacts or ()).get("image") or "")


def environment_attributes(document: Mapping[str, Any], *, others: bool) -> Table:
    """The attributes of an environment in the form of ``config.json``: what it says, and no more.

    Of its artifacts, *others* than the image are managed where that is said.
    """
    values: Table = {"name": document["name"], "version": document["version"]}
    for name, wire in FIELDS.items():
        if document.get(wire) is not None:
            values[name] = document[wire]
    if document.get("artifacts") is not None:
        found = {"image": None, **_split(document["artifacts"])}
        values["image"] = found["image"]
        if found.get("image_id"):
            values["image_id"] = found["image_id"]
        if others:
            values["artifacts"] = found["artifacts"]
    return values


def environment_from_wire(entry: api.EnvironmentEntry) -> Table:
    """The attributes of an environment in an answer."""
    number = entry.status
    return _filled(
        {
            "name": entry.name,
            "version": entry.version,
            "description": entry.description,
            "tags": entry.tags,
            "code_url": entry.code_url,
            "status": STATUSES[number] if 0 <= number < len(STATUSES) else str(number),
            **_split(entry.artifacts or ()),
            "build_config": entry.build_config,
            "test_config": entry.test_config,
            "deploy_config": entry.deploy_config,
        }
    )


def environment_body(attributes: Mapping[str, Any]) -> Table:
    """The body that creates an environment: Ready, unless something else is said."""
    body: Table = {"name": attributes["name"], "version": attributes["version"], "status": "Ready"}
    body |= {wire: attributes[name] for name, wire in FIELDS.items() if attributes.get(name) is not None}
    if artifacts := artifacts_of(attributes):
        body["artifacts"] = artifacts
    return body


def changed(previous: Mapping[str, Any], managed: Mapping[str, Any]) -> Table:
    """The top-level keys in which *managed* differs from *previous*, each whole, as a request has them."""
    body: Table = {}
    for name, wire in FIELDS.items():
        if name not in managed:
            continue
        empty = _EMPTY.get(name)
        wanted = empty if managed[name] is None else managed[name]
        if wanted is not None and wanted != previous.get(name, empty if name != "status" else None):
            body[wire] = wanted
    if not managed.keys().isdisjoint(_OF_ARTIFACTS):
        artifacts = artifacts_of({**previous, **managed})
        if artifacts != artifacts_of(previous):
            body["artifacts"] = artifacts
    return body


# --- services ---


def _port(url: str) -> int | None:
    """The port at the end of ``web1.aenv-sandbox.svc.cluster.local:8081``."""
    tail = url.rpartition(":")[2]
    return int(tail) if tail.isascii() and tail.isdecimal() else None


def service_from_wire(entry: api.ServiceEntry, environment: str) -> Table:
    """The attributes of a service of *environment*, as far as the platform shows them."""
    return {
        **_filled(
            {
                "name": entry.id,
                "environment": {ID: environment},
                "port": _port(entry.service_url),
                "owner": entry.owner,
                "environment_variables": entry.environment_variables,
                "storage_name": entry.pvc_name,
            }
        ),
        "replicas": entry.replicas,
    }


def service_body(attributes: Mapping[str, Any]) -> Table:
    """The body that creates a service. Its name is always given: a request may arrive twice."""
    body: Table = {
        "envName": attributes["environment"][ID],
        "service_name": attributes["name"],
        "replicas": attributes.get("replicas", 1),
    }
    for name, wire in (
        ("environment_variables", "environment_variables"),
        ("owner", "owner"),
        ("port", "port"),
        ("storage_name", "pvc_name"),
        ("storage_size", "storage_size"),
        ("mount_path", "mount_path"),
        *((one, one) for one in RESOURCES),
    ):
        if attributes.get(name) is not None:
            body[wire] = attributes[name]
    return body


def service_change(previous: Mapping[str, Any], managed: Mapping[str, Any]) -> Table:
    """The body that changes a service: what can be changed in place, as far as it is not so already.

    Its image is never shown, so it is always sent: the same one starts nothing anew.
    """
    body: Table = {}
    if "replicas" in managed:
        replicas = 1 if managed["replicas"] is None else managed["replicas"]
        if replicas != previous.get("replicas"):
            body["replicas"] = replicas
    if managed.get("image"):
        body["image"] = managed["image"]
    there = previous.get("environment_variables") or {}
    wanted = managed.get("environment_variables") or {}
    if fresh := {name: value for name, value in wanted.items() if there.get(name) != value}:
        body["environment_variables"] = fresh
    return body


# --- what uses an environment ---

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_ENDED: Final = frozenset({"succeeded", "failed", "terminated"})


def _seconds(duration: str) -> float | None:
    """The seconds of a Go duration, such as ``1h30m``; None for what is none."""
    if not duration or _PART.sub("", duration):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(duration))


def remaining(created: str, ttl: str, now: float) -> str:
    """How long something *created* then may live from *now* (Unix time) on; empty when for ever."""
    lifetime = _seconds(ttl)
    if lifetime is None:
        return ""
    try:
        born = datetime.fromisoformat(created)
    except ValueError:
        return f"ends {ttl} after it was made"
    if born.tzinfo is None or born.year <= 1:
        return f"ends {ttl} after it was made"
    left = born.timestamp() + lifetime - now
    if left <= 0:
        return "its time is over"
    minutes = round(left / 60)
    words = str(timedelta(minutes=minutes)).removesuffix(":00") if minutes >= 60 else f"{minutes} min"
    return f"{words} h left" if minutes >= 60 else (f"{words} left" if minutes else "less than 1 min left")


def instance_use(entry: api.InstanceEntry, now: float) -> UsedBy:
    """An instance as what uses its environment, with the time that it has left."""
    left = remaining(entry.created_at, entry.ttl, now)
    status = ", ".join(part for part in (entry.status, left) if part)
    return UsedBy("instance", entry.id, status, entry.status.lower() not in _ENDED)


def service_use(entry: api.ServiceEntry) -> UsedBy:
    """A service as what uses its environment: it starts containers of it at any time."""
    return UsedBy("service", entry.id, f"{entry.available_replicas} of {entry.replicas} running", active=True)


def birth_of(entry: api.ServiceEntry) -> str:
    """When a service was made, to the second, as digits: however an answer spells it."""
    return "".join(re.findall(r"\d", entry.created_at))[:14]


def environment_of(entry: api.ServiceEntry | api.InstanceEntry) -> str:
    """The id of the environment that it is of; empty where the answer does not say."""
    named = entry.env
    return environment_id(named.name, named.version) if named is not None and named.name else ""
