"""Run:ai as a `Provider`: which calls, in which order, and what their answers mean.

Wire facts are those of the Run:ai API 1.224. Worth knowing:

- A list of assets is one answer without pages; projects and departments come
  in pages of at most 500, clusters as a bare array.
- There is no ETag and no idempotency key. ``updatedAt`` and ``updateCount``
  are the only version markers; the engine reads before it writes.
- 202 means accepted: the engine reads back until the write shows.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec

from reconciler.core.attributes import LOOKUP, REF, Attributes, marked
from reconciler.core.model import Remote, Resource, ResourceAddress, Verb
from reconciler.core.ports import PlatformContext, Problem, Resolution, ResourceKind
from reconciler.errors import Forbidden, ListingIncomplete, NotFound, OutcomeUnknown, Rejected
from reconciler.providers.http import HttpClient, embedded_transport, trust
from reconciler.providers.runai import api, conversion
from reconciler.providers.runai.auth import HINTS, SignIn
from reconciler.providers.runai.kinds import KINDS
from reconciler.providers.runai.settings import Settings
from reconciler.providers.runai.units import Cluster, Unit, Units

__all__ = ["RunaiProvider"]

_PAGE: Final = 500
_PASSES: Final = 4
"""How often pages are read for two passes to agree."""


class _Meta(msgspec.Struct, rename="camel"):
    """``meta``, as far as an unchanged asset needs it."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    name: str
    kind: str
    scope: str
    cluster_id: str | None = None
    department_id: str | None = None
    project_id: int | str | None = None
    updated_at: str | None = None
    update_count: int | None = None
    deleted_at: str | None = None

    @property
    def scope_id(self) -> str:
        """The id of the asset's own scope; empty for the tenant's."""
        match self.scope:
            case "project":
                found = self.project_id
            case "department":
                found = self.department_id
            case "cluster":
                found = self.cluster_id
            case _:
                found = None
        return "" if found is None else str(found)


class _Entry(msgspec.Struct):
    """An asset of an answer; whatever else it holds is read when somebody looks at it."""

    meta: _Meta


class _Whole(msgspec.Struct, rename="camel"):
    """An asset of an answer, all of it."""

    meta: dict[str, Any]
    spec: dict[str, Any] = {}
    used_by: dict[str, Any] | None = None


class _Parts(msgspec.Struct):
    """An asset of an answer, its two halves unread."""

    meta: msgspec.Raw
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class _Key(msgspec.Struct):
    key: str


class _Shown(msgspec.Struct, rename="camel"):
    """``spec`` of a credential, without what is or may be a secret."""

    existing_secret_name: str | None = None
    url: str | None = None
    user: str | None = None
    access_key_id: str | None = None
    key_value_pairs: list[_Key] | None = None


class _Entries(msgspec.Struct):
    entries: list[msgspec.Raw]


_entries = msgspec.json.Decoder(_Entries)
_entry = msgspec.json.Decoder(_Entry)
_parts = msgspec.json.Decoder(_Parts)
_shown = msgspec.json.Decoder(_Shown)
_by_key = msgspec.json.Decoder(dict[str, msgspec.Raw])
_wholes = msgspec.json.Decoder(_Whole)
_tables = msgspec.json.Decoder(dict[str, Any])
_clusters = msgspec.json.Decoder(list[Cluster])
_NO_DETAILS: Final[Mapping[str, Any]] = MappingProxyType({})

_READERS: Final[Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]]] = {
    "environment": conversion.environment_from_wire,
    "compute": conversion.compute_from_wire,
    "credential": conversion.credential_from_wire,
}
_STRANGE: Final = (*api.UNREADABLE, KeyError, TypeError, AttributeError, ValueError)
_PATHS: Final = {"environment": api.ENVIRONMENTS, "compute": api.COMPUTE, "credential": api.CREDENTIALS}
_SEGMENTS: Final = {kind.kind: kind.segment for kind in api.CREDENTIAL_KINDS}


