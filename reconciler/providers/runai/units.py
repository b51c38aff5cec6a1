"""Clusters, departments and projects: names to ids, and what covers what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from reconciler.core.ports import Problem

__all__ = ["Cluster", "Unit", "Units"]


class Cluster(msgspec.Struct, rename="camel"):
    """A cluster, as far as names and places need it."""

    uuid: str
    name: str


class Unit(msgspec.Struct, rename="camel"):
    """A department or a project. ``parent_id`` is a project's department."""

    id: str | int
    name: str
    cluster_id: str | None = None
    parent_id: str | int | None = None


class Units:
    """The organisation of a tenant."""

    def __init__(
        self, clusters: Sequence[Cluster], departments: Sequence[Unit], projects: Sequence[Unit]
    ) -> None:
        self._all: dict[str, list[tuple[str, str, str]]] = {
            "cluster": [(one.name, one.uuid, one.uuid) for one in clusters],
            "department": [(one.name, str(one.id), one.cluster_id or "") for one in departments],
            "project": [(one.name, str(one.id), one.cluster_id or "") for one in projects],
        }
        self.names = {
            (kind, unit_id): name for kind, units in self._all.items() for name, unit_id, _ in units
        }
        self._cluster_of = {
            (kind, unit_id): cluster for kind, units in self._all.items() for _, unit_id, cluster in units
        }
        self._department_of = {
            str(one.id): "" if one.parent_id is None else str(one.parent_id) for one in projects
        }
        self._by_name: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for kind, units in self._all.items():
            for name, unit_id, cluster in units:
                self._by_name[kind, name].append((unit_id, cluster))

    def find(self, wanted: Mapping[str, Any]) -> str | Problem:
        """The id of the unit that *wanted* describes by ``kind``, ``name`` and perhaps ``cluster``."""
        kind, name, cluster = wanted["kind"], wanted.get("name"), wanted.get("cluster")
        if name is None:
            units = self._all[kind]
            if len(units) == 1:
                return units[0][1]
            names = ", ".join(sorted(unit[0] for unit in units))
            return Problem(
                ("scope",),
                f"which {kind}? there are {len(units)}: {names}" if units else f"there is no {kind}",
                'Add `scope_name = "…"` with one of these names, or its id as `scope_id`.',
            )
        called = found = self._by_name.get((kind, name), [])
        if not found and kind == "cluster" and (kind, name) in self.names:
            return str(name)
        if cluster is not None:
            ids = {cluster, *(unit_id for unit_id, _ in self._by_name.get(("cluster", cluster), []))}
            found = [one for one in found if one[1] in ids]
        if len(found) == 1:
            return found[0][0]
        if found:
            if kind == "cluster":
                places, ways = ", ".join(sorted(unit_id for unit_id, _ in found)), "its id as `scope_id`"
            else:
                places = ", ".join(
                    f"{unit_id} on cluster {self._cluster(on)}" for unit_id, on in sorted(found)
                )
                ways = '`cluster = "…"`, or the id as `scope_id`'
            return Problem(
                ("scope_name",),
                f"there are {len(found)} {kind}s called {name!r}: {places}",
                f"Say which: {ways}.",
            )
        from reconciler.core.reading import nearest

        known = [unit[0] for unit in self._all[kind]]
        meant = nearest(str(name), known)
        where = f" on cluster {cluster!r}" if cluster is not None else ""
        if called:
            hint = f"It is on: {', '.join(sorted({self._cluster(on) for _, on in called}))}."
        elif meant:
            hint = f"Did you mean {meant!r}?"
        else:
            hint = f"There are: {', '.join(sorted(set(known))) or 'none'}."
        return Problem(("scope_name",), f"there is no {kind} called {name!r}{where}", hint)

    def shown(self, kind: str, unit_id: str) -> str:
        """A scope for people: by its name; by its id too where several have that, alone where nobody has."""
        if kind == "tenant":
            return kind
        name = self.names.get((kind, unit_id))
        if name is None:
            return f"{kind} {unit_id}"
        return f"{kind} {name}" if len(self._by_name[kind, name]) == 1 else f"{kind} {name} ({unit_id})"

    def _cluster(self, cluster_id: str) -> str:
        """A cluster for people."""
        return self.names.get(("cluster", cluster_id), cluster_id)

    def covers(self, over: tuple[str, str], under: tuple[str, str]) -> bool:
        """Whether what is placed on *over* reaches *under*; both are a kind of scope and an id."""
        kind, unit_id = over
        if kind == "tenant":
            return True
        if kind == "cluster":
            return self._cluster_of.get(under) == unit_id
        if kind == "department":
            return under[0] == "project" and self._department_of.get(under[1]) == unit_id
        return False
