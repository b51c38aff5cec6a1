"""What a new platform starts with.

Names and images of the environments are those of the vendor's documentation;
their tools, ports and workload types, the organisation and the workloads are
ours.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from reconciler.providers.runai import api
from reconciler.providers.runai.emulator.answers import encode, microseconds, timestamp
from reconciler.providers.runai.emulator.store import SUPPORTS, TENANT_ID, Birth, Place, insert_asset
from reconciler.providers.runai.emulator.tokens import hashed
from reconciler.providers.runai.emulator.workloads import insert_workload

_VENDOR: Final = "Run:ai"


_BORN: Final = microseconds(datetime(2025, 1, 1, tzinfo=UTC))


_EAST: Final = "3f1b7c2e-9a54-4d0e-8c61-2b7e5d90a111"


_WEST: Final = "8d52a6f0-1c3b-4e97-b5a8-6f04c9e7d222"


class _Department(NamedTuple):
    id: str
    name: str
    cluster_id: str


class _Project(NamedTuple):
    id: str
    name: str
    department: _Department


_RESEARCH: Final = _Department("4500001", "research", _EAST)


_PRODUCTS: Final = _Department("4500002", "products", _EAST)


_FIELD: Final = _Department("4500003", "field", _WEST)


_FIRST_CLUSTERS: Final = ((_EAST, "gpu-east"), (_WEST, "gpu-west"))


_FIRST_DEPARTMENTS: Final = (_RESEARCH, _PRODUCTS, _FIELD)


_FIRST_PROJECTS: Final = (
    _Project("4501234", "vision", _RESEARCH),
    _Project("4501235", "nlp", _RESEARCH),
    _Project("4501236", "speech", _PRODUCTS),
    _Project("4501237", "forecast", _PRODUCTS),
    _Project("4501238", "vision", _FIELD),
)


def _tool(name: str, tool_type: str, port: int) -> dict[str, object]:
    info = {"toolType": tool_type, "connectionType": "ExternalUrl", "containerPort": port}
    return {"name": name, "isExternal": False, "internalToolInfo": info}


def _endpoint(port: int) -> dict[str, object]:
    info = {
        "toolType": "custom",
        "connectionType": "ServingPort",
        "containerPort": port,
        "servingPortInfo": {"protocol": "http"},
    }
    return {"name": "endpoint", "isExternal": False, "internalToolInfo": info}


class _Preinstalled(NamedTuple):
    id: str
    name: str
    image: str
    supports: str
    connection: dict[str, object]
    protected: bool = False


_JUPYTER: Final = _tool("Jupyter", "jupyter-notebook", 8888)


_TENSORBOARD: Final = _tool("TensorBoard", "tensorboard", 6006)


_FIRST_ENVIRONMENTS: Final = (
    _Preinstalled(
        "5b0c1d52-7a10-4b6e-9f01-000000000001",
        "jupyter-lab",
        "jupyter/scipy-notebook",
        "workspace",
        _JUPYTER,
    ),
    _Preinstalled(
        "5b0c1d52-7a10-4b6e-9f01-000000000002",
        "jupyter-tensorboard",
        "gcr.io/run-ai-demo/jupyter-tensorboard",
        "workspace",
        _JUPYTER,
    ),
    _Preinstalled(
        "5b0c1d52-7a10-4b6e-9f01-000000000003",
        "tensorboard",
        "tensorflow/tensorflow:latest",
        "workspace",
        _TENSORBOARD,
    ),
    _Preinstalled(
        "5b0c1d52-7a10-4b6e-9f01-000000000004",
        "llm-server",
        "runai.jfrog.io/core-llm/runai-vllm:v0.6.4-0.10.0",
        "inference",
        _endpoint(8000),
        protected=True,
    ),
    _Preinstalled(
        "5b0c1d52-7a10-4b6e-9f01-000000000005",
        "chatbot-ui",
        "runai.jfrog.io/core-llm/llm-app",
        "workspace",
        _tool("ChatbotUI", "chatbot-ui", 8888),
        protected=True,
    ),
    _Preinstalled(
        "5b0c1d52-7a10-4b6e-9f01-000000000006",
        "gpt2",
        "runai.jfrog.io/core-llm/quickstart-inference:gpt2-cpu",
        "inference",
        _endpoint(8888),
    ),
)


_JUPYTER_LAB: Final = _FIRST_ENVIRONMENTS[0]


_GPT2: Final = _FIRST_ENVIRONMENTS[5]


_FIRST_WORKLOADS: Final = (
    ("c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e01", _JUPYTER_LAB, "lab-1", "workspace", "Running", "4501234"),
    ("c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e02", _JUPYTER_LAB, "lab-2", "workspace", "Stopped", "4501235"),
    ("c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e03", _GPT2, "gpt2-demo", "inference", "Running", "4501236"),
)


_TEMPLATE: Final = {"id": "c0a8f3b2-6f5d-4f8e-9d38-3b1f4d6a7e04", "name": "notebook"}


def give_birth(db: sqlite3.Connection, signing_key: str) -> None:
    """Fill an empty store. *signing_key* signs its access tokens."""
    db.execute("INSERT INTO runai_setting VALUES ('signing_key', ?)", (signing_key,))
    db.execute("INSERT INTO runai_access_key VALUES (?, ?)", ("embedded", hashed("embedded")))
    born = timestamp(_BORN)
    for kind, unit_id, name, cluster_id, department_id, text in _first_units(born):
        db.execute(
            "INSERT INTO runai_unit VALUES (?, ?, ?, ?, ?, ?)",
            (kind, unit_id, name, cluster_id, department_id, encode(text)),
        )
    for environment in _FIRST_ENVIRONMENTS:
        types = dict.fromkeys(SUPPORTS, False) | {environment.supports: True}
        meta = {"name": environment.name, "scope": "tenant", "workloadSupportedTypes": types}
        spec = {
            "image": environment.image,
            "environmentVariables": [],
            "connections": [environment.connection],
            "capabilities": [],
        }
        birth = Birth(
            asset_id=environment.id,
            family="environment",
            kind="environment",
            place=Place("tenant", ""),
            spec=encode(msgspec.convert(spec, api.EnvironmentSpec)),
            who=_VENDOR,
            moment=_BORN,
            protected=environment.protected,
        )
        insert_asset(db, msgspec.convert(meta, api.AssetCreationMeta), birth)
    for workload_id, environment, name, kind, phase, project_id in _FIRST_WORKLOADS:
        insert_workload(
            db,
            workload_id=workload_id,
            environment_id=environment.id,
            name=name,
            kind=kind,
            status=phase,
            project_id=project_id,
            moment=_BORN,
        )
    asset = {"id": _JUPYTER_LAB.id, "name": _JUPYTER_LAB.name, "toolTypes": ["jupyter-notebook"]}
    signed = {"createdBy": _VENDOR, "createdAt": born, "updatedBy": _VENDOR, "updatedAt": born}
    template = {
        "meta": {
            **_TEMPLATE,
            "scope": "tenant",
            "kind": "workload-template",
            "tenantId": TENANT_ID,
            **signed,
        },
        "spec": {"assets": {"environment": asset}},
    }
    db.execute(
        "INSERT INTO runai_template (environment_id, reference, text) VALUES (?, ?, ?)",
        (_JUPYTER_LAB.id, encode(_TEMPLATE), encode(template)),
    )


_Unit = tuple[str, str, str, str | None, str | None, dict[str, object]]
"""A row of runai_unit, its text not yet encoded."""


def _first_units(born: str) -> Iterator[_Unit]:
    for cluster_id, name in _FIRST_CLUSTERS:
        cluster: dict[str, object] = {
            "uuid": cluster_id,
            "tenantId": TENANT_ID,
            "name": name,
            "createdAt": born,
            "domain": f"{name}.example.com",
            "version": "2.24.30",
            "status": {"state": "Connected"},
            "updatedAt": born,
            "lastLiveness": born,
        }
        yield "cluster", cluster_id, name, None, None, cluster
    for department in _FIRST_DEPARTMENTS:
        unit: dict[str, object] = {
            "id": department.id,
            "name": department.name,
            "clusterId": department.cluster_id,
            "description": "",
            "resources": [],
            "createdAt": born,
            "updatedAt": born,
            "totalResources": {"gpuQuota": 8},
        }
        yield "department", department.id, department.name, department.cluster_id, None, unit
    for project in _FIRST_PROJECTS:
        unit = {
            "id": project.id,
            "name": project.name,
            "clusterId": project.department.cluster_id,
            "parentId": project.department.id,
            "description": "",
            "enforceRunaiScheduler": True,
            "resources": [{"gpu": {"deserved": 4}}],
            "createdAt": born,
            "updatedAt": born,
            "totalResources": {"gpuQuota": 4},
            "effective": {},
            "status": {"namespace": f"runai-{project.name}", "phase": "Ready"},
        }
        yield "project", project.id, project.name, project.department.cluster_id, project.department.id, unit
