"""Code, data, models and components: named, versioned, and of no further interest here; and schedules."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler.providers.azureml.emulator.answers import JSON, answer, decoded, refused
from reconciler.providers.azureml.emulator.asking import Ask, Room
from reconciler.providers.azureml.emulator.blobs import Keys
from reconciler.providers.azureml.emulator.definitions import check_pattern
from reconciler.providers.azureml.emulator.listings import Listings
from reconciler.providers.azureml.emulator.store import (
    Platform,
    born_by,
    envelope,
    find,
    insert,
    next_moment,
    remove,
    replace,
)
from reconciler.providers.emulator import Answer

__all__ = ["Assets", "Plain"]

_MUTABLE: Final = ("description", "tags", "properties", "isArchived", "stage")

_SECRETS: Final = ("credentials",)


class _Body(Struct):
    properties: dict[str, Any]


_BODY: Final = msgspec.json.Decoder(_Body)


class Assets:
    """Answers what is asked of one family: ``codes``, ``data``, ``models`` or ``components``."""

    def __init__(self, platform: Platform, listings: Listings, keys: Keys, family: str) -> None:
        self._platform = platform
        self._listings = listings
        self._keys = keys
        self._family = family
        self._versions = f"{family}/versions"

    @property
    def rooms(self) -> dict[str, dict[str, Room]]:
        """Who answers which path below a workspace."""
        one = f"{self._family}/{{name}}"
        version = f"{one}/versions/{{version}}"
        return {
            self._family: {"GET": self._list},
            one: {"GET": self._read},
            f"{one}/versions": {"GET": self._list_versions},
            version: {"GET": self._read, "PUT": self._write, "DELETE": self._delete},
            f"{version}/startPendingUpload": {"POST": self._start_upload},
        }

    def _list(self, ask: Ask) -> Answer:
        return self._listings.page(ask, self._family)

    def _list_versions(self, ask: Ask) -> Answer:
        condition = "1"
        values: tuple[object, ...] = ()
        if "hash" in ask.query:
            condition = "json_extract(CAST(text AS TEXT), '$.properties.properties.hash_sha256') = ?"
            values = (ask.query["hash"],)
        return self._listings.page(
            ask, self._versions, ask.params["name"], condition=condition, values=values
        )

    def _address(self, ask: Ask) -> tuple[str, str, str]:
        if "version" in ask.params:
            return self._versions, ask.params["name"], ask.params["version"]
        return self._family, "", ask.params["name"]

    def _read(self, ask: Ask) -> Answer:
        found = self._platform.find(ask.place, *self._address(ask))
        if found is None:
            raise refused(404, f"Nothing in {self._family} is called {'/'.join(self._address(ask)[1:])}")
        return Answer(200, found.text, JSON)

    def _write(self, ask: Ask) -> Answer:
        name, version = ask.params["name"], ask.params["version"]
        check_pattern("Asset", name)
        sent = decoded(_BODY, ask.call.body).properties
        shown = {
            "description": None,
            "tags": {},
            "properties": {},
            "isArchived": False,
            "isAnonymous": False,
            **{key: value for key, value in sent.items() if value is not None},
        }
        now = self._platform.now()
        with self._platform.store.write() as db:
            found = find(db, ask.place, self._versions, name, version)
            if found is None:
                created = next_moment(db, now)
                system = born_by(ask.author, created)
                container = find(db, ask.place, self._family, "", name)
                told = {
                    "description": "",
                    "tags": {},
                    "properties": {},
                    "isArchived": False,
                    "latestVersion": version,
                    "nextVersion": str(int(version) + 1) if version.isascii() and version.isdigit() else "1",
                }
                whole = envelope(ask.place, self._family, "", name, told, system)
                if container is None:
                    insert(db, ask.place, self._family, "", whole, created=created, since=now)
                else:
                    replace(db, container, whole, now)
                body = envelope(ask.place, self._versions, name, version, shown, system)
                text = insert(
                    db,
                    ask.place,
                    self._versions,
                    name,
                    body,
                    created=next_moment(db, now),
                    since=now,
                    archived=bool(shown["isArchived"]),
                )
                return Answer(201, text, (*JSON, ask.location))
            body = found.body
            changed = {**shown, **{key: body["properties"].get(key) for key in _MUTABLE}}
            if {**changed, "stage": None} != {**body["properties"], "stage": None}:
                raise refused(
                    409, f"{name} with version {version} is already registered and cannot be changed."
                )
            body["properties"] = shown
            text = replace(db, found, body, now, archived=bool(shown["isArchived"]))
        return Answer(200, text, (*JSON, ask.location))

    def _delete(self, ask: Ask) -> Answer:
        with self._platform.store.write() as db:
            found = find(db, ask.place, *self._address(ask))
            if found is None:
                return Answer(204, b"")
            remove(db, found, self._platform.now())
        return Answer(200, b"", ())

    def _start_upload(self, ask: Ask) -> Answer:
        """A place for blobs: written under ``sasUri``, which leads here, and referred to by ``blobUri``."""
        place, upload = ask.place, self._platform.new_id()
        container = f"{place.guid[:8]}-{upload}"
        account = f"{place.group_id}/providers/Microsoft.Storage/storageAccounts/{place.account}"
        return answer(
            {
                "blobReferenceForConsumption": {
                    "blobUri": self._keys.uri(place.account, container),
                    "storageAccountArmId": account,
                    "credential": {
                        "credentialType": "SAS",
                        "sasUri": f"{ask.call.origin}/_blob/{place.account}/{container}"
                        f"?{self._keys.sas(place.account, container, hours=8)}",
                    },
                },
                "pendingUploadId": upload,
                "pendingUploadType": "TemporaryBlobReference",
            }
        )


class Plain:
    """Answers what is asked of things that have a name and nothing else: ``connections``, ``schedules``.

    Credentials in them are taken, and neither kept nor told.
    """

    def __init__(self, platform: Platform, listings: Listings, family: str) -> None:
        self._platform = platform
        self._listings = listings
        self._family = family

    @property
    def rooms(self) -> dict[str, dict[str, Room]]:
        """Who answers which path below a workspace."""
        return {
            self._family: {"GET": self._list},
            f"{self._family}/{{name}}": {"GET": self._read, "PUT": self._write, "DELETE": self._delete},
        }

    def _list(self, ask: Ask) -> Answer:
        return self._listings.page(ask, self._family, has_view=False)

    def _read(self, ask: Ask) -> Answer:
        found = self._platform.find(ask.place, self._family, "", ask.params["name"])
        if found is None:
            raise refused(404, f"Nothing in {self._family} is called {ask.params['name']}")
        return Answer(200, found.text, JSON)

    def _write(self, ask: Ask) -> Answer:
        name = ask.params["name"]
        sent = decoded(_BODY, ask.call.body).properties
        shown = {key: value for key, value in sent.items() if key not in _SECRETS}
        now = self._platform.now()
        with self._platform.store.write() as db:
            found = find(db, ask.place, self._family, "", name)
            if found is None:
                created = next_moment(db, now)
                system = born_by(ask.author, created)
                body = envelope(ask.place, self._family, "", name, shown, system)
                text = insert(db, ask.place, self._family, "", body, created=created, since=now)
            else:
                text = replace(db, found, {**found.body, "properties": shown}, now)
        return Answer(200, text, JSON)

    def _delete(self, ask: Ask) -> Answer:
        with self._platform.store.write() as db:
            found = find(db, ask.place, self._family, "", ask.params["name"])
            if found is None:
                return Answer(204, b"")
            remove(db, found, self._platform.now())
        return Answer(200, b"", ())