class RunaiProvider:
    """One Run:ai tenant. See `Provider` for the contract of each method."""

    kinds: Mapping[str, ResourceKind] = KINDS

    def __init__(self, name: str, client: HttpClient, *, patience: float) -> None:
        self.name = name
        self.patience = patience
        self._client = client
        self._segments: dict[str, str] = {}
        self._units: Units | None = None
        self._names: Mapping[tuple[str, str], str] | None = None
        self._asking_org = asyncio.Lock()

    @classmethod
    def open(cls, settings: Settings, context: PlatformContext, app: Any) -> RunaiProvider:
        """The tenant behind *settings*; with *app*, the embedded one."""
        embedded = settings.is_embedded
        client = HttpClient(
            "http://embedded" if embedded else settings.endpoint,
            embedded_transport(app) if embedded else None,
            platform=context.platform,
            sign_in=SignIn(settings, context.secrets, context.clock),
            explain=explain,
            is_own=is_own,
            hints=HINTS,
            secrets=context.secrets,
            user_agent=context.user_agent,
            concurrency=settings.max_concurrency or (context.parallelism if embedded else 4),
            rate=settings.requests_per_second,
            timeout=settings.timeout_seconds,
            verify=True if embedded else trust(settings.ca_file),
            clock=context.clock,
            random=context.random,
            traffic=context.traffic,
        )
        default = 2.0 if embedded else 30.0
        patience = settings.patience_seconds if settings.patience_seconds is not None else default
        return cls(context.platform, client, patience=patience)

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._client.close()

    # --- reading ---

    async def list(self, kind: str, *, usage: bool = False) -> AsyncIterator[Remote]:
        """See `Reader.list`."""
        path = _PATHS[kind]
        entries = await self._entries(path, {"usageInfo": "true"} if usage else None)
        names = await self._unit_names() if usage else None
        seen: set[str] = set()
        for raw in entries:
            remote = self._remote(kind, raw, usage=usage, names=names)
            if remote is None:
                continue
            if remote.id in seen:
                raise self._not_whole(path, f"lists the id {remote.id} twice")
            seen.add(remote.id)
            yield remote

    async def read(self, kind: str, remote_id: str, *, usage: bool = False) -> Remote | None:
        """See `Reader.read`."""
        names = await self._unit_names() if usage else None
        params = {"usageInfo": "true"} if usage else None
        for path in self._paths_of(kind, remote_id):
            try:
                body = await self._client.get(path, params)
            except NotFound:
                continue
            return self._remote(kind, msgspec.Raw(body), usage=usage, names=names)
        return None

    async def find(self, kind: str, attributes: Attributes) -> Remote | None:
        """See `Reader.find`. The name filter may match more than the name, so it is compared here."""
        wanted = KINDS[kind].identity_of(attributes)
        params = {"name": str(attributes["name"]), "scope": str(attributes["scope"])}
        for raw in await self._entries(_PATHS[kind], params):
            remote = self._remote(kind, raw)
            if remote is not None and remote.identity == wanted:
                return remote
        return None

    async def _entries(self, path: str, params: Mapping[str, str] | None) -> Sequence[msgspec.Raw]:
        body = await self._client.get(path, params)
        try:
            return _entries.decode(body).entries
        except api.UNREADABLE as error:
            raise self._not_whole(path, "did not answer with a whole list") from error

    def _not_whole(self, path: str, what: str) -> ListingIncomplete:
        call = f"GET {path}"
        return ListingIncomplete(
            f"{self.name}: {call} {what}",
            platform=self.name,
            call=call,
            hint="Nothing was decided. Try again; if it stays so, the API is not the one we know.",
        )

    def _paths_of(self, kind: str, remote_id: str) -> Sequence[str]:
        if kind != "credential":
            return [f"{_PATHS[kind]}/{quote(remote_id, safe='')}"]
        # An id does not say of which kind the credential is; most of the time we have seen it before.
        known = self._segments.get(remote_id)
        segments = [known] if known is not None else [kind.segment for kind in api.CREDENTIAL_KINDS]
        return [f"{api.CREDENTIALS}/{segment}/{quote(remote_id, safe='')}" for segment in segments]

    def _remote(
        self,
        kind: str,
        raw: msgspec.Raw,
        *,
        usage: bool = False,
        names: Mapping[tuple[str, str], str] | None = None,
    ) -> Remote | None:
        """The object in one entry; None for one that is deleted."""
        try:
            return self._read_entry(kind, bytes(raw), usage, names)
        except _STRANGE as error:
            raise self._strange(kind) from error

    def _strange(self, kind: str, remote_id: str = "") -> ListingIncomplete:
        which = f" (id {remote_id})" if remote_id else ""
        return ListingIncomplete(
            f"{self.name} showed an object of kind {kind}{which} that cannot be understood",
            platform=self.name,
            hint="Nothing was decided. The API may be newer than this program.",
        )

    def _attributes(self, kind: str, remote_id: str, data: bytes) -> dict[str, Any]:
        try:
            whole = _wholes.decode(data)
            return _READERS[kind](whole.meta, whole.spec)
        except _STRANGE as error:
            raise self._strange(kind, remote_id) from error

    def _unkept(self, kind: str, remote_id: str, data: bytes) -> tuple[str, ...]:
        """What an update would lose: PUT replaces the whole, with what this API knows and no more."""
        try:
            return tuple(conversion.unkept(kind, _wholes.decode(data).spec))
        except _STRANGE as error:
            raise self._strange(kind, remote_id) from error

    def _read_entry(
        self, kind: str, data: bytes, usage: bool, names: Mapping[tuple[str, str], str] | None
    ) -> Remote | None:
        meta = _entry.decode(data).meta
        if meta.deleted_at:
            return None
        scope_id = meta.scope_id
        identity: tuple[str, ...] = (meta.scope, scope_id, meta.name)
        substance = data
        if kind == "credential":
            substance = _credential_substance(meta.kind, data)
            segment = _SEGMENTS.get(meta.kind, meta.kind)
            self._segments[meta.id] = segment
            identity = (segment, *identity)
        preinstalled = kind == "environment" and meta.name in conversion.PREINSTALLED
        used_by, details = None, _NO_DETAILS
        if usage:
            whole = _wholes.decode(data)
            used_by = conversion.used_by(whole.used_by)
            details = _details(whole.meta, (meta.scope, scope_id), names or {})
        return Remote(
            kind=kind,
            id=meta.id,
            identity=identity,
            attributes=Attributes.lazily(lambda: self._attributes(kind, meta.id, data)),
            version=f"{meta.updated_at or ''} {meta.update_count or ''}".strip(),
            wire_digest=""
            if usage or not substance
            else hashlib.blake2b(substance, digest_size=16).hexdigest(),
            foreign=meta.scope == "system" or (preinstalled and meta.scope == "tenant"),
            details=details,
            used_by=used_by,
            unkept=lambda: self._unkept(kind, meta.id, data),
        )

    # --- writing ---

    async def create(self, address: ResourceAddress, attributes: Attributes, *, key: str) -> str:
        """See `Provider.create`. Run:ai has no place for *key*."""
        meta = conversion.creation_meta(attributes)
        match address.kind:
            case "environment":
                path = api.ENVIRONMENTS
                meta["workloadSupportedTypes"] = conversion.workload_types(attributes)
                spec = conversion.environment_spec(attributes)
            case "compute":
                path, spec = api.COMPUTE, conversion.compute_spec(attributes)
            case _:
                path = f"{api.CREDENTIALS}/{attributes['type']}"
                spec = conversion.credential_spec(attributes)
        if address.kind != "credential":
            spec = {name: value for name, value in spec.items() if value is not None}
        answer = await self._client.request(
            "POST", path, body=msgspec.json.encode({"meta": meta, "spec": spec})
        )
        try:
            remote_id = _entry.decode(answer.body).meta.id
        except api.UNREADABLE as error:
            # Accepted, so it is there, or will be: whoever asked has to look for it.
            raise OutcomeUnknown(
                f"{self.name}: POST {path} was accepted, and its answer holds no object",
                platform=self.name,
                call=f"POST {path}",
                status=answer.status,
            ) from error
        if address.kind == "credential":
            self._segments[remote_id] = str(attributes["type"])
        return remote_id

    async def update(
        self, address: ResourceAddress, remote_id: str, attributes: Attributes, *, previous: Remote
    ) -> None:
        """See `Provider.update`. The whole object is sent: PUT may replace."""
        values = conversion.merged(previous.attributes.values_, attributes.values_)
        meta: dict[str, Any] = {"name": values["name"], "description": values.get("description")}
        body: dict[str, Any] = {"meta": meta}
        match address.kind:
            case "environment":
                body["spec"] = conversion.environment_spec(values)
            case "compute":
                body["spec"] = conversion.compute_spec(values)
            case _:
                body["meta"] = {"description": values.get("description")}
                self._segments[remote_id] = str(previous.attributes["type"])
        path = self._paths_of(address.kind, remote_id)[0]
        await self._client.request("PUT", path, body=msgspec.json.encode(body))

    async def delete(
        self, address: ResourceAddress, remote_id: str, *, parting: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """See `Provider.delete`. Nothing else goes with an object."""
        for path in self._paths_of(address.kind, remote_id):
            try:
                await self._client.request("DELETE", path)
            except NotFound:
                continue
            return

    async def place(self, attributes: Attributes) -> str:
        """See `Reader.place`."""
        scope = str(attributes["scope"]), str(attributes.get("scope_id") or "")
        return _in_words(scope, await self._unit_names() if scope[1] else {})

    def call(self, verb: Verb, kind: str, remote_id: str, attributes: Attributes | None = None) -> str:
        """See `Reader.call`. A credential has its type in its path: ``TYPE`` where that is not known."""
        method = {Verb.CREATE: "POST", Verb.UPDATE: "PUT", Verb.DELETE: "DELETE"}.get(verb, "GET")
        path = _PATHS[kind]
        if kind == "credential":
            said = "TYPE" if attributes is None else attributes.get("type", "TYPE")
            path = f"{path}/{self._segments.get(remote_id, said)}"
        return f"{method} {path}" if verb is Verb.CREATE else f"{method} {path}/{quote(remote_id, safe='')}"

    # --- names to ids ---

    async def resolve(self, resources: Sequence[Resource]) -> Resolution:
        """See `Reader.resolve`: scope names become ids, and a credential has to reach its users."""
        resolved: list[Resource] = []
        problems: list[Problem] = []
        for resource in resources:
            # Most have none, and need not be decoded to know; a text may be the same by chance.
            maybe = b'"' + LOOKUP.encode() + b'"' in resource.attributes.raw
            scope_id = resource.attributes.get("scope_id") if maybe else None
            if not isinstance(scope_id, Mapping):
                resolved.append(resource)
                continue
            found = (await self._org()).find(scope_id[LOOKUP])
            if isinstance(found, Problem):
                problems.append(replace(found, address=resource.address))
            else:
                values = {**resource.attributes.values_, "scope_id": found}
                resolved.append(replace(resource, attributes=Attributes(values)))
        problems += await self._unreached(resolved)
        return Resolution(tuple(resolved), tuple(problems), tuple(_same_names(resolved)))

    async def _unreached(self, resources: Iterable[Resource]) -> Sequence[Problem]:
        """Environments that refer to a credential whose scope does not cover theirs."""
        problems = []
        known = {resource.address: resource for resource in resources}
        for resource in known.values():
            if resource.address.kind != "environment" or not resource.depends_on:
                continue
            for path, text in marked(resource.attributes.values_, REF):
                credential = known.get(ResourceAddress.parse(text))
                if credential is None or credential.attributes["scope"] == "tenant":
                    continue
                ours, theirs = _scope_of(resource), _scope_of(credential)
                if ours != theirs and not (org := await self._org()).covers(theirs, ours):
                    problems.append(
                        Problem(
                            path,
                            f"{text} is placed on {org.shown(*theirs)}, which this environment "
                            f"({org.shown(*ours)}) is not part of",
                            "Place the credential on the same scope, or on one above it.",
                            resource.address,
                        )
                    )
        return problems

    async def _org(self) -> Units:
        """Clusters, departments and projects; read once for a command, whoever asks at the same time."""
        async with self._asking_org:
            if self._units is None:
                body = await self._client.get(api.CLUSTERS, {"verbosity": "metadata"})
                try:
                    clusters = _clusters.decode(body)
                except api.UNREADABLE as error:
                    raise self._not_whole(api.CLUSTERS, "did not answer with a whole list") from error
                departments = await self._pages(api.DEPARTMENTS, "departments")
                projects = await self._pages(api.PROJECTS, "projects")
                self._units = Units(clusters, departments, projects)
            return self._units

    async def _pages(self, path: str, key: str) -> Sequence[Unit]:
        """All that there is: what is made or removed while pages are read moves others between them."""
        before: Set[str] = frozenset()
        for _ in range(_PASSES):
            found, pages = await self._pass(path, key)
            if pages == 1 or len(found) == await self._count(path) or found.keys() == before:
                return list(found.values())
            before = found.keys()
        raise self._not_whole(path, "changes while it is read, each time")

    async def _count(self, path: str) -> int | None:
        """How many there are; None where that cannot be asked."""
        try:
            return msgspec.convert(_tables.decode(await self._client.get(f"{path}/count"))["count"], int)
        except (NotFound, Forbidden, Rejected, *api.UNREADABLE, KeyError):
            return None

    async def _pass(self, path: str, key: str) -> tuple[Mapping[str, Unit], int]:
        """What the pages hold, and how many they are."""
        # By id: what is made while we read moves the last of a page to the next one.
        found: dict[str, Unit] = {}
        offset = pages = 0
        while True:
            pages += 1
            body = await self._client.get(path, {"limit": str(_PAGE), "offset": str(offset)})
            try:
                page = _tables.decode(body)
                found |= {str(unit.id): unit for unit in msgspec.convert(page[key], list[Unit])}
                following = msgspec.convert(page.get("next"), int | None)
            except (*api.UNREADABLE, KeyError) as error:
                raise self._not_whole(path, "did not answer with a whole list") from error
            if not following:
                return found, pages
            if following <= offset:
                raise self._not_whole(path, "has pages that go round in a circle")
            offset = following

    async def _unit_names(self) -> Mapping[tuple[str, str], str]:
        """Names to show instead of ids; none for a role that may not see the organisation."""
        if self._names is None:
            try:
                self._names = (await self._org()).names
            except Forbidden:
                self._names = {}
        return self._names


def _scope_of(resource: Resource) -> tuple[str, str]:
    return str(resource.attributes["scope"]), str(resource.attributes.get("scope_id") or "")


def _same_names(resources: Iterable[Resource]) -> list[str]:
    """A warning for each name that is used in two scopes: whether Run:ai allows it is not documented.

    Addresses are unique by name, so only those that name their object
    otherwise can meet another; of the rest nothing has to be decoded.
    """
    first: dict[tuple[str, str], ResourceAddress] = {}
    renamed: list[tuple[ResourceAddress, str]] = []
    for one in resources:
        address = one.address
        if one.attributes.raw.startswith(b'{"name":' + msgspec.json.encode(address.name)):
            first[address.kind, address.name] = address
        else:
            renamed.append((address, one.attributes["name"]))
    warnings = []
    for address, name in renamed:
        other = first.setdefault((address.kind, name), address)
        if other != address:
            warnings.append(
                f"{address} and {other} have the name {name!r} in different scopes; "
                "some Run:ai versions want names to be unique"
            )
    return warnings


def _credential_substance(kind: str, data: bytes) -> bytes:
    """The bytes of a credential that the list of all kinds and a read have in common.

    The list has ``spec`` proper below the name of the kind. Secrets are left
    out, also where a platform shows them: a digest that is kept would be good
    for guessing them. Empty for a ``spec`` of a shape that we do not know.
    """
    parts = _parts.decode(data)
    inner = _by_key.decode(parts.spec).get(kind, parts.spec)
    # A password credential has a key of that name in its own spec, too.
    spec = inner if bytes(inner).startswith(b"{") else parts.spec
    try:
        return bytes(parts.meta) + msgspec.json.encode(_shown.decode(spec))
    except api.UNREADABLE:
        return b""


def _details(
    meta: Mapping[str, Any], scope: tuple[str, str], names: Mapping[tuple[str, str], str]
) -> dict[str, Any]:
    """Who made it and when, and where it is, for people."""
    cluster = str(meta.get("clusterId") or "")
    return {
        "scope": _in_words(scope, names),
        "cluster": names.get(("cluster", cluster), cluster),
        "created_by": meta.get("createdBy") or "",
        "created_at": meta.get("createdAt") or "",
        "updated_by": meta.get("updatedBy") or "",
        "updated_at": meta.get("updatedAt") or "",
    }


def _in_words(scope: tuple[str, str], names: Mapping[tuple[str, str], str]) -> str:
    return f"{scope[0]} {names.get(scope, scope[1])}".strip()


def explain(body: bytes) -> str:
    """What an error envelope says: ``{"code", "message", "details"}``, or OAuth2's two fields."""
    parts = [_envelope(body).get(key) for key in ("message", "details", "error", "error_description")]
    return ": ".join(part for part in parts if part and isinstance(part, str))


def is_own(body: bytes) -> bool:
    """Whether this is Run:ai's error envelope, which repeats the HTTP status as ``code``."""
    return "code" in _envelope(body)


def _envelope(body: bytes) -> Mapping[str, Any]:
    try:
        return _tables.decode(body)
    except api.UNREADABLE:
        return {}
