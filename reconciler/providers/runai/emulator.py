"""The Run:ai API, embedded: environments and what surrounds them, kept in a ``Store``.

Facts are those of the Run:ai API 1.224 (see ``api``), of ``runapy`` 1.224.0
as it behaves against a server, and of the vendor's documentation. Where they
are silent this is what we do, and a client should not depend on it:

- ``?name=`` finds names that contain the text; lists are in order of creation.
- Two assets of one kind may not have one name at one scope (``Options.unique``).
- A PUT replaces what it does not mention (``Options.put``).
- An id of the wrong scope, an unknown project, department, cluster or
  credential, a credential that does not cover the environment's scope, two
  sources of one variable, two connections of one name, a connection that is
  not exactly one of internal and external: 400.
- Creating in scope ``system``, changing or deleting a protected environment: 403.

No secret value is stored, answered or logged. Times and ids come from the
caller of ``build_app``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import operator
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw, Struct
from starlette.routing import Route, Router

from reconciler.providers.emulator import LONGEST_LAG, Answer, Call, Endpoint, Handler, Store
from reconciler.providers.runai import api

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Options", "add_access_key", "add_workload", "build_app", "refuse"]

T = TypeVar("T")

_TENANT_ID: Final = 1001

_encode: Final = msgspec.json.encode
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """What the sources leave open, as switches.

    ``put``: whether PUT replaces the spec, or merges the fields it mentions
    into it. ``unique``: whether a name is unique at one scope, or in the
    tenant. ``page_size``: entries of a paged list when ``limit`` is not
    given, 1 to 500. ``token_lifetime``: seconds an access token is good for.
    """

    put: Literal["replace", "merge"] = "replace"
    unique: Literal["scope", "tenant"] = "scope"
    page_size: int = 50
    token_lifetime: int = 3600


def build_app(
    store: Store,
    *,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
    options: Options = Options(),
) -> ASGIApp:
    """The platform that lives in *store*, which a new store is given its first objects.

    *clock* answers the present with its zone; *new_id* answers an unused
    UUID each time. Raises ValueError when the store holds another format.
    """
    platform = _Platform(store, clock=clock, new_id=new_id, options=options)
    return Router(platform.routes(), redirect_slashes=False, default=_nowhere)


def refuse(status: int, message: str, details: str = "") -> Answer:
    """The error envelope, which every answer outside 2xx has but those of the v2 token call."""
    return Answer(status, _encode({"code": status, "message": message, "details": details}))


def add_access_key(store: Store, *, client_id: str, client_secret: str) -> None:
    """Let this access key in, or give it a new secret. The store keeps a hash.

    The store must have been given to ``build_app`` before.
    """
    with store.write() as db:
        db.execute("INSERT OR REPLACE INTO runai_access_key VALUES (?, ?)", (client_id, _hash(client_secret)))


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
        return _add_workload(
            db,
            workload_id=new_id(),
            environment_id=environment_id,
            name=name,
            kind=kind,
            status=status,
            project_id=project_id,
            moment=_microseconds(clock()),
        )


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await refuse(404, "Resource not found.", f"no such path: {scope['path']}").send(send)


class _Refused(Exception):
    """The request gets this error as its answer."""

    def __init__(self, status: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.answer = refuse(status, message, details)


# Time: the store counts microseconds, the wire spells them out.


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _timestamp(microseconds: int) -> str:
    spelled = (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
    return spelled.removesuffix("+00:00") + "Z"


# What is stored. An asset is kept as the text it is answered with; the columns beside it are what
# lists filter by. runai_past keeps, for lists that lag, what was replaced or deleted lately.

_FORMAT: Final = 1
_SCHEMA: Final = (
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

_SUPPORTS: Final = {"workspace": 1, "training": 2, "inference": 4, "distributed": 8}
"""Bits of the column ``supports``."""


class _Place(NamedTuple):
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


def _place_of(db: sqlite3.Connection, meta: api.AssetCreationMeta) -> _Place:
    """Where the new asset goes. Refuses ids that the scope has no use for, or that do not exist."""
    given = {
        "clusterId": None if meta.cluster_id is None else str(meta.cluster_id),
        "departmentId": meta.department_id,
        "projectId": None if meta.project_id is None else str(meta.project_id),
    }
    if meta.scope == "system":
        raise _Refused(
            403, "You do not have sufficient permissions.", "meta.scope: system is the vendor's own"
        )
    if meta.scope == "tenant":
        place = _Place("tenant", "")
    else:
        key = f"{meta.scope}Id"
        unit_id = given[key]
        if unit_id is None:
            raise _Refused(
                400, "Required parameter is missing", f"meta.{key}: required in scope {meta.scope}"
            )
        found = _unit_place(db, meta.scope, unit_id)
        if found is None:
            raise _Refused(400, f"{meta.scope} not found", f"meta.{key}: {unit_id} does not exist")
        place = found
    placed = {
        "clusterId": place.cluster_id,
        "departmentId": place.department_id,
        "projectId": place.project_id,
    }
    for key, value in given.items():
        if value is not None and value != placed[key]:
            raise _Refused(
                400, "Scope and scope id do not match", f"meta.{key}: {value} does not fit scope {meta.scope}"
            )
    return place


def _unit_place(db: sqlite3.Connection, scope: str, unit_id: str) -> _Place | None:
    found = db.execute(
        "SELECT name, cluster_id, department_id FROM runai_unit WHERE kind = ? AND id = ?", (scope, unit_id)
    ).fetchone()
    if found is None:
        return None
    name, cluster_id, department_id = found
    if scope == "cluster":
        return _Place(scope, unit_id, cluster_id=unit_id)
    if scope == "department":
        return _Place(scope, unit_id, cluster_id=cluster_id, department_id=unit_id)
    return _Place(scope, unit_id, cluster_id, department_id, unit_id, name)


def _place_in(meta: api.AssetMeta, scope_id: str) -> _Place:
    """Where a stored asset is."""
    project_id = None if meta.project_id is None else str(meta.project_id)
    return _Place(meta.scope, scope_id, meta.cluster_id, meta.department_id, project_id, meta.project_name)


class _Birth(NamedTuple):
    """What a new asset is made of, besides what the client says in ``meta``."""

    asset_id: str
    family: str
    kind: str
    place: _Place
    spec: bytes
    who: str
    moment: int
    cluster_info: bytes = b""
    protected: bool = False


def _insert(db: sqlite3.Connection, meta: api.AssetCreationMeta, birth: _Birth) -> bytes:
    """Store a new asset and answer its text."""
    types = meta.workload_supported_types
    place = birth.place
    written = _timestamp(birth.moment)
    answered = api.AssetMeta(
        name=meta.name,
        description=meta.description,
        scope=place.scope,
        cluster_id=place.cluster_id,
        department_id=place.department_id,
        project_id=None if place.project_id is None else int(place.project_id),
        auto_delete=meta.auto_delete,
        workload_supported_types=msgspec.UNSET if types is None else Raw(_encode(types)),
        private=meta.private,
        id=birth.asset_id,
        kind=birth.kind,
        tenant_id=_TENANT_ID,
        created_by=birth.who,
        created_at=written,
        updated_by=birth.who,
        updated_at=written,
        project_name=place.project_name,
        update_count=1,
    )
    text = _text(_encode(answered), birth.spec, birth.cluster_info)
    supports = 0
    framework = None
    if types is not None:
        framework = types.dist_framework
        supports = sum(bit for name, bit in _SUPPORTS.items() if getattr(types, name))
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


def _text(meta: bytes, spec: bytes, cluster_info: bytes) -> bytes:
    if cluster_info:
        return b'{"meta":%b,"spec":%b,"clusterInfo":%b}' % (meta, spec, cluster_info)
    return b'{"meta":%b,"spec":%b}' % (meta, spec)


def _to_past(db: sqlite3.Connection, seq: int, moment: int) -> None:
    """Keep what is about to be replaced or deleted for as long as a list may lag."""
    db.execute("INSERT INTO runai_past SELECT *, ? FROM runai_asset WHERE seq = ?", (moment, seq))
    db.execute("DELETE FROM runai_past WHERE until < ?", (moment - int(LONGEST_LAG * 1_000_000),))


# What a request must be, beyond what its struct says.


def _check_environment(spec: api.EnvironmentSpec) -> None:
    for n, variable in enumerate(spec.environment_variables or ()):
        sources = (variable.value, variable.credential, variable.config_map, variable.pod_field_ref)
        at = f"spec.environmentVariables[{n}]"
        if sum(source is not None for source in sources) > 1:
            raise _Refused(
                400,
                "Invalid request",
                f"{at}: value, credential, configMap and podFieldRef exclude each other",
            )
        if variable.credential is not None and variable.credential.asset_id is None:
            raise _Refused(400, "Invalid request", f"{at}.credential.assetId: required")
    if spec.connections is msgspec.UNSET:
        return
    names: set[str] = set()
    for n, connection in enumerate(spec.connections):
        at = f"spec.connections[{n}]"
        if connection.name in names:
            raise _Refused(400, "Invalid request", f"{at}.name: used by another connection")
        names.add(connection.name)
        if (connection.internal_tool_info is None) == (connection.external_tool_info is None):
            raise _Refused(
                400,
                "Invalid request",
                f"{at}: exactly one of internalToolInfo and externalToolInfo is needed",
            )
        if (connection.external_tool_info is not None) != (connection.is_external is True):
            raise _Refused(400, "Invalid request", f"{at}.isExternal: does not fit the tool")


def _credentials_in(spec: api.EnvironmentSpec) -> list[str]:
    """The ids of the credentials that the variables take their values from, each once."""
    return list(
        dict.fromkeys(
            str(variable.credential.asset_id)
            for variable in spec.environment_variables or ()
            if variable.credential is not None
        )
    )


def _refer(db: sqlite3.Connection, environment_id: str, place: _Place, credential_ids: Sequence[str]) -> None:
    """Note which credentials an environment takes values from. Refuses those out of its reach."""
    for credential_id in credential_ids:
        found = db.execute(
            "SELECT scope, scope_id FROM runai_asset WHERE id = ? AND family = 'credential'", (credential_id,)
        ).fetchone()
        if found is None or tuple(found) not in place.nodes:
            raise _Refused(
                400,
                "Invalid request",
                f"spec.environmentVariables: no credential {credential_id} at or above this scope",
            )
        db.execute("INSERT INTO runai_reference VALUES (?, ?)", (credential_id, environment_id))


def _without_secrets(credential: api.CredentialKind, spec: Struct) -> dict[str, object]:
    """What is stored of a credential's spec: no value of a secret, only the names of its keys.

    Refuses a spec that names no existing secret and lacks a part of the credential.
    """
    sent = {
        name: getattr(spec, attribute)
        for name, attribute in zip(spec.__struct_encode_fields__, spec.__struct_fields__, strict=True)
    }
    if sent.get("existingSecretName") is None:
        missing = [name for name, value in sent.items() if name != "existingSecretName" and not value]
        if missing:
            raise _Refused(
                400,
                "Required parameter is missing",
                f"spec: {', '.join(missing)} or existingSecretName needed",
            )
    kept: dict[str, object] = {name: sent[name] for name in credential.keeps if sent[name] is not None}
    if isinstance(spec, api.GenericSecretSpec) and spec.key_value_pairs is not None:
        kept["keyValuePairs"] = [{"key": pair.key} for pair in spec.key_value_pairs]
    return {**kept, "keyId": 1}


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The request body, or the refusal that names what is wrong with it."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _Refused(400, "Invalid request", str(error)) from None
    except msgspec.DecodeError as error:
        raise _Refused(400, "The body is not JSON", str(error)) from None


class _Mentioned(Struct):
    """An update request as plain keys: what it mentions, null included."""

    meta: dict[str, Any]
    spec: dict[str, Any] | None = None


class _Parts(Struct):
    """A stored asset, cut without reading it."""

    meta: Raw
    spec: Raw
    clusterInfo: Raw  # noqa: N815  # spelled as on the wire


_ASSET: Final = msgspec.json.Decoder(api.Asset)
_PARTS: Final = msgspec.json.Decoder(_Parts)
_MENTIONED: Final = msgspec.json.Decoder(_Mentioned)
_ENVIRONMENT_CREATION: Final = msgspec.json.Decoder(api.EnvironmentCreationRequest)
_ENVIRONMENT_UPDATE: Final = msgspec.json.Decoder(api.EnvironmentUpdateRequest)
_COMPUTE_CREATION: Final = msgspec.json.Decoder(api.ComputeCreationRequest)
_COMPUTE_UPDATE: Final = msgspec.json.Decoder(api.ComputeUpdateRequest)
_CREDENTIAL_UPDATE: Final = msgspec.json.Decoder(api.CredentialUpdateRequest)
_CREDENTIAL_CREATION: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    "genericSecret": msgspec.json.Decoder(api.GenericSecretCreationRequest),
    "dockerRegistry": msgspec.json.Decoder(api.DockerRegistryCreationRequest),
    "accessKey": msgspec.json.Decoder(api.AccessKeyCreationRequest),
    "password": msgspec.json.Decoder(api.PasswordCreationRequest),
    "ngcApiKey": msgspec.json.Decoder(api.NgcApiKeyCreationRequest),
}

# Queries.


def _flag(query: Mapping[str, str], name: str) -> bool | None:
    value = query.get(name)
    if value is None:
        return None
    if value not in ("true", "false"):
        raise _Refused(400, "Invalid query", f"{name}: true or false")
    return value == "true"


def _one_of(query: Mapping[str, str], name: str, values: Sequence[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in values:
        raise _Refused(400, "Invalid query", f"{name}: one of {', '.join(values)}")
    return value


def _number(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,10}", value) or not least <= int(value) <= most:
        raise _Refused(400, "Invalid query", f"{name}: a whole number from {least} to {most}")
    return int(value)


def _asks_compliance(query: Mapping[str, str]) -> bool:
    project = _number(query, "complyToProject", -(2**31), 2**31 - 1) is not None
    workload = _one_of(query, "complyToWorkloadType", api.WORKLOAD_TYPES) is not None
    _one_of(query, "complyToReplicaType", api.REPLICA_TYPES)
    if project != workload:
        raise _Refused(400, "Invalid query", "complyToProject and complyToWorkloadType go together")
    return project


class _Filter(NamedTuple):
    """Which assets a list shows: an SQL condition and the values of its parameters."""

    condition: str
    values: tuple[object, ...]


_TYPE_QUERIES: Final = {
    "isWorkspace": _SUPPORTS["workspace"],
    "isTraining": _SUPPORTS["training"],
    "isInference": _SUPPORTS["inference"],
    "isDistributed": _SUPPORTS["distributed"],
}


def _filter(store: Store, family: str, query: Mapping[str, str]) -> _Filter:
    """What the query of a list asks for. Each family ignores the filters that its call does not declare."""
    conditions: list[str] = []
    values: list[object] = []

    def add(condition: str, *parameters: object) -> None:
        conditions.append(condition)
        values.extend(parameters)

    if "name" in query:
        add("instr(name, ?) > 0", query["name"])
    scope = _one_of(query, "scope", ("tenant", "cluster", "department", "project"))
    descendants = family != "credential" and _flag(query, "includeDescendants") is True
    if scope is not None:
        if descendants:
            raise _Refused(400, "Invalid query", "scope and includeDescendants exclude each other")
        add("scope = ?", scope)
    _add_reach(store, query, descendants, add)
    if family == "environment":
        for name, bit in _TYPE_QUERIES.items():
            wanted = _flag(query, name)
            if wanted is not None:
                add("(supports & ?) <> 0 = ?", bit, wanted)
        if "distributedFramework" in query:
            add("(supports & ?) <> 0", _SUPPORTS["distributed"])
            add("framework = ?", query["distributedFramework"])
    return _Filter(" AND ".join(conditions), tuple(values))


def _add_reach(store: Store, query: Mapping[str, str], descendants: bool, add: Callable[..., None]) -> None:
    """The three ids of a query: what is placed on the narrowest one, and what it inherits.

    A wider id that does not contain the narrowest leaves nothing.
    """
    project_id = _number(query, "projectId", -(2**31), 2**31 - 1)
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


# Organisation units and workloads are answered in pages, filtered by expressions such as name=@vis.

_EXPRESSION: Final = re.compile(r"([A-Za-z0-9]+)(==|!=|<=|>=|=@|!@|=\^|=\$)(.+)", re.DOTALL)
_ORDER_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
}
_TEXT_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    **_ORDER_OPERATORS,
    "=@": operator.contains,
    "!@": lambda value, wanted: wanted not in value,
    "=^": str.startswith,
    "=$": str.endswith,
}

_Field = Callable[[Mapping[str, Any]], Any]


def _key(name: str) -> _Field:
    return lambda entry: entry.get(name, "")


def _quota(entry: Mapping[str, Any]) -> float:
    return float(entry["totalResources"]["gpuQuota"])


def _nothing_measured(entry: Mapping[str, Any]) -> float:
    return 0.0


_MEASURED: Final = {
    "gpuAllocated": _nothing_measured,
    **{
        f"avg{what}{window}": _nothing_measured
        for what in ("GpuAllocation", "GpuUtilization", "GpuMemoryUtilization")
        for window in ("24h", "7d", "30d")
    },
}


class _Listing(NamedTuple):
    """A list that is answered in pages: the key of its entries, and what can be filtered and sorted by."""

    key: str
    fields: Mapping[str, _Field]


_DEPARTMENTS: Final = _Listing(
    "departments",
    {
        "name": _key("name"),
        "clusterId": _key("clusterId"),
        "totalGpuQuota": _quota,
        "createdAt": _key("createdAt"),
        **_MEASURED,
    },
)
_PROJECTS: Final = _Listing(
    "projects",
    {
        **_DEPARTMENTS.fields,
        "departmentId": _key("parentId"),
        "parentId": _key("parentId"),
        "phase": lambda entry: entry["status"]["phase"],
    },
)
_WORKLOADS: Final = _Listing(
    "workloads",
    {
        **{
            name: _key(name)
            for name in (
                "type",
                "name",
                "clusterId",
                "projectId",
                "projectName",
                "departmentId",
                "departmentName",
                "createdAt",
                "submittedBy",
                "phase",
                "phaseUpdatedAt",
                "category",
                "priorityClassName",
            )
        },
        "priority": lambda entry: float(entry["priority"]),
    },
)
_EXPRESSIONS: Final = "a comma-joined list of field, operator and value"


def _matches(entry: Mapping[str, Any], expression: str, fields: Mapping[str, _Field]) -> bool:
    parsed = _EXPRESSION.fullmatch(expression)
    if parsed is None or parsed[1] not in fields:
        raise _Refused(400, "Invalid query", f"filterBy: {_EXPRESSIONS}; fields are {', '.join(fields)}")
    name, sign, wanted = parsed.groups()
    value = fields[name](entry)
    if isinstance(value, str) and not name.endswith("At"):
        return _TEXT_OPERATORS[sign](value, wanted)
    if sign not in _ORDER_OPERATORS:
        raise _Refused(400, "Invalid query", f"filterBy: {name} has no {sign}")
    try:
        if isinstance(value, str):
            return _ORDER_OPERATORS[sign](_instant(value), _instant(wanted))
        return _ORDER_OPERATORS[sign](value, float(wanted))
    except ValueError:
        raise _Refused(400, "Invalid query", f"filterBy: {name} cannot be {wanted}") from None


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _selected(
    texts: Iterable[bytes], query: Mapping[str, str], listing: _Listing
) -> list[tuple[dict[str, Any], bytes]]:
    """The entries, each with its text, that ``filterBy`` and ``search`` leave, in the order of ``sortBy``."""
    expressions = [part for part in query.get("filterBy", "").split(",") if part]
    searched = query.get("search", "").casefold()
    entries = [
        (entry, text)
        for entry, text in ((msgspec.json.decode(text), text) for text in texts)
        if searched in entry["name"].casefold()
        and all(_matches(entry, expression, listing.fields) for expression in expressions)
    ]
    by = _one_of(query, "sortBy", tuple(listing.fields))
    descending = _one_of(query, "sortOrder", ("asc", "desc")) == "desc"
    if by is not None:
        entries.sort(key=lambda found: listing.fields[by](found[0]), reverse=descending)
    return entries


class _Resource(NamedTuple):
    """What one asset path serves. ``kind`` is None where a path lists every kind of its family."""

    family: str
    kind: str | None
    credential: api.CredentialKind | None = None


_ENVIRONMENT: Final = _Resource("environment", "environment")
_COMPUTE: Final = _Resource("compute", "compute")
_CREDENTIAL: Final = _Resource("credential", None)
_ACCEPTED: Final = Answer(202, _encode({"code": 202, "message": "Request has been accepted."}))
_NO_CONTENT: Final = Answer(204, b"")

_Checked = Callable[[Call, str], Answer]
"""A handler that is told who calls: the client id of the token."""

_Update = Callable[[Call, str, _Resource], Answer]
"""The handler of a PUT, the same for several resources."""


class _Platform:
    """The calls of the API."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        options: Options,
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._options = options
        store.install("runai", _FORMAT, _SCHEMA, lambda db: _give_birth(db, new_id() + new_id()))
        found = store.row("SELECT value FROM runai_setting WHERE name = 'signing_key'")
        assert found is not None
        self._signing_key = str(found[0]).encode()
        self._known = lru_cache(maxsize=1000)(self._verified)

    def routes(self) -> list[Route]:
        """Every path, those asked most first: the router tries them in order."""

        def route(path: str, **handlers: _Checked) -> Route:
            return Route(
                path, Endpoint({method: self._checked(handle) for method, handle in handlers.items()}, refuse)
            )

        def asset_routes(path: str, resource: _Resource, create: _Checked, update: _Update) -> list[Route]:
            return [
                route(path, GET=lambda call, who: self._list(call, resource), POST=create),
                route(
                    path + "/{id}",
                    GET=lambda call, who: self._read(call, resource),
                    PUT=lambda call, who: update(call, who, resource),
                    DELETE=lambda call, who: self._delete(call, resource),
                ),
            ]

        routes = [
            *asset_routes(api.ENVIRONMENTS, _ENVIRONMENT, self._create_environment, self._update_environment),
            *asset_routes(api.COMPUTE, _COMPUTE, self._create_compute, self._update_compute),
            route(api.CREDENTIALS, GET=lambda call, who: self._list(call, _CREDENTIAL)),
        ]
        for kind in api.CREDENTIAL_KINDS:
            resource = _Resource("credential", kind.kind, kind)
            create = self._credential_creator(kind)
            routes += asset_routes(kind.path, resource, create, self._update_credential)
        return [
            *routes,
            route(api.CLUSTERS, GET=self._list_clusters),
            route(api.CLUSTERS + "/{id}", GET=self._read_cluster),
            *self._unit_routes(route, api.PROJECTS, "project", _PROJECTS),
            *self._unit_routes(route, api.DEPARTMENTS, "department", _DEPARTMENTS),
            route(api.WORKLOADS, GET=self._list_workloads),
            route(api.WORKLOADS + "/count", GET=self._count_workloads),
            route(api.TEMPLATES, GET=self._list_templates),
            route(api.ACCESS_RULES, GET=self._list_access_rules),
            route(api.ACCESS_RULES + "/count", GET=lambda call, who: _count(1)),
            Route(api.TOKEN_V1, Endpoint({"POST": self._token_v1}, refuse)),
            Route(api.TOKEN_V2, Endpoint({"POST": self._token_v2}, refuse)),
        ]

    def _unit_routes(
        self, route: Callable[..., Route], path: str, kind: str, listing: _Listing
    ) -> list[Route]:
        def texts() -> list[bytes]:
            rows = self._store.rows("SELECT text FROM runai_unit WHERE kind = ? ORDER BY rowid", (kind,))
            return [text for (text,) in rows]

        def count(call: Call, who: str) -> Answer:
            return _count(len(_selected(texts(), call.query, listing)))

        return [
            route(path, GET=lambda call, who: self._page(call, texts(), listing)),
            route(path + "/count", GET=count),
            route(path + "/{id}", GET=lambda call, who: self._read_unit(call, kind)),
        ]

    # Tokens.

    def _checked(self, handle: _Checked) -> Handler:
        def checked(call: Call) -> Answer:
            try:
                return handle(call, self._caller(call.header(b"authorization")))
            except _Refused as refused:
                return refused.answer

        return checked

    def _caller(self, authorization: bytes) -> str:
        """The client id that the bearer token was issued to. Refuses what is not, or no longer, a token."""
        client_id, expires = self._known(authorization)
        if self._clock().timestamp() >= expires:
            raise _Refused(401, "Token is expired.", "ask for a new access token")
        return client_id

    def _verified(self, authorization: bytes) -> tuple[str, int]:
        """Client id and end of a token, in seconds since 1970. Refuses what is no token of ours."""
        scheme, _, token = authorization.partition(b" ")
        signed, _, signature = token.rpartition(b".")
        if scheme.lower() != b"bearer" or not signed:
            raise _Refused(401, "Unauthorized", "Authorization: Bearer <access token> is needed")
        if not hmac.compare_digest(signature, self._signature(signed)):
            raise _Refused(401, "Issuer is not familiar.", "the access token was not issued here")
        claims = msgspec.json.decode(_from_base64(signed.partition(b".")[2]))
        return claims["sub"], claims["exp"]

    def _signature(self, signed: bytes) -> bytes:
        return _base64(hmac.digest(self._signing_key, signed, "sha256"))

    def _access_token(self, client_id: str) -> str:
        """A signed JWT. Its middle part has neither ``-`` nor ``_``: runapy decodes it as plain base64."""
        issued = int(self._clock().timestamp())
        expires = issued + self._options.token_lifetime
        claims = json.dumps({"iss": "embedded", "sub": client_id, "iat": issued, "exp": expires})
        # In base64, of all printable ASCII characters only these can become one of the two.
        claims = re.sub("[>?~]", lambda found: f"\\u{ord(found[0]):04x}", claims)
        signed = b".".join((_base64(b'{"alg":"HS256","typ":"JWT"}'), _base64(claims.encode("ascii"))))
        return b".".join((signed, self._signature(signed))).decode()

    def _knows(self, client_id: str, client_secret: str) -> bool:
        found = self._store.row("SELECT secret_hash FROM runai_access_key WHERE client_id = ?", (client_id,))
        return found is not None and hmac.compare_digest(str(found[0]), _hash(client_secret))

    def _token_v1(self, call: Call) -> Answer:
        """Keys are read without regard to case: the sources spell them in three ways."""
        try:
            sent = msgspec.json.decode(call.body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            return refuse(400, "The body is not a JSON object", str(error))
        fields = {name.lower(): value for name, value in sent.items()}
        grant = fields.get("granttype")
        if not isinstance(grant, str) or grant not in _GRANTS_V1:
            return refuse(400, "Invalid request", f"grantType: one of {', '.join(_GRANTS_V1)}")
        client_id, client_secret = (fields.get(name) for name in _GRANTS_V1[grant])
        if not isinstance(client_id, str) or not isinstance(client_secret, str):
            return refuse(400, "Required parameter is missing", f"{grant} needs an id and a secret")
        if not self._knows(client_id, client_secret):
            return refuse(400, "Invalid credentials", "no access key with this id and secret")
        token = self._access_token(client_id)
        return Answer(200, _encode({"accessToken": token, "expiresIn": self._options.token_lifetime}))

    def _token_v2(self, call: Call) -> Answer:
        """The OAuth2 spelling, whose errors have OAuth2's shape."""
        fields = dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))
        grant = fields.get("grant_type")
        if grant is None:
            return _oauth2_error(400, "invalid_request", "grant_type is missing")
        if grant != "client_credentials":
            return _oauth2_error(400, "unsupported_grant_type", "only client_credentials is supported")
        if not self._knows(fields.get("client_id", ""), fields.get("client_secret", "")):
            return _oauth2_error(401, "invalid_client", "no access key with this id and secret")
        token = self._access_token(fields["client_id"])
        lifetime = self._options.token_lifetime
        return Answer(200, _encode({"access_token": token, "token_type": "Bearer", "expires_in": lifetime}))

    # Assets of every kind.

    def _list(self, call: Call, resource: _Resource) -> Answer:
        query = call.query
        extras = self._extras(resource, query, None)
        rows = self._listed(resource, _filter(self._store, resource.family, query), call.lag)
        if call.hide:
            del rows[-call.hide :]
        if resource is _CREDENTIAL:
            rows = [(asset_id, kind, _of_kind(kind, text)) for asset_id, kind, text in rows]
        if extras is _no_extras:
            texts = [text for _, _, text in rows]
        else:
            texts = [text[:-1] + extras(asset_id) + b"}" for asset_id, _, text in rows]
        return Answer(200, b'{"entries":[' + b",".join(texts) + b"]}")

    def _listed(self, resource: _Resource, wanted: _Filter, lag: float) -> list[tuple[Any, ...]]:
        """Id, kind and text of the assets that a list shows, in order of creation."""
        conditions = ["family = ?"]
        values: list[object] = [resource.family]
        # Nearly every row is wanted when nothing else is asked: reading the table in its own order
        # is then several times faster than going through an index and sorting.
        source = "runai_asset" if wanted.condition else "runai_asset NOT INDEXED"
        if lag:
            source = "(SELECT *, NULL AS until FROM runai_asset UNION ALL SELECT * FROM runai_past)"
            then = _microseconds(self._clock()) - int(lag * 1_000_000)
            conditions.append("since <= ? AND (until IS NULL OR until > ?)")
            values += [then, then]
        if resource.kind is not None:
            conditions.append("kind = ?")
            values.append(resource.kind)
        if wanted.condition:
            conditions.append(wanted.condition)
            values += wanted.values
        where = " AND ".join(conditions)
        return self._store.rows(
            f"SELECT id, kind, text FROM {source} WHERE {where} ORDER BY seq",  # noqa: S608  # no foreign text
            values,
        )

    def _read(self, call: Call, resource: _Resource) -> Answer:
        asset_id = call.params["id"]
        extras = self._extras(resource, call.query, asset_id)
        found = self._store.row(
            "SELECT text FROM runai_asset WHERE id = ? AND kind = ?", (asset_id, resource.kind)
        )
        if found is None:
            raise _not_found(resource, asset_id)
        text: bytes = found[0]
        return Answer(200, text if extras is _no_extras else text[:-1] + extras(asset_id) + b"}")

    def _create(
        self,
        resource: _Resource,
        meta: api.AssetCreationMeta,
        spec: bytes,
        who: str,
        *,
        credential_ids: Sequence[str] = (),
    ) -> Answer:
        kind = resource.kind
        assert kind is not None
        cluster_info = _cluster_info(kind, meta.name) if resource.credential else b""
        with self._store.write() as db:
            place = _place_of(db, meta)
            self._claim(db, kind, meta.name, place.scope, place.scope_id)
            asset_id = self._new_id()
            moment = _microseconds(self._clock())
            _refer(db, asset_id, place, credential_ids)
            birth = _Birth(asset_id, resource.family, kind, place, spec, who, moment, cluster_info)
            return Answer(202, _insert(db, meta, birth))

    def _claim(self, db: sqlite3.Connection, kind: str, name: str, scope: str, scope_id: str) -> None:
        """Refuse a name that another asset has, as far as ``Options.unique`` reaches."""
        taken = db.execute(
            "SELECT scope, scope_id FROM runai_asset WHERE kind = ? AND name = ?", (kind, name)
        ).fetchall()
        if taken and (self._options.unique == "tenant" or (scope, scope_id) in taken):
            raise _Refused(409, f"{kind} already exists", f"name={name}")

    def _found(self, db: sqlite3.Connection, resource: _Resource, asset_id: str) -> _Stored:
        """The asset that a write is about. Refuses an unknown id and a protected asset."""
        row = db.execute(
            "SELECT seq, scope, scope_id, protected, since, text FROM runai_asset WHERE id = ? AND kind = ?",
            (asset_id, resource.kind),
        ).fetchone()
        if row is None:
            raise _not_found(resource, asset_id)
        stored = _Stored(*row)
        if stored.protected:
            raise _Refused(403, "You do not have sufficient permissions.", "the vendor protects this asset")
        return stored

    def _replace(
        self,
        db: sqlite3.Connection,
        stored: _Stored,
        meta: api.AssetMeta,
        spec: bytes,
        cluster_info: bytes,
        who: str,
    ) -> Answer:
        """Write the asset's new text. ``updatedAt`` moves even when the clock does not."""
        moment = max(_microseconds(self._clock()), stored.since + 1)
        meta.updated_by = who
        meta.updated_at = _timestamp(moment)
        meta.update_count = (meta.update_count or 0) + 1
        text = _text(_encode(meta), spec, cluster_info)
        _to_past(db, stored.seq, moment)
        db.execute(
            "UPDATE runai_asset SET name = ?, since = ?, text = ? WHERE seq = ?",
            (meta.name, moment, text, stored.seq),
        )
        return Answer(202, text)

    def _delete(self, call: Call, resource: _Resource) -> Answer:
        asset_id = call.params["id"]
        with self._store.write() as db:
            stored = self._found(db, resource, asset_id)
            users = db.execute(
                "SELECT name FROM runai_reference JOIN runai_asset ON id = environment_id"
                " WHERE credential_id = ? ORDER BY seq",
                (asset_id,),
            ).fetchall()
            if users:
                names = ", ".join(name for (name,) in users)
                raise _Refused(412, "Precondition failed", f"used by environments: {names}")
            _to_past(db, stored.seq, max(_microseconds(self._clock()), stored.since + 1))
            db.execute("DELETE FROM runai_asset WHERE seq = ?", (stored.seq,))
            db.execute("DELETE FROM runai_reference WHERE environment_id = ?", (asset_id,))
        if resource.credential is not None and resource.credential.deleted == 204:
            return _NO_CONTENT
        return _ACCEPTED

    # What an asset says in addition, when asked to.

    def _extras(
        self, resource: _Resource, query: Mapping[str, str], asset_id: str | None
    ) -> Callable[[str], bytes]:
        """What comes behind the text of an asset: of the one with *asset_id*, or of any without."""
        usage = _flag(query, "usageInfo") is True
        status = resource.family != "compute" and _flag(query, "statusInfo") is True
        complies = resource.family != "credential" and _asks_compliance(query)
        if not (usage or status or complies):
            return _no_extras
        used_by = self._used_by(resource, asset_id) if usage else {}
        last_used = self._last_used(asset_id) if complies else {}

        def extras(asset_id: str) -> bytes:
            parts = []
            if usage:
                parts.append(b',"usedBy":' + used_by.get(asset_id, b"{}"))
            if complies:
                parts.append(b',"usageTimes":' + last_used.get(asset_id, b"{}"))
                parts.append(b',"compliance":{"imposed":false,"compliance":true,"reason":[]}')
            if status:
                parts.append(b',"status":{"status":"No issues found"}')
            return b"".join(parts)

        return extras

    def _used_by(self, resource: _Resource, asset_id: str | None) -> dict[str, bytes]:
        """``usedBy`` by the id of what is used: one id's, or all. Nothing uses compute assets here."""
        if resource.family == "compute":
            return {}
        if resource.family == "credential":
            users: dict[str, list[dict[str, str]]] = {}
            for credential_id, environment_id, name in self._rows_about(
                "SELECT credential_id, id, name FROM runai_reference JOIN runai_asset ON id = environment_id",
                "credential_id",
                asset_id,
            ):
                users.setdefault(credential_id, []).append({"id": environment_id, "name": name})
            return {used: _encode({"assets": {"environments": found}}) for used, found in users.items()}
        uses: dict[str, dict[str, list[Raw]]] = {}
        for select in (
            "SELECT environment_id, used_as, reference FROM runai_workload",
            "SELECT environment_id, 'templates', reference FROM runai_template",
        ):
            for environment_id, used_as, reference in self._rows_about(select, "environment_id", asset_id):
                uses.setdefault(environment_id, {}).setdefault(used_as, []).append(Raw(reference))
        return {used: _encode(found) for used, found in uses.items()}

    def _last_used(self, asset_id: str | None) -> dict[str, bytes]:
        """``usageTimes`` by the id of the environment: one id's, or all."""
        rows = self._rows_about("SELECT environment_id, at FROM runai_workload", "environment_id", asset_id)
        latest: dict[str, int] = {}
        for environment_id, at in rows:
            latest[environment_id] = max(at, latest.get(environment_id, at))
        return {used: _encode({"lastUsedByWorkload": _timestamp(at)}) for used, at in latest.items()}

    def _rows_about(self, select: str, column: str, asset_id: str | None) -> list[tuple[Any, ...]]:
        where = "" if asset_id is None else f"WHERE {column} = ?"
        return self._store.rows(f"{select} {where} ORDER BY seq", () if asset_id is None else (asset_id,))

    # Environments and compute assets.

    def _create_environment(self, call: Call, who: str) -> Answer:
        request = _decoded(_ENVIRONMENT_CREATION, call.body)
        _check_environment(request.spec)
        credential_ids = _credentials_in(request.spec)
        return self._create(
            _ENVIRONMENT, request.meta, _encode(request.spec), who, credential_ids=credential_ids
        )

    def _update_environment(self, call: Call, who: str, resource: _Resource) -> Answer:
        request = _decoded(_ENVIRONMENT_UPDATE, call.body)
        asset_id = call.params["id"]
        with self._store.write() as db:
            stored = self._found(db, resource, asset_id)
            asset = _ASSET.decode(stored.text)
            spec = self._new_spec(request.spec, asset.spec, call.body)
            _check_environment(spec)
            self._rename(db, stored, asset.meta, request.meta, call.body)
            db.execute("DELETE FROM runai_reference WHERE environment_id = ?", (asset_id,))
            _refer(db, asset_id, _place_in(asset.meta, stored.scope_id), _credentials_in(spec))
            return self._replace(db, stored, asset.meta, _encode(spec), b"", who)

    def _create_compute(self, call: Call, who: str) -> Answer:
        request = _decoded(_COMPUTE_CREATION, call.body)
        spec = _encode(request.spec or api.ComputeSpec())
        return self._create(_COMPUTE, request.meta, spec, who)

    def _update_compute(self, call: Call, who: str, resource: _Resource) -> Answer:
        request = _decoded(_COMPUTE_UPDATE, call.body)
        with self._store.write() as db:
            stored = self._found(db, resource, call.params["id"])
            asset = _ASSET.decode(stored.text)
            spec = self._new_spec(request.spec or api.ComputeSpec(), asset.spec, call.body)
            self._rename(db, stored, asset.meta, request.meta, call.body)
            return self._replace(db, stored, asset.meta, _encode(spec), b"", who)

    def _new_spec(self, sent: T, stored: Raw, body: bytes) -> T:
        """The spec after a PUT: what was sent, or the stored one with the sent fields put into it."""
        if self._options.put == "replace":
            return sent
        fields = _MENTIONED.decode(body).spec or {}
        return msgspec.convert({**msgspec.json.decode(stored), **fields}, type(sent))

    def _rename(
        self,
        db: sqlite3.Connection,
        stored: _Stored,
        meta: api.AssetMeta,
        sent: api.AssetUpdateMeta,
        body: bytes,
    ) -> None:
        """Put the new name and description into *meta*. Refuses a name that is taken."""
        if sent.name != meta.name:
            self._claim(db, meta.kind, sent.name, stored.scope, stored.scope_id)
        meta.name = sent.name
        self._describe(meta, sent.description, body)

    def _describe(self, meta: api.AssetMeta, description: str | None, body: bytes) -> None:
        if self._options.put == "replace" or "description" in _MENTIONED.decode(body).meta:
            meta.description = description

    # Credentials.

    def _credential_creator(self, credential: api.CredentialKind) -> _Checked:
        resource = _Resource("credential", credential.kind, credential)
        decoder = _CREDENTIAL_CREATION[credential.kind]

        def create(call: Call, who: str) -> Answer:
            request = _decoded(decoder, call.body)
            spec = _encode(_without_secrets(credential, request.spec))
            return self._create(resource, request.meta, spec, who)

        return create

    def _update_credential(self, call: Call, who: str, resource: _Resource) -> Answer:
        request = _decoded(_CREDENTIAL_UPDATE, call.body)
        with self._store.write() as db:
            stored = self._found(db, resource, call.params["id"])
            asset = _ASSET.decode(stored.text)
            if request.meta is not msgspec.UNSET:
                self._describe(asset.meta, request.meta.description, call.body)
            cluster_info = _cluster_info(asset.meta.kind, asset.meta.name)
            return self._replace(db, stored, asset.meta, bytes(asset.spec), cluster_info, who)

    # The organisation, workloads, templates, the caller's own rights.

    def _list_clusters(self, call: Call, who: str) -> Answer:
        """A bare array, not paged."""
        metadata = _one_of(call.query, "verbosity", ("metadata", "full")) == "metadata"
        rows = self._store.rows("SELECT text FROM runai_unit WHERE kind = 'cluster' ORDER BY rowid")
        texts = [_cluster_metadata(text) if metadata else text for (text,) in rows]
        if call.hide:
            del texts[-call.hide :]
        return Answer(200, b"[" + b",".join(texts) + b"]")

    def _read_cluster(self, call: Call, who: str) -> Answer:
        metadata = _one_of(call.query, "verbosity", ("metadata", "full")) == "metadata"
        answer = self._read_unit(call, "cluster")
        return Answer(200, _cluster_metadata(answer.body)) if metadata else answer

    def _read_unit(self, call: Call, kind: str) -> Answer:
        unit_id = call.params["id"]
        found = self._store.row("SELECT text FROM runai_unit WHERE kind = ? AND id = ?", (kind, unit_id))
        if found is None:
            raise _Refused(404, "Resource id not found.", f"{kind} {unit_id}")
        return Answer(200, found[0])

    def _page(self, call: Call, texts: Iterable[bytes], listing: _Listing) -> Answer:
        query = call.query
        offset = _number(query, "offset", 0, 2**31 - 1) or 0
        limit = _number(query, "limit", 1, 500) or self._options.page_size
        found = _selected(texts, query, listing)
        page = [text for _, text in found[offset : offset + limit]]
        if call.hide:
            del page[-call.hide :]
        more = b',"next":%d' % (offset + limit) if offset + limit < len(found) else b""
        return Answer(200, b'{"%b":[%b]%b}' % (listing.key.encode(), b",".join(page), more))

    def _workload_texts(self, query: Mapping[str, str]) -> list[bytes]:
        if _flag(query, "deleted"):  # ours never are
            return []
        return [text for (text,) in self._store.rows("SELECT text FROM runai_workload ORDER BY seq")]

    def _list_workloads(self, call: Call, who: str) -> Answer:
        return self._page(call, self._workload_texts(call.query), _WORKLOADS)

    def _count_workloads(self, call: Call, who: str) -> Answer:
        return _count(len(_selected(self._workload_texts(call.query), call.query, _WORKLOADS)))

    def _list_templates(self, call: Call, who: str) -> Answer:
        """The older kind of template: the one that says which environment it holds."""
        rows = self._store.rows("SELECT text FROM runai_template ORDER BY seq")
        return Answer(200, b'{"entries":[' + b",".join(text for (text,) in rows) + b"]}")

    def _list_access_rules(self, call: Call, who: str) -> Answer:
        """One rule, for any caller: everything, everywhere."""
        rule = {
            "id": 1,
            "subjectId": who,
            "subjectType": "service-account",
            "roleId": 1,
            "roleName": "System administrator",
            "scopeId": str(_TENANT_ID),
            "scopeType": "tenant",
            "scopeName": "embedded",
            "tenantId": _TENANT_ID,
        }
        offset = _number(call.query, "offset", 0, 2**31 - 1) or 0
        _number(call.query, "limit", 1, 500)
        rules = [rule][offset:]
        body = {"accessRules": {"totalRecords": 1, "displayRecords": len(rules), "accessRules": rules}}
        return Answer(200, _encode(body))


