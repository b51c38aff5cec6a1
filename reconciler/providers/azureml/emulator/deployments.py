"""Online and batch endpoints and their deployments, enough of them to use an environment."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from reconciler.providers.azureml.emulator.answers import JSON, decoded, refused, timestamp
from reconciler.providers.azureml.emulator.asking import Ask, Room
from reconciler.providers.azureml.emulator.definitions import check_pattern
from reconciler.providers.azureml.emulator.listings import Listings
from reconciler.providers.azureml.emulator.operations import Operations, settled
from reconciler.providers.azureml.emulator.references import References
from reconciler.providers.azureml.emulator.store import (
    COLUMNS,
    Platform,
    Thing,
    born_by,
    envelope,
    find,
    insert,
    next_moment,
    remove,
    replace,
)
from reconciler.providers.emulator import Answer

__all__ = ["BATCH", "ONLINE", "Deployments"]


class Kind(NamedTuple):
    """One of the two kinds of endpoints."""

    family: str
    prefix: str

    @property
    def deployments(self) -> str:
        """The family of what is deployed at them."""
        return f"{self.family}/deployments"


ONLINE: Final = Kind("onlineEndpoints", "o")
BATCH: Final = Kind("batchEndpoints", "b")


class _Body(Struct, omit_defaults=True):
    properties: dict[str, Any]
    location: str | None = None
    tags: dict[str, str | None] | None = None
    kind: str | None = None
    sku: dict[str, Any] | None = None
    identity: dict[str, Any] | None = None


_BODY: Final = msgspec.json.Decoder(_Body)


class Deployments:
    """Answers what is asked of one kind of endpoints and of their deployments."""

    def __init__(
        self,
        platform: Platform,
        listings: Listings,
        references: References,
        operations: Operations,
        kind: Kind,
    ) -> None:
        self._platform = platform
        self._listings = listings
        self._references = references
        self._operations = operations
        self._kind = kind

    @property
    def rooms(self) -> dict[str, dict[str, Room]]:
        """Who answers which path below a workspace."""
        one = f"{self._kind.family}/{{endpoint}}"
        deployed = f"{one}/deployments/{{name}}"
        return {
            self._kind.family: {"GET": self._list_endpoints},
            one: {"GET": self._read, "PUT": self._write_endpoint, "DELETE": self._delete},
            f"{one}/deployments": {"GET": self._list_deployments},
            deployed: {"GET": self._read, "PUT": self._write_deployment, "DELETE": self._delete},
        }

    def _list_endpoints(self, ask: Ask) -> Answer:
        return self._listings.page(ask, self._kind.family, has_view=False, shown=self._shown)

    def _list_deployments(self, ask: Ask) -> Answer:
        endpoint = ask.params["endpoint"]
        if self._platform.find(ask.place, self._kind.family, "", endpoint) is None:
            raise self._no_such(endpoint)
        return self._listings.page(ask, self._kind.deployments, endpoint, has_view=False, shown=self._shown)

    def _shown(self, thing: Thing) -> bytes:
        return settled(thing, self._platform.now())

    def _address(self, ask: Ask) -> tuple[str, str, str]:
        """Family, parent and name of the endpoint or the deployment that a path names."""
        if "name" in ask.params:
            return self._kind.deployments, ask.params["endpoint"], ask.params["name"]
        return self._kind.family, "", ask.params["endpoint"]

    def _no_such(self, name: str) -> Exception:
        return refused(404, f"There is no {self._kind.family[:-1]} or deployment {name}")

    def _read(self, ask: Ask) -> Answer:
        found = self._platform.find(ask.place, *self._address(ask))
        if found is None:
            raise self._no_such(self._address(ask)[2])
        return Answer(200, self._shown(found), JSON)

    def _write_endpoint(self, ask: Ask) -> Answer:
        name = ask.params["endpoint"]
        check_pattern("Endpoint", name)
        sent = decoded(_BODY, ask.call.body)
        host = f"{name}.{ask.place.region}.inference.ml.azure.com"
        properties: dict[str, Any] = {
            "description": None,
            "properties": {},
            "scoringUri": f"https://{host}/{'score' if self._kind is ONLINE else 'jobs'}",
            "swaggerUri": f"https://{host}/swagger.json",
            "authMode": "Key" if self._kind is ONLINE else "AADToken",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled",
        }
        if self._kind is ONLINE:
            properties |= {"compute": None, "traffic": {}, "mirrorTraffic": {}}
        return self._put(ask, sent, properties)

    def _write_deployment(self, ask: Ask) -> Answer:
        endpoint, name = ask.params["endpoint"], ask.params["name"]
        check_pattern("Deployment", name)
        sent = decoded(_BODY, ask.call.body)
        if self._platform.find(ask.place, self._kind.family, "", endpoint) is None:
            raise self._no_such(endpoint)
        reference = sent.properties.get("environmentId")
        if isinstance(reference, str) and reference:
            self._references.find(ask.place, reference)
        elif not sent.properties.get("model"):
            raise refused(400, "environmentId is required where the model brings none", "ValidationError")
        properties: dict[str, Any] = {
            "description": None,
            "properties": {},
            "environmentId": None,
            "environmentVariables": {},
            "codeConfiguration": None,
            "model": None,
            "provisioningState": "Succeeded",
        }
        if self._kind is ONLINE:
            properties |= {
                "endpointComputeType": "Managed",
                "scaleSettings": {"scaleType": "Default"},
                "appInsightsEnabled": False,
            }
        return self._put(ask, sent, properties)

    def _put(self, ask: Ask, sent: _Body, filled: dict[str, Any]) -> Answer:
        family, parent, name = self._address(ask)
        now = self._platform.now()
        with self._platform.store.write() as db:
            found = find(db, ask.place, family, parent, name)
            operation, ends = self._operations.start(
                db, ask.place, f"{self._kind.prefix}{'d' if parent else 'e'}"
            )
            given = {key: value for key, value in sent.properties.items() if value is not None}
            properties = {**filled, **given, "provisioningState": "Succeeded"}
            properties["properties"] = {
                **(given.get("properties") or {}),
                "AzureAsyncOperationUri": self._operations.url(ask, "mfeOperationsStatus", operation),
            }
            more = {
                "tags": sent.tags or {},
                "location": sent.location or ask.place.region,
                "kind": sent.kind or "Managed",
                **({"sku": sent.sku or {"name": "Default", "capacity": 1}} if parent else {}),
                **({"identity": sent.identity} if sent.identity else {}),
            }
            private = {"ends": ends, "during": "Creating" if found is None else "Updating"}
            if found is None:
                created = next_moment(db, now)
                system = born_by(ask.author, created)
                body = envelope(ask.place, family, parent, name, properties, system, **more)
                insert(db, ask.place, family, parent, body, created=created, since=now, private=private)
            else:
                system = {**found.body["systemData"], "lastModifiedAt": timestamp(now)}
                body = envelope(ask.place, family, parent, name, properties, system, **more)
                replace(db, found, body, now, private=private)
            stored = find(db, ask.place, family, parent, name)
        assert stored is not None
        status = 201 if found is None else 200
        return Answer(status, self._shown(stored), self._operations.of_put(ask, operation))

    def _delete(self, ask: Ask) -> Answer:
        """With an endpoint go its deployments."""
        family, parent, name = self._address(ask)
        now = self._platform.now()
        with self._platform.store.write() as db:
            found = find(db, ask.place, family, parent, name)
            if found is None:
                return Answer(204, b"")
            operation, _ = self._operations.start(db, ask.place, self._kind.prefix, running="Deleting")
            if not parent:
                rows = db.execute(
                    f"SELECT {COLUMNS} FROM azureml_thing"  # noqa: S608  # no foreign text
                    " WHERE place = ? AND family = ? AND parent = ?",
                    (ask.place.id, self._kind.deployments, name),
                ).fetchall()
                for row in rows:
                    remove(db, Thing(*row), now)
            remove(db, found, now)
        return self._operations.accepted(ask, operation)
