"""What is stored, and how an asset gets into it.

An asset is kept as the text it is answered with; the columns beside it are what
lists filter by. ``runai_past`` keeps, for lists that lag, what was replaced or
deleted lately. No secret value is stored; of each there is a digest (`secrets`).
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from reconciler.providers.emulator import LONGEST_LAG
from reconciler.providers.runai import api
from reconciler.providers.runai.emulator.answers import Refused, encode, timestamp

TENANT_ID: Final = 1001


FORMAT: Final = 1


SCHEMA: Final = (
    "CREATE TABLE runai_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE runai_access_key (client_id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL)",
    """CREATE TABLE runai_unit (
        kind TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
        cluster_id TEXT, department_id TEXT, text BLOB NOT NULL, PRIMARY KEY (kind, id))""",
    """CREATE TABLE runai_asset (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL, family TEXT NOT NULL, kind TEXT NOT NULL,
        name TEXT NOT NULL, scope TEXT NOT NULL, scope_id TEXT NOT NULL,
        supports INTEGER NOT NULL, framework TEXT, protected INTEGER NOT NULL,
        since INTEGER NOT NULL, text BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX runai_asset_id ON runai_asset (id)",
    "CREATE INDEX runai_asset_name ON runai_asset (kind, name)",
    "CREATE INDEX runai_asset_scope ON runai_asset (family, scope, scope_id)",
    """CREATE TABLE runai_past (
        seq INTEGER NOT NULL, id TEXT NOT NULL, family TEXT NOT NULL, kind TEXT NOT NULL,
        name TEXT NOT NULL, scope TEXT NOT NULL, scope_id TEXT NOT NULL,
        supports INTEGER NOT NULL, framework TEXT, protected INTEGER NOT NULL,
        since INTEGER NOT NULL, text BLOB NOT NULL, until INTEGER NOT NULL)""",
    "CREATE INDEX runai_past_until ON runai_past (until)",
    """CREATE TABLE runai_reference (
        credential_id TEXT NOT NULL, environment_id TEXT NOT NULL,
        PRIMARY KEY (credential_id, environment_id)) WITHOUT ROWID""",
    "CREATE INDEX runai_reference_environment ON runai_reference (environment_id)",
    """CREATE TABLE runai_workload (
        seq INTEGER PRIMARY KEY, environment_id TEXT NOT NULL, used_as TEXT NOT NULL,
        reference BLOB NOT NULL, at INTEGER NOT NULL, text BLOB NOT NULL)""",
    "CREATE INDEX runai_workload_environment ON runai_workload (environment_id)",
    """CREATE TABLE runai_template (
        seq INTEGER PRIMARY KEY, environment_id TEXT NOT NULL,
        reference BLOB NOT NULL, text BLOB NOT NULL)""",
)


SUPPORTS: Final = {"workspace": 1, "training": 2, "inference": 4, "distributed": 8}
"""Bits of the column ``supports``."""


class Place(NamedTuple):
    """Where in the organisation something is. ``scope_id`` is empty in tenant scope.

    The ids above the scope's own are filled in, those below are None.
    """

    scope: str
    scope_id: str
    cluster_id: str | None = None
    department_id: str | None = None
    project_id: str | None = None
    project_name: str | None = None

    @property
    def nodes(self) -> set[tuple[str, str | None]]:
        """The scopes whose assets reach this place: its own and those above."""
        return {
            ("system", ""),
            ("tenant", ""),
            ("cluster", self.cluster_id),
            ("department", self.department_id),
            ("project", self.project_id),
        }


def place_of(db: sqlite3.Connection, meta: api.AssetCreationMeta) -> Place:
    """Where the new asset goes. Refuses ids that the scope has no use for, or that do not exist."""
    given = {
        "clusterId": None if meta.cluster_id is None else str(meta.cluster_id),
        "departmentId": meta.department_id,
        "projectId": None if meta.project_id is None else str(meta.project_id),
    }
    if meta.scope == "system":
        raise Refused(
            403, "You do not have sufficient permissions.", "meta.scope: system is the vendor's own"
        )
    if meta.scope == "tenant":
        place = Place("tenant", "")
    else:
        key = f"{meta.scope}Id"
        unit_id = given[key]
        if unit_id is None:
            raise Refused(400, "Required parameter is missing", f"meta.{key}: required in scope {meta.scope}")
        found = _unit_place(db, meta.scope, unit_id)
        if found is None:
            raise Refused(400, f"{meta.scope} not found", f"meta.{key}: {unit_id} does not exist")
        place = found
    placed = {
        "clusterId": place.cluster_id,
        "departmentId": place.department_id,
        "projectId": place.project_id,
    }
    for key, value in given.items():
        if value is not None and value != placed[key]:
            raise Refused(
                400, "Scope and scope id do not match", f"meta.{key}: {value} does not fit scope {meta.scope}"
            )
    return place


