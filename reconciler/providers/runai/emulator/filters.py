"""The query of a list of assets, as a condition on the rows of the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from reconciler.providers.emulator import Store
from reconciler.providers.runai import api
from reconciler.providers.runai.emulator.answers import Refused, flag, one_of, whole_number
from reconciler.providers.runai.emulator.store import SUPPORTS


def asks_compliance(query: Mapping[str, str]) -> bool:
    """Whether the query asks for compliance; refuses half of the question."""
    project = whole_number(query, "complyToProject", -(2**31), 2**31 - 1) is not None
    workload = one_of(query, "complyToWorkloadType", api.WORKLOAD_TYPES) is not None
    one_of(query, "complyToReplicaType", api.REPLICA_TYPES)
    if project != workload:
        raise Refused(400, "Invalid query", "complyToProject and complyToWorkloadType go together")
    return project


class Filter(NamedTuple):
    """Which assets a list shows: an SQL condition and the values of its parameters."""

    condition: str
    values: tuple[object, ...]


_TYPE_QUERIES: Final = {
    "isWorkspace": SUPPORTS["workspace"],
    "isTraining": SUPPORTS["training"],
    "isInference": SUPPORTS["inference"],
    "isDistributed": SUPPORTS["distributed"],
}


def asset_filter(store: Store, family: str, query: Mapping[str, str]) -> Filter:
    """What the query of a list asks for. Each family ignores the filters that its call does not declare."""
    conditions: list[str] = []
    values: list[object] = []

    def add(condition: str, *parameters: object) -> None:
        conditions.append(condition)
        values.extend(parameters)

    if "name" in query:
        add("instr(name, ?) > 0", query["name"])
    scope = one_of(query, "scope", ("tenant", "cluster", "department", "project"))
    descendants = family != "credential" and flag(query, "includeDescendants") is True
    if scope is not None:
        if descendants:
            raise Refused(400, "Invalid query", "scope and includeDescendants exclude each other")
        add("scope = ?", scope)
    _add_reach(store, query, descendants, add)
    if family == "environment":
        for name, bit in _TYPE_QUERIES.items():
            wanted = flag(query, name)
            if wanted is not None:
                add("(supports & ?) <> 0 = ?", bit, wanted)
        if "distributedFramework" in query:
            add("(supports & ?) <> 0", SUPPORTS["distributed"])
            add("framework = ?", query["distributedFramework"])
    return Filter(" AND ".join(conditions), tuple(values))


def _add_reach(store: Store, query: Mapping[str, str], descendants: bool, add: Callable[..., None]) -> None:
    """The three ids of a query: what is placed on the narrowest one, and what it inherits.

    A wider id that does not contain the narrowest leaves nothing.
    """
    project_id = whole_number(query, "projectId", -(2**31), 2**31 - 1)
    given = {
        "project": None if project_id is None else str(project_id),
        "department": query.get("departmentId"),
        "cluster": query.get("clusterId"),
    }
    narrowest = next((scope for scope, value in given.items() if value is not None), None)
    if narrowest is None:
        return
    unit_id = given[narrowest]
    found = store.row(
        "SELECT cluster_id, department_id FROM runai_unit WHERE kind = ? AND id = ?", (narrowest, unit_id)
    )
    cluster_id, department_id = found or (None, None)
    above = {"cluster": cluster_id, "department": department_id, narrowest: unit_id}
    if any(value is not None and value != above.get(scope) for scope, value in given.items()):
        add("0")
        return
    inherited = (
        "scope IN ('tenant', 'system') OR (scope = 'cluster' AND scope_id = ?)"
        " OR (scope = 'department' AND scope_id = ?) OR (scope = 'project' AND scope_id = ?)"
    )
    reach = (above.get("cluster"), above.get("department"), above.get("project"))
    if not descendants:
        add(f"({inherited})", *reach)
        return
    # Both columns are NULL in units that are not below, and NULL equals nothing.
    below = "SELECT id FROM runai_unit WHERE ? IN (cluster_id, department_id)"
    nested = f"scope IN ('department', 'project') AND scope_id IN ({below})"
    add(f"({inherited} OR ({nested}))", *reach, unit_id)
