"""The v1 environment service: the same environments in their v1 form, and what v2 cannot tell of images.

It has errors of its own shape. A workspace may no longer offer it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from reconciler.providers.azureml.emulator.answers import (
    JSON,
    Refused,
    answer,
    decoded,
    encode,
    refused,
    timestamp,
)
from reconciler.providers.azureml.emulator.asking import Ask, Room
from reconciler.providers.azureml.emulator.blobs import Keys, keep
from reconciler.providers.azureml.emulator.builds import Builds
from reconciler.providers.azureml.emulator.definitions import check_name
from reconciler.providers.azureml.emulator.definitions_v1 import as_v1, as_version, read_v1
from reconciler.providers.azureml.emulator.environments import ENVIRONMENTS, VERSIONS, no_such, versions_of
from reconciler.providers.azureml.emulator.store import (
    COLUMNS,
    Place,
    Platform,
    Thing,
    find,
    insert,
    next_moment,
    replace,
)
from reconciler.providers.azureml.emulator.versions import Versions
from reconciler.providers.emulator import Answer, Call

__all__ = ["EnvironmentService"]

_LABELS: Final = "environments/labels"

_BODY: Final = msgspec.json.Decoder(dict[str, Any])

_SERVICES: Final = ("api", "experimentation", "history", "hyperdrive", "modelmanagement", "studio")


class EnvironmentService:
    """Answers what azureml-core asks."""

    def __init__(self, platform: Platform, versions: Versions, builds: Builds, keys: Keys) -> None:
        self._platform = platform
        self._versions = versions
        self._builds = builds
        self._keys = keys

    def discovery(self, call: Call) -> Answer:
        """The hosts of the services: all of them are this platform."""
        if self._platform.options.environment_service == "missing":
            return answer({service: call.origin for service in _SERVICES if service != "experimentation"})
        return answer(dict.fromkeys(_SERVICES, call.origin))

    def rooms(self, version: str) -> dict[str, Mapping[str, Room]]:
        """Who answers which path below a workspace, of the service's *version*: ``v1.0`` or ``v2.0``."""
        one = "environments/{name}/versions/{version}"
        table: dict[str, dict[str, Room]]
        if version == "v1.0":
            table = {
                "environments/": {"GET": self._list},
                "environments": {"GET": self._list},
                "environments/{name}": {"GET": self._read, "PUT": self._register},
                one: {"GET": self._read, "PUT": self._register},
                "environments/{name}/labels/{label}": {"GET": self._read},
                f"{one}/metadata": {"PUT": self._label},
                f"{one}/image": {"GET": self._image},
            }
        else:
            table = {
                f"{one}/image": {"POST": self._build},
                f"{one}/imageoncompute/{{compute}}": {"POST": self._build},
                "builds/{build}": {"GET": self._watch},
            }
        return {
            path: {method: self._offered(room) for method, room in rooms.items()}
            for path, rooms in table.items()
        }

    def _offered(self, room: Room) -> Room:
        def offered(ask: Ask) -> Answer:
            try:
                if self._platform.options.environment_service == "missing":
                    raise refused(404, "The environment service is not available for this workspace")
                if self._platform.options.environment_service == "gone":
                    raise refused(410, "The environment service has been retired")
                return room(ask)
            except Refused as found:
                return _error_v1(found.answer, ask.place, self._platform.now())

        return offered

    def _latest(self, ask: Ask) -> Thing | None:
        with self._platform.store.write() as db:
            found = versions_of(db, ask.place, ask.params["name"])
        return found[-1] if found else None

    def _found(self, ask: Ask) -> Thing:
        """The version that a path names: by number, by label, or the latest. Refuses what is not there."""
        name, version, label = ask.params["name"], ask.params.get("version"), ask.params.get("label")
        if label is not None and label.lower() != "latest":
            known = self._platform.find(ask.place, _LABELS, name, label)
            version = known.body["version"] if known else None
            found = None if version is None else self._platform.find(ask.place, VERSIONS, name, version)
        elif version is not None:
            found = self._platform.find(ask.place, VERSIONS, name, version)
        else:
            found = self._latest(ask)
        if found is None:
            raise no_such(name, ask.params.get("version", ""), label or "")
        return found

    def _read(self, ask: Ask) -> Answer:
        return answer(as_v1(self._found(ask), ask.place.arm_id))

    def _list(self, ask: Ask) -> Answer:
        """The latest version of each environment, in pages."""
        size = self._platform.options.page_size
        after = ask.query.get("continuation", "")
        rows = self._platform.store.rows(
            f"SELECT {COLUMNS} FROM azureml_thing WHERE seq IN (SELECT max(seq) FROM azureml_thing"  # noqa: S608
            " WHERE place = ? AND family = ? GROUP BY parent) AND parent > ? ORDER BY parent LIMIT ?",
            (ask.place.id, VERSIONS, after, size + 1),
        )
        found = [Thing(*row) for row in rows]
        return answer(
            {
                "value": [as_v1(one, ask.place.arm_id) for one in found[:size]],
                "continuationToken": found[size - 1].parent if len(found) > size else None,
            }
        )

    def _register(self, ask: Ask) -> Answer:
        """Put a definition: under a version that is named, or the one that is the same, or the next."""
        name, wanted = ask.params["name"], ask.params.get("version")
        check_name(name)
        sent = decoded(_BODY, ask.call.body)
        definition = read_v1(name, sent)
        with self._platform.store.write() as db:
            known = versions_of(db, ask.place, name)
            same = [one for one in known if _same(as_v1(one, ask.place.arm_id), definition)]
            if wanted is None and same:
                return answer(as_v1(same[-1], ask.place.arm_id))
            taken = next((one for one in known if one.name == wanted), None)
            if taken is not None:
                if taken in same:
                    return answer(as_v1(taken, ask.place.arm_id))
                raise refused(
                    409,
                    f"Environment {name} with version {wanted} is already registered and cannot be changed.",
                )
            container = find(db, ask.place, ENVIRONMENTS, "", name)
            number = wanted or (container.body["properties"]["nextVersion"] if container else "1")
            version = as_version(definition, self._dockerfile(db, ask.place, definition))
            self._versions.store(db, ask.place, name, number, ask.author, version, {"v1": definition})
            made = find(db, ask.place, VERSIONS, name, number)
        assert made is not None
        return answer(as_v1(made, ask.place.arm_id))

    def _dockerfile(self, db: sqlite3.Connection, place: Place, definition: Mapping[str, Any]) -> str:
        """Where the text of a Dockerfile is kept as a build context of its own."""
        text = definition["docker"]["baseDockerfile"]
        if not text:
            return ""
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        address = place.account, "azureml", f"DockerBuildContext/{digest}/Dockerfile"
        keep(db, address, text.encode(), self._platform.now(), "text/plain", "{}")
        return f"{self._keys.uri(place.account, 'azureml')}/DockerBuildContext/{digest}/"

    def _label(self, ask: Ask) -> Answer:
        version = self._found(ask)
        labels = decoded(_BODY, ask.call.body).get("Labels", [])
        now = self._platform.now()
        with self._platform.store.write() as db:
            for label in map(str, labels):
                body = {"name": label, "version": version.name}
                found = find(db, ask.place, _LABELS, version.parent, label)
                if found is None:
                    created = next_moment(db, now)
                    insert(db, ask.place, _LABELS, version.parent, body, created=created, since=now)
                else:
                    replace(db, found, body, now)
        return answer({"labels": labels})

    def _image(self, ask: Ask) -> Answer:
        """Which image a version is or becomes, and the way in to its registry."""
        version, place = self._found(ask), ask.place
        image = self._builds.image_of(version)
        registry: dict[str, str | None] = {"address": None, "username": None, "password": None}
        if image:
            registry = {
                "address": f"{place.account}.azurecr.io",
                "username": place.account,
                "password": self._platform.signature(f"registry {place.account}"),
            }
        properties = version.body["properties"]
        return answer(
            {
                "dockerImage": {"name": image or properties["image"], "registry": registry},
                "imageExistsInRegistry": not image or self._builds.is_built(place, image),
                "pythonEnvironment": {
                    "interpreterPath": "python",
                    "condaEnvironmentPath": f"/azureml-envs/{image.rpartition('_')[2]}" if image else None,
                },
                "ingredients": {"dockerfile": f"FROM {properties.get('image') or 'context'}\n"},
            }
        )

    def _build(self, ask: Ask) -> Answer:
        version = self._found(ask)
        with self._platform.store.write() as db:
            build = self._builds.start(db, ask.place, version, anew=True)
        return answer(
            {"location": f"{ask.call.origin}/environment/v2.0{ask.place.arm_id}/builds/{build}"}, 202
        )

    def _watch(self, ask: Ask) -> Answer:
        name = ask.params["build"]
        status = self._builds.status(self._builds.find(ask.place, name))
        log = self._builds.log_url(ask.place, name, ask.call.origin)
        return answer({"status": status, "logUrl": log}, 202 if status in ("Queued", "Running") else 200)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    ignored = {"version", "assetId"}
    return {key: value for key, value in one.items() if key not in ignored} == {
        key: value for key, value in other.items() if key not in ignored
    }


def _error_v1(found: Answer, place: Place, now: int) -> Answer:
    """An error as this service spells it."""
    error = msgspec.json.decode(found.body)["error"]
    trace = hashlib.sha256(found.body).hexdigest()
    told = {
        "error": {
            "code": error["code"],
            "severity": None,
            "message": error["message"],
            "messageFormat": None,
            "messageParameters": {},
            "referenceCode": None,
            "detailsUri": None,
            "target": None,
            "details": [],
            "innerError": None,
            "debugInfo": None,
        },
        "correlation": {"operation": trace[:32], "request": trace[32:48]},
        "environment": place.region,
        "location": place.region,
        "time": timestamp(now),
        "componentName": "environment",
    }
    return Answer(found.status, encode(told), JSON)
