"""Workloads, which use environments.

The API has no call that submits one from an environment; tests and
demonstrations need some.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

import msgspec

from reconciler.providers.emulator import Store
from reconciler.providers.runai.emulator.answers import encode, microseconds, timestamp
from reconciler.providers.runai.emulator.store import TENANT_ID


def add_workload(
    store: Store,
    *,
    environment_id: str,
    name: str,
    kind: Literal["workspace", "training", "distributed", "inference"],
    status: str,
    project_id: str,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
) -> str:
    """Submit a workload from an environment, as the UI does, and answer its id.

    *status* is a phase, such as ``Running``; it stays. Raises LookupError for
    an unknown environment or project. The store must have been given to
    ``build_app`` before.
    """
    with store.write() as db:
        return insert_workload(
            db,
            workload_id=new_id(),
            environment_id=environment_id,
            name=name,
            kind=kind,
            status=status,
            project_id=project_id,
            moment=microseconds(clock()),
        )


_WORKLOAD_KINDS: Final = {
    "workspace": ("workspaces", "Build"),
    "training": ("trainings", "Train"),
    "distributed": ("distributed", "Train"),
    "inference": ("inferences", "Deploy"),
}
"""For each kind, the key in ``usedBy`` and the category."""


def insert_workload(
    db: sqlite3.Connection,
    *,
    workload_id: str,
    environment_id: str,
    name: str,
    kind: str,
    status: str,
    project_id: str,
    moment: int,
) -> str:
    """Store a workload and answer its id. Raises LookupError as `add_workload` does."""
    environment = db.execute(
        "SELECT name, text FROM runai_asset WHERE id = ? AND family = 'environment'", (environment_id,)
    ).fetchone()
    if environment is None:
        raise LookupError(f"no environment {environment_id}")
    project = db.execute(
        "SELECT p.name, p.cluster_id, d.id, d.name FROM runai_unit p JOIN runai_unit d"
        " ON d.kind = 'department' AND d.id = p.department_id WHERE p.kind = 'project' AND p.id = ?",
        (project_id,),
    ).fetchone()
    if project is None:
        raise LookupError(f"no project {project_id}")
    environment_name, environment_text = environment
    project_name, cluster_id, department_id, department_name = project
    used_as, category = _WORKLOAD_KINDS[kind]
    use: dict[str, object] = {"id": environment_id, "name": environment_name}
    if kind == "distributed":
        use["replicaType"] = "Worker"
    use["connections"] = [
        {
            "name": connection["name"],
            "toolType": connection["internalToolInfo"]["toolType"],
            "connectionType": connection["internalToolInfo"]["connectionType"],
        }
        for connection in msgspec.json.decode(environment_text)["spec"].get("connections", ())
        if "internalToolInfo" in connection
    ]
    at = timestamp(moment)
    text = encode(
        {
            "tenantId": TENANT_ID,
            "type": "runai-job",
            "name": name,
            "id": workload_id,
            "source": "Control-plane",
            "priority": 50,
            "priorityClassName": "high",
            "category": category,
            "clusterId": cluster_id,
            "projectId": project_id,
            "projectName": project_name,
            "departmentId": department_id,
            "departmentName": department_name,
            "namespace": f"runai-{project_name}",
            "runningPods": 1 if status == "Running" else 0,
            "phase": status,
            "k8sPhase": status,
            "conditions": [],
            "createdAt": at,
            "updatedAt": at,
            "phaseUpdatedAt": at,
            "k8sPhaseUpdatedAt": at,
            "deletedAt": None,
            "environments": [use],
        }
    )
    reference = encode({"id": workload_id, "name": name, "status": status})
    db.execute(
        "INSERT INTO runai_workload (environment_id, used_as, reference, at, text) VALUES (?, ?, ?, ?, ?)",
        (environment_id, used_as, reference, moment, text),
    )
    return workload_id