class _Stored(NamedTuple):
    """What a write needs to know of the asset it is about."""

    seq: int
    scope: str
    scope_id: str
    protected: int
    since: int
    text: bytes


_GRANTS_V1: Final = {
    "client_credentials": ("clientid", "clientsecret"),
    "app_token": ("appid", "appsecret"),
}
"""The two fields, in lower case, that each supported grant type is made of."""


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _from_base64(data: bytes) -> bytes:
    return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))


def _oauth2_error(status: int, error: str, description: str) -> Answer:
    return Answer(status, _encode({"error": error, "error_description": description}))


def _not_found(resource: _Resource, asset_id: str) -> _Refused:
    return _Refused(404, "Resource id not found.", f"{resource.kind} {asset_id}")


def _count(count: int) -> Answer:
    return Answer(200, _encode({"count": count}))


def _no_extras(asset_id: str) -> bytes:
    return b""


def _of_kind(kind: str, text: bytes) -> bytes:
    """A credential as the list of all kinds shows it: its spec under the name of its kind."""
    parts = _PARTS.decode(text)
    spec = b'{"%b":%b}' % (kind.encode(), bytes(parts.spec))
    return _text(bytes(parts.meta), spec, bytes(parts.clusterInfo))


def _cluster_info(kind: str, name: str) -> bytes:
    """The Kubernetes secret that a credential becomes."""
    return _encode({"resources": [{"name": f"{kind.lower()}-{name}"}]})


