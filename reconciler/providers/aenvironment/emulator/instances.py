"""Instances: a pod each, started from an environment, gone when its time to live is over.

Not found is 500. What a client sees of an instance depends on the call: the
answer to its creation knows the environment and not the time to live, a read
the other way round, a list the times. Source: api-service and controller
0.1.6 with the engine ``k8s``.
"""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler.providers.aenvironment.emulator.answers import (
    body_of,
    done,
    encode,
    instance_time,
    microseconds,
    refuse,
)
from reconciler.providers.aenvironment.emulator.cluster import check_labels, check_pod, refused
from reconciler.providers.aenvironment.emulator.environments import Environment, Profile
from reconciler.providers.aenvironment.emulator.gate import environment_of, selected, skeleton
from reconciler.providers.aenvironment.emulator.golang import (
    ANYTHING,
    STRINGS,
    TEXTS,
    Record,
    duration,
    list_of,
    text,
)
from reconciler.providers.aenvironment.emulator.store import drop, find, keep, shown, texts
from reconciler.providers.emulator import Answer, Call, Store

_FIELDS: Final = {
    "envName": text,
    "datasource": text,
    "environment_variables": TEXTS,
    "arguments": STRINGS,
    "ttl": text,
    "owner": text,
    "labels": TEXTS,
}


_BODIES: Final = {
    "v0.1": Record("CreateEnvInstanceRequest", _FIELDS),
    "next": Record(
        "CreateEnvInstanceRequest",
        {**_FIELDS, "mount_points": list_of(ANYTHING, "map[string]interface {}"), "init_command": text},
    ),
}


_SECOND_IMAGE: Final = "docker.io/library/aenv"
"""What a data source is looked for in when the environment has no ``imagePrefix``."""


_READABLE: Final[dict[str, Callable[[Any], bool]]] = {
    "ttl": lambda value: isinstance(value, str),
    "owner": lambda value: isinstance(value, str),
    "secondImageName": lambda value: isinstance(value, str),
    "environment_variables": lambda value: (
        isinstance(value, dict) and all(isinstance(inner, str) for inner in value.values())
    ),
}
"""Keys of the configuration that the controller answers with, and whether it can."""


class Instance(Struct):
    """An instance as it is stored. ``created`` is a moment; ``ttl`` what was asked for, empty for never."""

    id: str
    name: str
    version: str
    created: int
    ttl: str
    owner: str


_DECODER: Final = msgspec.json.Decoder(Instance)


def insert_instance(db: sqlite3.Connection, instance: Instance) -> None:
    """Store an instance."""
    keep(db, "instance", instance.id, encode(instance), instance.created)


