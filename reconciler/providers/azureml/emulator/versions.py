"""Environment versions: a definition that never changes, and what may be said about it."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from reconciler.providers.azureml.emulator.answers import JSON, decoded, refused
from reconciler.providers.azureml.emulator.asking import Ask
from reconciler.providers.azureml.emulator.builds import Builds
from reconciler.providers.azureml.emulator.definitions import (
    VERSION,
    Definition,
    Described,
    VersionProperties,
    check_name,
)
from reconciler.providers.azureml.emulator.environments import (
    ENVIRONMENTS,
    VERSIONS,
    Environments,
    described_anew,
    no_such,
)
from reconciler.providers.azureml.emulator.listings import Listings
from reconciler.providers.azureml.emulator.store import (
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


class Versions:
    """Answers what is asked of versions."""

    def __init__(
        self, platform: Platform, environments: Environments, listings: Listings, builds: Builds
    ) -> None:
        self._builds = builds
        self._platform = platform
        self._environments = environments
        self._listings = listings

    def list(self, ask: Ask) -> Answer:
        """A page of the versions of one environment. Refuses an unknown environment."""
        name = ask.params["name"]
        if self._platform.find(ask.place, ENVIRONMENTS, "", name) is None:
            raise no_such(name)
        return self._listings.page(ask, VERSIONS, name)

    def read(self, ask: Ask) -> Answer:
        """One version, archived or not."""
        name, version = ask.params["name"], ask.params["version"]
        found = self._platform.find(ask.place, VERSIONS, name, version)
        if found is None:
            raise no_such(name, version)
        return Answer(200, found.text, JSON)

    def write(self, ask: Ask) -> Answer:
        """Create a version, or replace what can be changed of it. 201 in both cases."""
        name, version = ask.params["name"], ask.params["version"]
        check_name(name)
        sent = decoded(VERSION, ask.call.body).properties
        with self._platform.store.write() as db:
            text = self.store(db, ask.place, name, version, ask.author, sent)
        return Answer(201, text, (*JSON, ask.location))

    def store(
        self,
        db: sqlite3.Connection,
        place: Place,
        name: str,
        version: str,
        author: tuple[str, str],
        sent: VersionProperties,
        private: dict[str, Any] | None = None,
    ) -> bytes:
        """Put a version and answer its text. Refuses another definition under a number that is taken."""
        definition = Definition(sent)
        found = find(db, place, VERSIONS, name, version)
        if found is None:
            return self._insert(db, place, name, version, author, sent, definition, private or {})
        if found.secret["definition"] != definition.digest:
            raise refused(
                409,
                f"Environment {name} with version {version} is already registered and cannot be changed.",
                "AlreadyExists",
            )
        return self._update(db, place, found, author, sent)

    def _insert(
        self,
        db: sqlite3.Connection,
        place: Place,
        name: str,
        version: str,
        author: tuple[str, str],
        sent: VersionProperties,
        definition: Definition,
        private: dict[str, Any],
    ) -> bytes:
        container = find(db, place, ENVIRONMENTS, "", name)
        if container is None:
            self._environments.insert(db, place, name, author, Described())
        # What is made under an archived container is archived from the start, whatever was asked.
        archived = bool(sent.is_archived) or (container is not None and bool(container.archived))
        created = next_moment(db, self._platform.now())
        properties = {**sent.shown(), "isArchived": archived, **definition.shown}
        if sent.stage is not None:
            properties["stage"] = sent.stage
        if place.kind == "registries":
            properties["provisioningState"] = "Succeeded"
        body = envelope(place, VERSIONS, name, version, properties, born_by(author, created))
        text = insert(
            db,
            place,
            VERSIONS,
            name,
            body,
            created=created,
            since=self._platform.now(),
            archived=archived,
            private={**private, "definition": definition.digest},
        )
        self._environments.count(db, place, name)
        if sent.build is not None and place.kind == "workspaces":
            made = find(db, place, VERSIONS, name, version)
            assert made is not None
            self._builds.start(db, place, made, anew=False)
        return text

    def _update(
        self,
        db: sqlite3.Connection,
        place: Place,
        found: Thing,
        author: tuple[str, str],
        sent: VersionProperties,
    ) -> bytes:
        archived = bool(sent.is_archived)
        if found.archived and not archived:
            container = find(db, place, ENVIRONMENTS, "", found.parent)
            if container is not None and container.archived:
                raise refused(
                    400,
                    f"Version {found.name} of environment {found.parent} cannot be restored while the"
                    " environment is archived. Restore the environment.",
                )
        body = found.body
        described_anew(body, {**sent.shown(), "stage": sent.stage}, author, self._platform.now())
        body["properties"]["isArchived"] = archived
        if body["properties"].get("stage") is None:
            body["properties"].pop("stage", None)
        if msgspec.json.encode(body) == found.text:
            return found.text
        return replace(db, found, body, self._platform.now(), archived=archived)

    def delete(self, ask: Ask) -> Answer:
        """Delete one version, if this platform deletes at all."""
        self._environments.check_deletes()
        name, version = ask.params["name"], ask.params["version"]
        check_name(name)
        with self._platform.store.write() as db:
            found = find(db, ask.place, VERSIONS, name, version)
            if found is None:
                return Answer(204, b"")
            remove(db, found, self._platform.now())
            self._environments.count(db, ask.place, name)
        return Answer(200, b"", ())
