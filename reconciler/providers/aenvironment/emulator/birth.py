"""What a new platform starts with: environments, an instance of one and a service of another, all ours."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.providers.aenvironment.emulator.answers import microseconds
from reconciler.providers.aenvironment.emulator.environments import create
from reconciler.providers.aenvironment.emulator.instances import Instance, insert_instance
from reconciler.providers.aenvironment.emulator.services import Service, insert_service

_BORN: Final = microseconds(datetime(2025, 1, 1, 8, 30, 15, 123456, tzinfo=UTC))


_REGISTRY: Final = "registry.example.com/aenv"


def _environment(name: str, version: str, **more: Any) -> dict[str, Any]:
    deploy = {"cpu": "1", "memory": "2Gi", "os": "linux", "ephemeralStorage": "5Gi"}
    image = {"id": "", "type": "image", "content": f"{_REGISTRY}/{name}:{version}"}
    return {
        "name": name,
        "version": version,
        "tags": ["linux"],
        "status": "Ready",
        "artifacts": [image],
        "buildConfig": {"context": ".", "dockerfile": "./Dockerfile"},
        "testConfig": {"script": ""},
        **more,
        "deployConfig": dict(sorted({**deploy, **more.get("deployConfig", {})}.items())),
    }


_SERVICE_BLOCK: Final = {
    "enableStorage": True,
    "mountPath": "/home/admin/data",
    "port": 8081,
    "replicas": 1,
    "storageName": "notes",
    "storageSize": "10Gi",
}


_FIRST_ENVIRONMENTS: Final = (
    _environment("terminal", "1.0.0", status="Released"),
    _environment("terminal", "1.1.0"),
    _environment(
        "browser", "0.4.2", deployConfig={"imagePrefix": f"{_REGISTRY}/sites", "podTemplate": "dualContainer"}
    ),
    _environment(
        "notes", "2.0.1", deployConfig={"service": _SERVICE_BLOCK, "environmentVariables": {"LEVEL": "info"}}
    ),
)


_FIRST_INSTANCE: Final = Instance(
    id="terminal-7d3k9q", name="terminal", version="1.1.0", created=_BORN, ttl="", owner="ada"
)


_FIRST_SERVICE: Final = Service(
    id="notes-svc-x2m4c8",
    name="notes",
    version="2.0.1",
    created=_BORN,
    updated=_BORN,
    scaled=_BORN,
    available=1,
    replicas=1,
    port=8081,
    owner="grace",
    pvc_name="notes",
    variables={"LEVEL": "info"},
    image=f"{_REGISTRY}/notes:2.0.1",
    mount_path="/home/admin/data",
    sizes={
        "cpu_request": "1",
        "cpu_limit": "1",
        "memory_request": "2Gi",
        "memory_limit": "2Gi",
        "ephemeral_storage_request": "5Gi",
        "ephemeral_storage_limit": "5Gi",
    },
)


BENCHMARK_IMAGES: Final = {"django__django-11099": f"{_REGISTRY}/swebench:django-11099"}
"""What ``/data`` knows of the scenario ``swebench``."""


def give_birth(db: sqlite3.Connection, signing_key: str) -> None:
    """Fill an empty store. *signing_key* signs the addresses of archives."""
    for name, value in (("signing_key", signing_key), ("outage", "0"), ("races", "0")):
        db.execute("INSERT INTO aenv_setting VALUES (?, ?)", (name, value))
    for environment in _FIRST_ENVIRONMENTS:
        create(db, environment, _BORN)
    insert_instance(db, _FIRST_INSTANCE)
    insert_service(db, _FIRST_SERVICE, storage_size="10Gi")
