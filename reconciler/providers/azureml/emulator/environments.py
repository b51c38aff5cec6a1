"""Environment containers: a name, and what goes for all its versions."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from reconciler.providers.azureml.emulator.answers import (
    JSON,
    Refused,
    arm_error,
    decoded,
    refused,
    timestamp,
)
from reconciler.providers.azureml.emulator.asking import Ask
from reconciler.providers.azureml.emulator.definitions import CONTAINER, Described, check_name
from reconciler.providers.azureml.emulator.listings import Listings
from reconciler.providers.azureml.emulator.store import (
    COLUMNS,
    Place,
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

ENVIRONMENTS: Final = "environments"
VERSIONS: Final = "environments/versions"


def no_such(name: str, version: str = "", label: str = "") -> Refused:
    """404, in the words of the service."""
    return refused(404, f"No environment exists for name: {name}, version: {version}, label: {label}")


def versions_of(db: sqlite3.Connection, place: Place, name: str) -> list[Thing]:
    """Every version of an environment, the oldest first."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM azureml_thing"  # noqa: S608  # no foreign text
        " WHERE place = ? AND family = ? AND parent = ? ORDER BY seq",
        (place.id, VERSIONS, name),
    )
    return [Thing(*row) for row in rows]


def described_anew(body: dict[str, Any], sent: dict[str, Any], author: tuple[str, str], now: int) -> None:
    """Let *body* say what was sent of what can be changed. Nothing new is no modification."""
    properties = body["properties"]
    if all(properties.get(key) == value for key, value in sent.items()):
        return
    properties.update(sent)
    system = body["systemData"]
    system["lastModifiedAt"] = timestamp(now)
    system["lastModifiedBy"], system["lastModifiedByType"] = author


class Environments:
    """Answers what is asked of containers."""

    def __init__(self, platform: Platform, listings: Listings) -> None:
        self._platform = platform
        self._listings = listings

    def list(self, ask: Ask) -> Answer:
        """A page of containers; neither ``$top`` nor ``$orderBy`` count here."""
        query = {key: value for key, value in ask.query.items() if key not in ("$top", "$orderBy")}
        return self._listings.page(Ask(ask.call, ask.who, ask.place, query, ask.params), ENVIRONMENTS)

    def read(self, ask: Ask) -> Answer:
        """One container."""
        found = self._platform.find(ask.place, ENVIRONMENTS, "", ask.params["name"])
        if found is None:
            raise no_such(ask.params["name"])
        return Answer(200, found.text, JSON)

    def write(self, ask: Ask) -> Answer:
        """Create a container, or replace what it says; archive or restore it with all its versions."""
        name = ask.params["name"]
        check_name(name)
        sent = decoded(CONTAINER, ask.call.body).properties
        archived = bool(sent.is_archived)
        now = self._platform.now()
        with self._platform.store.write() as db:
            found = find(db, ask.place, ENVIRONMENTS, "", name)
            if found is None:
                text = self.insert(db, ask.place, name, ask.author, sent)
                return Answer(201, text, (*JSON, ask.location))
            body = found.body
            shown = {**sent.shown(), "description": sent.description or ""}
            described_anew(body, shown, ask.author, now)
            body["properties"]["isArchived"] = archived
            text = replace(db, found, body, now, archived=archived)
            if bool(found.archived) != archived:
                for version in versions_of(db, ask.place, name):
                    if bool(version.archived) != archived:
                        inner = version.body
                        inner["properties"]["isArchived"] = archived
                        replace(db, version, inner, now, archived=archived)
        return Answer(201, text, (*JSON, ask.location))

    def insert(
        self, db: sqlite3.Connection, place: Place, name: str, author: tuple[str, str], sent: Described
    ) -> bytes:
        """Make a container that has no version yet, and answer its text."""
        now = self._platform.now()
        created = next_moment(db, now)
        archived = bool(sent.is_archived)
        properties = {
            **sent.shown(),
            "description": sent.description or "",
            "isArchived": archived,
            "latestVersion": None,
            "nextVersion": "1",
        }
        if place.kind == "registries":
            properties["provisioningState"] = "Succeeded"
        body = envelope(place, ENVIRONMENTS, "", name, properties, born_by(author, created))
        return insert(
            db,
            place,
            ENVIRONMENTS,
            "",
            body,
            created=created,
            since=now,
            archived=archived,
            private={"highest": 0},
        )

    def count(self, db: sqlite3.Connection, place: Place, name: str) -> None:
        """Note in the container which version is the latest, and what the next may be called."""
        container = find(db, place, ENVIRONMENTS, "", name)
        assert container is not None
        versions = versions_of(db, place, name)
        known = [int(one.name) for one in versions if one.name.isascii() and one.name.isdigit()]
        # What was deleted counts on: a number is not given twice.
        highest = max([*known, container.secret["highest"]])
        body = container.body
        body["properties"]["latestVersion"] = versions[-1].name if versions else None
        body["properties"]["nextVersion"] = self._next(highest, has_others=len(known) < len(versions))
        replace(db, container, body, self._platform.now(), private={"highest": highest})

    def _next(self, highest: int, *, has_others: bool) -> str:
        if self._platform.options.next_version == "integer" and (highest or not has_others):
            return str(highest + 1)
        now = self._platform.clock()
        return f"{now:%Y-%m-%d-%H-%M-%S}-{now.microsecond:06}0"

    def delete(self, ask: Ask) -> Answer:
        """Delete a container with all its versions, if this platform deletes at all."""
        self.check_deletes()
        name = ask.params["name"]
        check_name(name)
        now = self._platform.now()
        with self._platform.store.write() as db:
            found = find(db, ask.place, ENVIRONMENTS, "", name)
            if found is None:
                return Answer(204, b"")
            for version in versions_of(db, ask.place, name):
                remove(db, version, now)
            remove(db, found, now)
        return Answer(200, b"", ())

    def check_deletes(self) -> None:
        """Refuse with 405 when this platform only archives."""
        if self._platform.options.delete == "refused":
            raise Refused(
                arm_error(
                    405,
                    "MethodNotAllowed",
                    "Environments cannot be deleted. Archive them.",
                    (b"allow", b"GET, PUT"),
                )
            )