def _unit_place(db: sqlite3.Connection, scope: str, unit_id: str) -> Place | None:
    found = db.execute(
        "SELECT name, cluster_id, department_id FROM runai_unit WHERE kind = ? AND id = ?", (scope, unit_id)
    ).fetchone()
    if found is None:
        return None
    name, cluster_id, department_id = found
    if scope == "cluster":
        return Place(scope, unit_id, cluster_id=unit_id)
    if scope == "department":
        return Place(scope, unit_id, cluster_id=cluster_id, department_id=unit_id)
    return Place(scope, unit_id, cluster_id, department_id, unit_id, name)


def place_in(meta: api.AssetMeta, scope_id: str) -> Place:
    """Where a stored asset is."""
    project_id = None if meta.project_id is None else str(meta.project_id)
    return Place(meta.scope, scope_id, meta.cluster_id, meta.department_id, project_id, meta.project_name)


class Birth(NamedTuple):
    """What a new asset is made of, besides what the client says in ``meta``."""

    asset_id: str
    family: str
    kind: str
    place: Place
    spec: bytes
    who: str
    moment: int
    cluster_info: bytes = b""
    protected: bool = False


def insert_asset(db: sqlite3.Connection, meta: api.AssetCreationMeta, birth: Birth) -> bytes:
    """Store a new asset and answer its text."""
    types = meta.workload_supported_types
    place = birth.place
    written = timestamp(birth.moment)
    answered = api.AssetMeta(
        name=meta.name,
        description=meta.description,
        scope=place.scope,
        cluster_id=place.cluster_id,
        department_id=place.department_id,
        project_id=None if place.project_id is None else int(place.project_id),
        auto_delete=meta.auto_delete,
        workload_supported_types=msgspec.UNSET if types is None else Raw(encode(types)),
        private=meta.private,
        id=birth.asset_id,
        kind=birth.kind,
        tenant_id=TENANT_ID,
        created_by=birth.who,
        created_at=written,
        updated_by=birth.who,
        updated_at=written,
        project_name=place.project_name,
        update_count=1,
    )
    text = asset_text(encode(answered), birth.spec, birth.cluster_info)
    supports = 0
    framework = None
    if types is not None:
        framework = types.dist_framework
        supports = sum(bit for name, bit in SUPPORTS.items() if getattr(types, name))
    db.execute(
        "INSERT INTO runai_asset (id, family, kind, name, scope, scope_id, supports, framework, protected,"
        " since, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            birth.asset_id,
            birth.family,
            birth.kind,
            meta.name,
            place.scope,
            place.scope_id,
            supports,
            framework,
            birth.protected,
            birth.moment,
            text,
        ),
    )
    return text


def asset_text(meta: bytes, spec: bytes, cluster_info: bytes) -> bytes:
    """An asset as it is answered, from the texts of its parts."""
    if cluster_info:
        return b'{"meta":%b,"spec":%b,"clusterInfo":%b}' % (meta, spec, cluster_info)
    return b'{"meta":%b,"spec":%b}' % (meta, spec)


def keep_past(db: sqlite3.Connection, seq: int, moment: int) -> None:
    """Keep what is about to be replaced or deleted for as long as a list may lag."""
    db.execute("INSERT INTO runai_past SELECT *, ? FROM runai_asset WHERE seq = ?", (moment, seq))
    db.execute("DELETE FROM runai_past WHERE until < ?", (moment - int(LONGEST_LAG * 1_000_000),))


class Stored(NamedTuple):
    """What a write needs to know of the asset it is about."""

    seq: int
    scope: str
    scope_id: str
    protected: int
    since: int
    text: bytes
