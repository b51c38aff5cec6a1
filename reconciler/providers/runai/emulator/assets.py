"""The calls about assets: environments, compute assets and credentials."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct

from reconciler.providers.emulator import Answer, Call, Store
from reconciler.providers.runai import api
from reconciler.providers.runai.emulator.answers import (
    Refused,
    T,
    decoded,
    encode,
    flag,
    microseconds,
    timestamp,
)
from reconciler.providers.runai.emulator.checks import (
    check_environment,
    credentials_in,
    refer,
    secrets_in,
    without_secrets,
)
from reconciler.providers.runai.emulator.filters import Filter, asks_compliance, asset_filter
from reconciler.providers.runai.emulator.secrets import drop_secrets, keep_secrets
from reconciler.providers.runai.emulator.store import (
    Birth,
    Stored,
    asset_text,
    insert_asset,
    keep_past,
    place_in,
    place_of,
)
from reconciler.providers.runai.emulator.tokens import Checked


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


class Resource(NamedTuple):
    """What one asset path serves. ``kind`` is None where a path lists every kind of its family."""

    family: str
    kind: str | None
    credential: api.CredentialKind | None = None


ENVIRONMENT: Final = Resource("environment", "environment")


COMPUTE: Final = Resource("compute", "compute")


CREDENTIAL: Final = Resource("credential", None)


_ACCEPTED: Final = Answer(202, encode({"code": 202, "message": "Request has been accepted."}))


_NO_CONTENT: Final = Answer(204, b"")


Update = Callable[[Call, str, Resource], Answer]
"""The handler of a PUT, the same for several resources."""


def _not_found(resource: Resource, asset_id: str) -> Refused:
    return Refused(404, "Resource id not found.", f"{resource.kind} {asset_id}")


def _no_extras(asset_id: str) -> bytes:
    return b""


def _of_kind(kind: str, text: bytes) -> bytes:
    """A credential as the list of all kinds shows it: its spec under the name of its kind."""
    parts = _PARTS.decode(text)
    spec = b'{"%b":%b}' % (kind.encode(), bytes(parts.spec))
    return asset_text(bytes(parts.meta), spec, bytes(parts.clusterInfo))


def _cluster_info(kind: str, name: str) -> bytes:
    """The Kubernetes secret that a credential becomes."""
    return encode({"resources": [{"name": f"{kind.lower()}-{name}"}]})


class Assets:
    """Lists, reads and writes assets. *put* and *unique* are those of ``Options``."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        put: Literal["replace", "merge"],
        unique: Literal["scope", "tenant"],
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._put = put
        self._unique = unique

    def list_assets(self, call: Call, resource: Resource) -> Answer:
        """The list of a path, whole: assets come in one answer."""
        query = call.query
        extras = self._extras(resource, query, None)
        rows = self._listed(resource, asset_filter(self._store, resource.family, query), call.lag)
        if call.hide:
            del rows[-call.hide :]
        if resource is CREDENTIAL:
            rows = [(asset_id, kind, _of_kind(kind, text)) for asset_id, kind, text in rows]
        if extras is _no_extras:
            texts = [text for _, _, text in rows]
        else:
            texts = [text[:-1] + extras(asset_id) + b"}" for asset_id, _, text in rows]
        return Answer(200, b'{"entries":[' + b",".join(texts) + b"]}")

    def _listed(self, resource: Resource, wanted: Filter, lag: float) -> list[tuple[Any, ...]]:
        """Id, kind and text of the assets that a list shows, in order of creation."""
        conditions = ["family = ?"]
        values: list[object] = [resource.family]
        # Nearly every row is wanted when nothing else is asked: reading the table in its own order
        # is then several times faster than going through an index and sorting.
        source = "runai_asset" if wanted.condition else "runai_asset NOT INDEXED"
        if lag:
            source = "(SELECT *, NULL AS until FROM runai_asset UNION ALL SELECT * FROM runai_past)"
            then = microseconds(self._clock()) - int(lag * 1_000_000)
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

    def read(self, call: Call, resource: Resource) -> Answer:
        """One asset by its id."""
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
        resource: Resource,
        meta: api.AssetCreationMeta,
        spec: bytes,
        who: str,
        *,
        credential_ids: Sequence[str] = (),
        secrets: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        kind = resource.kind
        assert kind is not None
        cluster_info = _cluster_info(kind, meta.name) if resource.credential else b""
        with self._store.write() as db:
            place = place_of(db, meta)
            self._claim(db, kind, meta.name, place.scope, place.scope_id)
            asset_id = self._new_id()
            moment = microseconds(self._clock())
            refer(db, asset_id, place, credential_ids)
            keep_secrets(db, asset_id, secrets)
            birth = Birth(asset_id, resource.family, kind, place, spec, who, moment, cluster_info)
            return Answer(202, insert_asset(db, meta, birth))

    def _claim(self, db: sqlite3.Connection, kind: str, name: str, scope: str, scope_id: str) -> None:
        """Refuse a name that another asset has, as far as ``Options.unique`` reaches."""
        taken = db.execute(
            "SELECT scope, scope_id FROM runai_asset WHERE kind = ? AND name = ?", (kind, name)
        ).fetchall()
        if taken and (self._unique == "tenant" or (scope, scope_id) in taken):
            raise Refused(409, f"{kind} already exists", f"name={name}")

    def _found(self, db: sqlite3.Connection, resource: Resource, asset_id: str) -> Stored:
        """The asset that a write is about. Refuses an unknown id and a protected asset."""
        row = db.execute(
            "SELECT seq, scope, scope_id, protected, since, text FROM runai_asset WHERE id = ? AND kind = ?",
            (asset_id, resource.kind),
        ).fetchone()
        if row is None:
            raise _not_found(resource, asset_id)
        stored = Stored(*row)
        if stored.protected:
            raise Refused(403, "You do not have sufficient permissions.", "the vendor protects this asset")
        return stored

    def _replace(
        self,
        db: sqlite3.Connection,
        stored: Stored,
        meta: api.AssetMeta,
        spec: bytes,
        cluster_info: bytes,
        who: str,
    ) -> Answer:
        """Write the asset's new text. ``updatedAt`` moves even when the clock does not."""
        moment = max(microseconds(self._clock()), stored.since + 1)
        meta.updated_by = who
        meta.updated_at = timestamp(moment)
        meta.update_count = (meta.update_count or 0) + 1
        text = asset_text(encode(meta), spec, cluster_info)
        keep_past(db, stored.seq, moment)
        db.execute(
            "UPDATE runai_asset SET name = ?, since = ?, text = ? WHERE seq = ?",
            (meta.name, moment, text, stored.seq),
        )
        return Answer(202, text)

    def delete(self, call: Call, resource: Resource) -> Answer:
        """Delete an asset; a credential only when no environment takes a value from it (412)."""
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
                raise Refused(412, "Precondition failed", f"used by environments: {names}")
            keep_past(db, stored.seq, max(microseconds(self._clock()), stored.since + 1))
            db.execute("DELETE FROM runai_asset WHERE seq = ?", (stored.seq,))
            db.execute("DELETE FROM runai_reference WHERE environment_id = ?", (asset_id,))
            drop_secrets(db, asset_id)
        if resource.credential is not None and resource.credential.deleted == 204:
            return _NO_CONTENT
        return _ACCEPTED

    def _extras(
        self, resource: Resource, query: Mapping[str, str], asset_id: str | None
    ) -> Callable[[str], bytes]:
        """What comes behind the text of an asset: of the one with *asset_id*, or of any without."""
        usage = flag(query, "usageInfo") is True
        status = resource.family != "compute" and flag(query, "statusInfo") is True
        complies = resource.family != "credential" and asks_compliance(query)
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

    def _used_by(self, resource: Resource, asset_id: str | None) -> dict[str, bytes]:
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
            return {used: encode({"assets": {"environments": found}}) for used, found in users.items()}
        uses: dict[str, dict[str, list[Raw]]] = {}
        for select in (
            "SELECT environment_id, used_as, reference FROM runai_workload",
            "SELECT environment_id, 'templates', reference FROM runai_template",
        ):
            for environment_id, used_as, reference in self._rows_about(select, "environment_id", asset_id):
                uses.setdefault(environment_id, {}).setdefault(used_as, []).append(Raw(reference))
        return {used: encode(found) for used, found in uses.items()}

    def _last_used(self, asset_id: str | None) -> dict[str, bytes]:
        """``usageTimes`` by the id of the environment: one id's, or all."""
        rows = self._rows_about("SELECT environment_id, at FROM runai_workload", "environment_id", asset_id)
        latest: dict[str, int] = {}
        for environment_id, at in rows:
            latest[environment_id] = max(at, latest.get(environment_id, at))
        return {used: encode({"lastUsedByWorkload": timestamp(at)}) for used, at in latest.items()}

    def _rows_about(self, select: str, column: str, asset_id: str | None) -> list[tuple[Any, ...]]:
        where = "" if asset_id is None else f"WHERE {column} = ?"
        return self._store.rows(f"{select} {where} ORDER BY seq", () if asset_id is None else (asset_id,))

    def create_environment(self, call: Call, who: str) -> Answer:
        """``POST`` on environments."""
        request = decoded(_ENVIRONMENT_CREATION, call.body)
        check_environment(request.spec)
        credential_ids = credentials_in(request.spec)
        return self._create(
            ENVIRONMENT, request.meta, encode(request.spec), who, credential_ids=credential_ids
        )

    def update_environment(self, call: Call, who: str, resource: Resource) -> Answer:
        """``PUT`` on an environment."""
        request = decoded(_ENVIRONMENT_UPDATE, call.body)
        asset_id = call.params["id"]
        with self._store.write() as db:
            stored = self._found(db, resource, asset_id)
            asset = _ASSET.decode(stored.text)
            spec = self._new_spec(request.spec, asset.spec, call.body)
            check_environment(spec)
            self._rename(db, stored, asset.meta, request.meta, call.body)
            db.execute("DELETE FROM runai_reference WHERE environment_id = ?", (asset_id,))
            refer(db, asset_id, place_in(asset.meta, stored.scope_id), credentials_in(spec))
            return self._replace(db, stored, asset.meta, encode(spec), b"", who)

    def create_compute(self, call: Call, who: str) -> Answer:
        """``POST`` on compute assets."""
        request = decoded(_COMPUTE_CREATION, call.body)
        spec = encode(request.spec or api.ComputeSpec())
        return self._create(COMPUTE, request.meta, spec, who)

    def update_compute(self, call: Call, who: str, resource: Resource) -> Answer:
        """``PUT`` on a compute asset."""
        request = decoded(_COMPUTE_UPDATE, call.body)
        with self._store.write() as db:
            stored = self._found(db, resource, call.params["id"])
            asset = _ASSET.decode(stored.text)
            spec = self._new_spec(request.spec or api.ComputeSpec(), asset.spec, call.body)
            self._rename(db, stored, asset.meta, request.meta, call.body)
            return self._replace(db, stored, asset.meta, encode(spec), b"", who)

    def _new_spec(self, sent: T, stored: Raw, body: bytes) -> T:
        """The spec after a PUT: what was sent, or the stored one with the sent fields put into it."""
        if self._put == "replace":
            return sent
        fields = _MENTIONED.decode(body).spec or {}
        return msgspec.convert({**msgspec.json.decode(stored), **fields}, type(sent))

    def _rename(
        self,
        db: sqlite3.Connection,
        stored: Stored,
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
        if self._put == "replace" or "description" in _MENTIONED.decode(body).meta:
            meta.description = description

    def credential_creator(self, credential: api.CredentialKind) -> Checked:
        """``POST`` on credentials of one kind."""
        resource = Resource("credential", credential.kind, credential)
        decoder = _CREDENTIAL_CREATION[credential.kind]

        def create(call: Call, who: str) -> Answer:
            request = decoded(decoder, call.body)
            spec = encode(without_secrets(credential, request.spec))
            return self._create(
                resource, request.meta, spec, who, secrets=secrets_in(credential, request.spec)
            )

        return create

    def update_credential(self, call: Call, who: str, resource: Resource) -> Answer:
        """``PUT`` on a credential: its description. A new secret is a new credential."""
        request = decoded(_CREDENTIAL_UPDATE, call.body)
        with self._store.write() as db:
            stored = self._found(db, resource, call.params["id"])
            asset = _ASSET.decode(stored.text)
            if request.meta is not msgspec.UNSET:
                self._describe(asset.meta, request.meta.description, call.body)
            cluster_info = _cluster_info(asset.meta.kind, asset.meta.name)
            return self._replace(db, stored, asset.meta, bytes(asset.spec), cluster_info, who)
