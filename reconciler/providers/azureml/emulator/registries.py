"""Registries, by both doors: the resource manager's, and the one that azure-ai-ml takes.

What can be asked about environments is the same as in a workspace. What
differs is that writing takes time, and how that is told.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler.providers.azureml.emulator.answers import answer, decoded, refuse, refused
from reconciler.providers.azureml.emulator.asking import Ask, Room
from reconciler.providers.azureml.emulator.blobs import Keys
from reconciler.providers.azureml.emulator.definitions import VERSION
from reconciler.providers.azureml.emulator.environments import VERSIONS, Environments, no_such
from reconciler.providers.azureml.emulator.operations import Operations
from reconciler.providers.azureml.emulator.options import TENANT
from reconciler.providers.azureml.emulator.places import Places
from reconciler.providers.azureml.emulator.references import References
from reconciler.providers.azureml.emulator.store import Place, Platform, Thing
from reconciler.providers.azureml.emulator.versions import Versions
from reconciler.providers.emulator import Answer, Call

__all__ = ["Registries"]


class _Import(Struct, rename="camel"):
    source_asset_id: str
    destination_name: str
    destination_version: str


class _ImportBody(Struct):
    properties: _Import


class _Destination(Struct, rename="camel"):
    destination_name: str
    destination_version: str
    registry_name: str


_DESTINATION: Final = msgspec.json.Decoder(_Destination)

_IMPORT: Final = msgspec.json.Decoder(_ImportBody)


class Registries:
    """Answers what is asked of registries, and what is shared to one."""

    def __init__(
        self,
        platform: Platform,
        places: Places,
        operations: Operations,
        environments: Environments,
        versions: Versions,
        references: References,
        keys: Keys,
    ) -> None:
        self._references = references
        self._platform = platform
        self._places = places
        self._operations = operations
        self._environments = environments
        self._versions = versions
        self._keys = keys

    @property
    def rooms(self) -> dict[str, dict[str, Room]]:
        """Who answers which path below a registry, at the resource manager's door."""
        environments, versions = self._environments, self._versions
        return {
            "environments": {"GET": environments.list},
            "environments/{name}": {
                "GET": environments.read,
                "PUT": self._begun(environments.write),
                "DELETE": self._deletion(environments.delete),
            },
            "environments/{name}/versions": {"GET": versions.list},
            "environments/{name}/versions/{version}": {
                "GET": versions.read,
                "PUT": self._begun(versions.write),
                "DELETE": self._deletion(versions.delete),
            },
        }

    @property
    def side_rooms(self) -> dict[str, dict[str, Room]]:
        """Who answers which path at the other door."""
        rooms = {
            path: {method: _by_asset_id(room) for method, room in found.items()}
            for path, found in self.rooms.items()
        }
        version = "environments/{name}/versions/{version}"
        return {
            **rooms,
            version: {**rooms[version], "PUT": self._write},
            "tempdatarefs/{name}/versions/{version}": {"PUT": self._upload},
            "import": {"POST": self._import},
        }

    def _begun(self, room: Room) -> Room:
        def write(ask: Ask) -> Answer:
            done = room(ask)
            with self._platform.store.write() as db:
                operation, _ = self._operations.start(db, ask.place, "env", running="Creating")
            headers = self._operations.of_put(ask, operation, "PT1H")
            return done._replace(headers=(*headers, self._operations.wait))

        return write

    def _deletion(self, room: Room) -> Room:
        def delete(ask: Ask) -> Answer:
            done = room(ask)
            if done.status == 204:
                return done
            with self._platform.store.write() as db:
                operation, _ = self._operations.start(db, ask.place, "env", running="Deleting")
            return self._operations.accepted(ask, operation)

        return delete

    def _write(self, ask: Ask) -> Answer:
        """Put a version at the other door: 202, ``null``, and where to ask."""
        self._versions.write(ask)
        with self._platform.store.write() as db:
            operation, _ = self._operations.start(db, ask.place, "env", running="Creating")
        return self._under_way(ask, operation)

    def _under_way(self, ask: Ask, operation: str) -> Answer:
        location = f"{ask.call.origin}/environment/v1.0/operations/{operation}"
        return answer(
            None,
            202,
            (b"location", location.encode()),
            (b"x-ms-async-operation-timeout", b"PT1H"),
            self._operations.wait,
        )

    def _upload(self, ask: Ask) -> Answer:
        """A place for what belongs to a version that is to be put; 409 when that is there."""
        name, version = ask.params["name"], ask.params["version"]
        if self._platform.find(ask.place, VERSIONS, name, version) is not None:
            raise refused(409, f"Environment {name} with version {version} already exists.", "AlreadyExists")
        place, container = ask.place, f"{ask.place.guid[:8]}-{self._platform.new_id()}"
        sas = self._keys.sas(place.account, container, hours=8)
        return answer(
            {
                "blobReferenceForConsumption": {
                    "blobUri": self._keys.uri(place.account, container),
                    "storageAccountArmId": f"{place.group_id}/providers/Microsoft.Storage/storageAccounts"
                    f"/{place.account}",
                    "credential": {
                        "credentialType": "SAS",
                        "sasUri": f"{ask.call.origin}/_blob/{place.account}/{container}?{sas}",
                        "wasbsUri": None,
                    },
                },
                "imageReferenceForConsumption": None,
                "temporaryDataReferenceId": self._platform.new_id(),
                "temporaryDataReferenceType": None,
            }
        )

    def discovery(self, call: Call) -> Answer:
        """Where a registry is, and that its other door is here."""
        place = self._places.registry(call.params["name"])
        if place is None:
            return refuse(404, f"There is no registry {call.params['name']}")
        found: dict[str, Any] = {
            "registryId": place.guid,
            "registryName": place.name,
            "tenantId": TENANT,
            "primaryRegion": place.region,
            "regions": [place.region],
            "subscriptionId": place.subscription,
            "resourceGroup": place.resource_group,
            "workspaceName": None,
            "primaryRegionResourceProviderUri": f"{call.origin}/",
            "registryFqdns": {place.region: {"uri": call.origin}},
        }
        return answer(found)

    def share(self, ask: Ask) -> Answer:
        """Copy a version of a workspace to a registry; what is there already must be the same."""
        wanted = decoded(_DESTINATION, ask.call.body)
        name, version = ask.params["name"], ask.params["version"]
        found = self._platform.find(ask.place, VERSIONS, name, version)
        if found is None:
            raise no_such(name, version)
        registry = self._places.registry(wanted.registry_name)
        if registry is None:
            raise refused(404, f"There is no registry {wanted.registry_name}")
        operation = self._copy(ask, registry, found, wanted.destination_name, wanted.destination_version)
        return self._operations.accepted(ask, operation)

    def _import(self, ask: Ask) -> Answer:
        """The same, asked of the registry: this is what azure-ai-ml does to share."""
        wanted = decoded(_IMPORT, ask.call.body).properties
        found = self._references.find(ask.place, wanted.source_asset_id)
        if found is None or found.family != VERSIONS:
            raise refused(400, f"sourceAssetId is no version of a workspace: {wanted.source_asset_id}")
        operation = self._copy(ask, ask.place, found, wanted.destination_name, wanted.destination_version)
        return self._under_way(ask, operation)

    def _copy(self, ask: Ask, registry: Place, found: Thing, name: str, version: str) -> str:
        """Put a version that is somewhere else into a registry; the operation that this takes."""
        sent = VERSION.decode(found.text).properties
        sent.is_archived = False
        with self._platform.store.write() as db:
            self._versions.store(db, registry, name, version, ask.author, sent)
            operation, _ = self._operations.start(db, ask.place, "publish")
        return operation


def _by_asset_id(room: Room) -> Room:
    """*room*, whose answers call things ``azureml://registries/…``, as this door does."""

    def renamed(ask: Ask) -> Answer:
        done = room(ask)
        arm_id, asset_id = (
            f'"id":"{start}/environments/'.encode()
            for start in (ask.place.arm_id, f"azureml://registries/{ask.place.name}")
        )
        return done._replace(body=done.body.replace(arm_id, asset_id))

    return renamed