def _cluster_metadata(text: bytes) -> bytes:
    entry = msgspec.json.decode(text)
    return _encode({name: entry[name] for name in ("uuid", "tenantId", "name", "createdAt")})


# Workloads. The API has no call that submits one from an environment; tests and demonstrations need some.

_WORKLOAD_KINDS: Final = {
    "workspace": ("workspaces", "Build"),
    "training": ("trainings", "Train"),
    "distributed": ("distributed", "Train"),
    "inference": ("inferences", "Deploy"),
}
"""For each kind, the key in ``usedBy`` and the category."""


def _add_workload(
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
    at = _timestamp(moment)
    text = _encode(
        {
            "tenantId": _TENANT_ID,
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
    reference = _encode({"id": workload_id, "name": name, "status": status})
    db.execute(
        "INSERT INTO runai_workload (environment_id, used_as, reference, at, text) VALUES (?, ?, ?, ?, ?)",
        (environment_id, used_as, reference, moment, text),
    )
    return workload_id


# What a new platform starts with. Names and images of the environments are those of the vendor's
# documentation; their tools, ports and workload types, the organisation and the workloads are ours.

_VENDOR: Final = "Run:ai"
_BORN: Final = _microseconds(datetime(2025, 1, 1, tzinfo=UTC))
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


def _give_birth(db: sqlite3.Connection, signing_key: str) -> None:
    db.execute("INSERT INTO runai_setting VALUES ('signing_key', ?)", (signing_key,))
    db.execute("INSERT INTO runai_access_key VALUES (?, ?)", ("embedded", _hash("embedded")))
    born = _timestamp(_BORN)
    for kind, unit_id, name, cluster_id, department_id, text in _first_units(born):
        db.execute(
            "INSERT INTO runai_unit VALUES (?, ?, ?, ?, ?, ?)",
            (kind, unit_id, name, cluster_id, department_id, _encode(text)),
        )
    for environment in _FIRST_ENVIRONMENTS:
        types = dict.fromkeys(_SUPPORTS, False) | {environment.supports: True}
        meta = {"name": environment.name, "scope": "tenant", "workloadSupportedTypes": types}
        spec = {
            "image": environment.image,
            "environmentVariables": [],
            "connections": [environment.connection],
            "capabilities": [],
        }
        birth = _Birth(
            asset_id=environment.id,
            family="environment",
            kind="environment",
            place=_Place("tenant", ""),
            spec=_encode(msgspec.convert(spec, api.EnvironmentSpec)),
            who=_VENDOR,
            moment=_BORN,
            protected=environment.protected,
        )
        _insert(db, msgspec.convert(meta, api.AssetCreationMeta), birth)
    for workload_id, environment, name, kind, phase, project_id in _FIRST_WORKLOADS:
        _add_workload(
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
            "tenantId": _TENANT_ID,
            **signed,
        },
        "spec": {"assets": {"environment": asset}},
    }
    db.execute(
        "INSERT INTO runai_template (environment_id, reference, text) VALUES (?, ?, ?)",
        (_JUPYTER_LAB.id, _encode(_TEMPLATE), _encode(template)),
    )


_Unit = tuple[str, str, str, str | None, str | None, dict[str, object]]
"""A row of runai_unit, its text not yet encoded."""


def _first_units(born: str) -> Iterator[_Unit]:
    for cluster_id, name in _FIRST_CLUSTERS:
        cluster: dict[str, object] = {
            "uuid": cluster_id,
            "tenantId": _TENANT_ID,
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
