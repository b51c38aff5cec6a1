"""Services: a deployment each, with an address and perhaps a volume, which stays until it is deleted.

Only replicas, image and variables can change. A volume outlives its service
and is taken as it is by the next service that names it. Source: api-service
and controller 0.1.6.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler.providers.aenvironment.emulator.answers import (
    body_of,
    done,
    encode,
    microseconds,
    service_time,
)
from reconciler.providers.aenvironment.emulator.cluster import (
    check_labels,
    check_pod,
    check_quantities,
    check_replicas,
    check_service,
    refused,
)
from reconciler.providers.aenvironment.emulator.environments import Environment
from reconciler.providers.aenvironment.emulator.gate import environment_of, selected, skeleton
from reconciler.providers.aenvironment.emulator.golang import TEXTS, WHOLE, Record, text
from reconciler.providers.aenvironment.emulator.store import drop, find, keep, shown, texts
from reconciler.providers.emulator import Answer, Call, Store

_SIZES: Final = {
    "cpu_request": ("cpuRequest", "1"),
    "cpu_limit": ("cpuLimit", "1"),
    "memory_request": ("memoryRequest", "2Gi"),
    "memory_limit": ("memoryLimit", "2Gi"),
    "ephemeral_storage_request": ("ephemeralStorageRequest", "10Gi"),
    "ephemeral_storage_limit": ("ephemeralStorageLimit", "10Gi"),
}
"""For each amount of a request, the key of the environment that it falls back to, and the default."""


_CREATION: Final = Record(
    "CreateEnvServiceRequest",
    {
        "envName": text,
        "service_name": text,
        "replicas": WHOLE,
        "environment_variables": TEXTS,
        "owner": text,
        "pvc_name": text,
        "mount_path": text,
        "storage_size": text,
        "port": WHOLE,
        **dict.fromkeys(_SIZES, text),
    },
)


_UPDATE: Final = Record(
    "UpdateEnvServiceRequest", {"replicas": WHOLE, "image": text, "environment_variables": TEXTS}
)


class Service(Struct):
    """A service as it is stored.

    ``created``, ``updated`` and ``scaled`` are moments. ``available`` pods
    were ready at ``scaled``, when ``replicas`` last changed. Only ``id`` to
    ``pvc_name`` and ``variables`` can be read through the API.
    """

    id: str
    name: str
    version: str
    created: int
    updated: int
    scaled: int
    available: int
    replicas: int
    port: int
    owner: str
    pvc_name: str
    variables: dict[str, str]
    image: str
    mount_path: str
    sizes: dict[str, str]


class Volume(Struct):
    """A volume as it is stored."""

    size: str


_SERVICE: Final = msgspec.json.Decoder(Service)


def insert_service(db: sqlite3.Connection, service: Service, storage_size: str) -> None:
    """Store a service, and its volume unless there is one of that name, of whatever size."""
    keep(db, "service", service.id, encode(service), service.created)
    if storage_size and find(db, "volume", service.pvc_name) is None:
        keep(db, "volume", service.pvc_name, encode(Volume(storage_size)), service.created)


def service_of(store: Store, service_id: str) -> dict[str, Any] | None:
    """What the cluster knows of a service, image and amounts included, which no call answers."""
    with store.write() as db:
        found = find(db, "service", service_id)
    return None if found is None else dict(msgspec.json.decode(found))


def volumes(store: Store) -> dict[str, str]:
    """The volumes in the cluster, by name, with their sizes; no call lists them."""
    rows = store.rows("SELECT key, text FROM aenv_record WHERE kind = 'volume' ORDER BY key")
    return {name: msgspec.json.decode(stored, type=Volume).size for name, stored in rows}


class Services:
    """The calls about services.

    New pods are ready *startup* seconds after they were asked for. The
    deployment template of the chart brings *variables* of its own.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        startup: float,
        variables: Mapping[str, str],
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._startup = startup
        self._variables = variables

    def create(self, call: Call) -> Answer:
        """POST /env-service"""
        doing = "create service"
        body = body_of(call, _CREATION, "Invalid request parameters: {}".format)
        with self._store.write() as db:
            environment = environment_of(db, body)
            asked = _Asked(body, environment)
            storage_size = asked.text("storage_size", "storageSize", "")
            service = self._new(environment, asked, storage_size)
            if storage_size and service.replicas > 1:
                raise refused(doing, 400, "When creating PVC (storageSize specified), replicas must be 1")
            if find(db, "service", service.id) is not None:
                raise refused(doing, 409, f'deployments.apps "{service.id}" already exists')
            check_labels(doing, service.name, service.version)
            check_service(doing, service.id, service.port, service.replicas)
            check_pod(doing, service.id, service.image, service.variables)
            check_quantities(doing, [*service.sizes.values(), *([storage_size] if storage_size else [])])
            insert_service(db, service, storage_size)
        answer = {**self._answer(service), "env": environment, "status": "Creating", "available_replicas": 0}
        return done({**answer, "environment_variables": None})

    def read(self, call: Call) -> Answer:
        """GET /env-service/{id}"""
        with self._store.write() as db:
            service = _found(db, call, "query service")
        return done({**self._answer(service), "env": None})

    def list_all(self, call: Call) -> Answer:
        """GET /env-service/{selection}/list"""
        name = selected(call)
        with self._store.write() as db:
            found = texts(db, "service", call, microseconds(self._clock()))
        services = [_SERVICE.decode(stored) for stored in found]
        asked = [self._answer(service) for service in services if name in (None, service.name)]
        return done(shown(asked, call))

    def update(self, call: Call) -> Answer:
        """PUT /env-service/{id}: variables are added or replaced, never removed; storage is not looked at."""
        doing = "update service"
        body = body_of(call, _UPDATE, "Invalid request parameters: {}".format)
        now = microseconds(self._clock())
        with self._store.write() as db:
            before = _found(db, call, doing)
            replicas = body.get("replicas", before.replicas)
            check_replicas(doing, before.id, replicas)
            after = msgspec.structs.replace(
                before,
                replicas=replicas,
                available=self._available(before),
                scaled=now if replicas != before.replicas else before.scaled,
                image=body.get("image") or before.image,
                variables={**before.variables, **body.get("environment_variables", {})},
                updated=now,
            )
            check_pod(doing, after.id, after.image, after.variables)
            keep(db, "service", after.id, encode(after), now)
        return done(
            {
                **self._answer(after),
                "env": None,
                "status": "Updating",
                "created_at": "",
                "available_replicas": min(after.available, replicas),
                "environment_variables": None,
                "pvc_name": "",
            }
        )

    def delete(self, call: Call) -> Answer:
        """DELETE /env-service/{id}: done, also when there is none; the volume goes only when asked to."""
        now = microseconds(self._clock())
        with self._store.write() as db:
            found = find(db, "service", call.params["id"])
            if found is not None:
                service = _SERVICE.decode(found)
                drop(db, "service", service.id, now)
                if call.query.get("deleteStorage") == "true" and service.pvc_name:
                    drop(db, "volume", service.pvc_name, now)
        return done("Deleted successfully")

    def _new(self, environment: Environment, asked: _Asked, storage_size: str) -> Service:
        now = microseconds(self._clock())
        default_name = f"{environment.name}-svc-{self._new_id()[-6:]}"
        return Service(
            id=asked.text("service_name", "serviceName", default_name),
            name=environment.name,
            version=environment.version,
            created=now,
            updated=now,
            scaled=now,
            available=0,
            replicas=asked.body.get("replicas") or 1,
            port=asked.port(),
            owner=asked.text("owner", "owner", ""),
            pvc_name=asked.text("pvc_name", "pvcName", environment.name) if storage_size else "",
            variables={**self._variables, **asked.variables()},
            image=environment.image,
            mount_path=asked.text("mount_path", "mountPath", "/home/admin/data") if storage_size else "",
            sizes={key: asked.text(key, fallback, default) for key, (fallback, default) in _SIZES.items()},
        )

    def _available(self, service: Service) -> int:
        is_settled = microseconds(self._clock()) >= service.scaled + int(self._startup * 1_000_000)
        return service.replicas if is_settled else min(service.available, service.replicas)

    def _answer(self, service: Service) -> dict[str, object]:
        available = self._available(service)
        progress = "Updating" if available < service.replicas else "Running"
        return {
            "id": service.id,
            "env": skeleton(service.name, service.version),
            "status": progress if available else "Creating",
            "created_at": service_time(service.created),
            "updated_at": service_time(service.updated),
            "replicas": service.replicas,
            "available_replicas": available,
            "service_url": f"{service.id}.aenv-sandbox.svc.cluster.local:{service.port}",
            "owner": service.owner,
            "environment_variables": service.variables,
            "pvc_name": service.pvc_name,
        }


class _Asked:
    """What a request asks for; what it leaves out, the environment says at the top of its configuration."""

    def __init__(self, body: dict[str, Any], environment: Environment) -> None:
        self.body = body
        self._config = environment.deploy_config or {}

    def text(self, key: str, fallback: str, default: str) -> str:
        stored = self._config.get(fallback)
        return self.body.get(key) or (stored if isinstance(stored, str) else "") or default

    def port(self) -> int:
        stored = self._config.get("port")
        is_number = isinstance(stored, int | float) and not isinstance(stored, bool)
        return self.body.get("port") or (int(stored) if is_number and stored else 8080)

    def variables(self) -> dict[str, str]:
        stored = self._config.get("environment_variables")
        texts_only = isinstance(stored, dict) and all(isinstance(value, str) for value in stored.values())
        return self.body.get("environment_variables") or (dict(stored) if stored and texts_only else {})


def _found(db: sqlite3.Connection, call: Call, doing: str) -> Service:
    found = find(db, "service", call.params["id"])
    if found is None:
        deployment = f'deployments.apps "{call.params["id"]}" not found'
        raise refused(doing, 404, f"failed to get deployment failed: err is {deployment}")
    return _SERVICE.decode(found)