class Instances:
    """The calls about instances.

    A pod runs *startup* seconds after its creation. *templates* are the pod
    templates that the chart ships; *cleanup* seconds lie between two looks
    for instances whose time is over.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        profile: Profile,
        startup: float,
        cleanup: float,
        templates: Sequence[str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._body = _BODIES[profile]
        self._profile = profile
        self._startup = startup
        self._cleanup = cleanup
        self._templates = templates

    def create(self, call: Call) -> Answer:
        """POST /env-instance"""
        body = body_of(call, self._body, "Invalid request parameters: {}".format)
        with self._store.write() as db:
            environment = environment_of(db, body)
            config = self._overlaid(environment, body)
            self._check_config(config)
            instance = Instance(
                id=f"{environment.name}-{self._new_id()[-6:]}",
                name=environment.name,
                version=environment.version,
                created=microseconds(self._clock()),
                ttl=config.get("ttl", ""),
                owner=config.get("owner", ""),
            )
            check_labels("create", instance.name, instance.version)
            check_pod("create", instance.id, environment.image, config.get("environment_variables") or {})
            insert_instance(db, instance)
        return done(
            {
                "id": instance.id,
                "env": msgspec.structs.replace(environment, deploy_config=config),
                "status": "Pending",
                "created_at": "",
                "updated_at": "",
                "ip": "",
                "ttl": "",
                "owner": instance.owner,
            }
        )

    def read(self, call: Call) -> Answer:
        """GET /env-instance/{id}"""
        with self._store.write() as db:
            instance = self._alive(db, call.params["id"])
        if instance is None:
            pod = f'failed to get pod failed: err is pods "{call.params["id"]}" not found'
            raise refused("query", 404, pod)
        return done({**self._answer(instance), "env": None, "created_at": "", "updated_at": ""})

    def delete(self, call: Call) -> Answer:
        """DELETE /env-instance/{id}"""
        with self._store.write() as db:
            if self._alive(db, call.params["id"]) is None:
                pod = f'failed to delete pod: err is pods "{call.params["id"]}" not found'
                raise refused("delete", 404, pod)
            drop(db, "instance", call.params["id"], microseconds(self._clock()))
        return done("Deleted successfully")

    def list_all(self, call: Call) -> Answer:
        """GET /env-instance/{selection}/list"""
        name = selected(call)
        with self._store.write() as db:
            found = texts(db, "instance", call, microseconds(self._clock()))
        instances = [_DECODER.decode(stored) for stored in found]
        asked = [
            self._answer(instance)
            for instance in instances
            if name in (None, instance.name) and not self._is_over(instance)
        ]
        return done(shown(asked, call))

    def presign(self, call: Call) -> Answer:
        """POST /env-instance/{id}/presign-url: known, and not supported here."""
        return refuse(501, "not supported on this engine (k8s): presign URL")

    def _overlaid(self, environment: Environment, body: dict[str, Any]) -> dict[str, Any]:
        """A copy of the environment's configuration with what the request says on top."""
        config = dict(environment.deploy_config or {})
        for key in ("environment_variables", "arguments", "ttl", "owner", "labels"):
            if body.get(key):
                config[key] = body[key]
        source = body.get("datasource")
        if source:
            config["dataSource"] = source
            config["secondImageName"] = self._second_image(config.get("imagePrefix"), source)
        return dict(sorted(config.items()))

    def _second_image(self, prefix: object, source: str) -> str:
        if self._profile == "next" and any(mark in source for mark in "@/:"):
            return source
        return f"{prefix if isinstance(prefix, str) else _SECOND_IMAGE}:{source}"

    def _check_config(self, config: dict[str, Any]) -> None:
        # The controller panics, and its answer is empty.
        for key, is_readable in _READABLE.items():
            if config.get(key) is not None and not is_readable(config[key]):
                raise refused("create", 500, "")
        template = config.get("podTemplate")
        if isinstance(template, str) and template and template not in self._templates:
            raise refused("create", 500, "")

    def _alive(self, db: sqlite3.Connection, instance_id: str) -> Instance | None:
        stored = find(db, "instance", instance_id)
        instance = None if stored is None else _DECODER.decode(stored)
        return None if instance is None or self._is_over(instance) else instance

    def _is_over(self, instance: Instance) -> bool:
        """Whether the first look after the end of its time has been taken."""
        seconds = duration(instance.ttl)
        if seconds is None:
            return False
        end = instance.created / 1_000_000 + seconds
        return microseconds(self._clock()) / 1_000_000 >= math.ceil(end / self._cleanup) * self._cleanup

    def _answer(self, instance: Instance) -> dict[str, object]:
        running_since = instance.created + int(self._startup * 1_000_000)
        is_running = microseconds(self._clock()) >= running_since
        number = zlib.crc32(instance.id.encode())
        return {
            "id": instance.id,
            "env": skeleton(instance.name, instance.version),
            "status": "Running" if is_running else "Pending",
            "created_at": instance_time(instance.created),
            "updated_at": instance_time(
                max(instance.created, running_since) if is_running else instance.created
            ),
            "ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" if is_running else "",
            "ttl": instance.ttl,
            "owner": instance.owner,
        }
