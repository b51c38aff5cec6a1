"""What is stored, and how a thing gets into it, is changed, and goes.

All that has an address below a workspace or a registry is one kind of row, a
``Thing``: an environment, each version of it, a job, a deployment. It is kept
as the text it is answered with. ``azureml_past`` keeps, for lists that lag,
what was replaced or deleted lately. Neither a secret nor a key is stored,
except for the one that this platform signs with.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from reconciler.providers.azureml.emulator.answers import encode, ticks, timestamp
from reconciler.providers.azureml.emulator.options import Options
from reconciler.providers.emulator import LONGEST_LAG, Store

FORMAT: Final = 1

SCHEMA: Final = (
    "CREATE TABLE azureml_setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    """CREATE TABLE azureml_principal (
        client_id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, role TEXT NOT NULL)""",
    """CREATE TABLE azureml_place (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, subscription TEXT NOT NULL,
        resource_group TEXT NOT NULL, name TEXT NOT NULL, region TEXT NOT NULL, born INTEGER NOT NULL)""",
    """CREATE UNIQUE INDEX azureml_place_address ON azureml_place (
        kind, lower(subscription), lower(resource_group), lower(name))""",
    """CREATE TABLE azureml_thing (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, place INTEGER NOT NULL, family TEXT NOT NULL,
        parent TEXT NOT NULL, name TEXT NOT NULL, archived INTEGER NOT NULL, created INTEGER NOT NULL,
        since INTEGER NOT NULL, text BLOB NOT NULL, private BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX azureml_thing_address ON azureml_thing (place, family, parent, name)",
    "CREATE INDEX azureml_thing_order ON azureml_thing (place, family, parent, seq)",
    """CREATE TABLE azureml_past (
        seq INTEGER NOT NULL, place INTEGER NOT NULL, family TEXT NOT NULL,
        parent TEXT NOT NULL, name TEXT NOT NULL, archived INTEGER NOT NULL, created INTEGER NOT NULL,
        since INTEGER NOT NULL, text BLOB NOT NULL, private BLOB NOT NULL, until INTEGER NOT NULL)""",
    "CREATE INDEX azureml_past_order ON azureml_past (place, family, parent, seq)",
    "CREATE INDEX azureml_past_until ON azureml_past (until)",
    """CREATE TABLE azureml_blob (
        account TEXT NOT NULL, container TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
        modified INTEGER NOT NULL, metadata TEXT NOT NULL, content BLOB NOT NULL,
        PRIMARY KEY (account, container, name))""",
)

COLUMNS: Final = "seq, place, family, parent, name, archived, created, since, text, private"

_FIND: Final = (
    f"SELECT {COLUMNS} FROM azureml_thing"  # noqa: S608  # no foreign text
    " WHERE place = ? AND family = ? AND parent = ? AND name = ?"
)


class Place(NamedTuple):
    """A workspace or a registry. ``kind`` is ``workspaces`` or ``registries``, as in its address."""

    id: int
    kind: str
    subscription: str
    resource_group: str
    name: str
    region: str
    born: int

    @property
    def type(self) -> str:
        """The resource type."""
        return f"Microsoft.MachineLearningServices/{self.kind}"

    @property
    def arm_id(self) -> str:
        """The address, which is the id too."""
        return f"{self.group_id}/providers/{self.type}/{self.name}"

    @property
    def group_id(self) -> str:
        """The address of its resource group."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"

    @property
    def guid(self) -> str:
        """The id that stays when a name is used again; here the same for the same address."""
        return guid(self.arm_id)

    @property
    def account(self) -> str:
        """The name of its storage account."""
        return f"ml{hashlib.sha256(self.arm_id.lower().encode()).hexdigest()[:16]}"

    @property
    def container(self) -> str:
        """The blob container that its default datastore stands for."""
        return f"azureml-blobstore-{self.guid}"


def guid(text: str) -> str:
    """A UUID that is always the same for the same text, in any case."""
    digest = hashlib.sha256(text.lower().encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


class Principal(NamedTuple):
    """Who calls."""

    client_id: str
    role: str

    @property
    def object_id(self) -> str:
        """The id that ``createdBy`` shows of an application."""
        return guid(f"object {self.client_id}")


VENDOR: Final = ("Microsoft", "User")
"""Who made what a workspace is born with."""


class Thing(NamedTuple):
    """Something with an address. ``parent`` is the name of what it lies in, empty right below the place.

    ``family`` is the last part of its type, such as ``environments/versions``.
    ``private`` is what the service knows and does not tell, as JSON.
    """

    seq: int
    place: int
    family: str
    parent: str
    name: str
    archived: int
    created: int
    since: int
    text: bytes
    private: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The answer, to be changed."""
        found: dict[str, Any] = msgspec.json.decode(self.text)
        return found

    @property
    def secret(self) -> dict[str, Any]:
        """What is not told, to be changed."""
        found: dict[str, Any] = msgspec.json.decode(self.private)
        return found


@dataclass(frozen=True, slots=True)
class Platform:
    """What every room of the emulator works with."""

    store: Store
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    options: Options
    key: bytes

    def now(self) -> int:
        """The present, in ticks."""
        return ticks(self.clock())

    def find(self, place: Place, family: str, parent: str, name: str) -> Thing | None:
        """The thing at an address, as it is now."""
        row = self.store.row(_FIND, (place.id, family, parent, name))
        return None if row is None else Thing(*row)

    def signature(self, text: str) -> str:
        """What only this platform can make of a text, and always makes of it."""
        return hmac.digest(self.key, text.encode(), "sha256").hex()


def find(db: sqlite3.Connection, place: Place, family: str, parent: str, name: str) -> Thing | None:
    """The thing at an address. Names differ by case."""
    row = db.execute(_FIND, (place.id, family, parent, name)).fetchone()
    return None if row is None else Thing(*row)


def envelope(
    place: Place,
    family: str,
    parent: str,
    name: str,
    properties: dict[str, Any],
    system_data: dict[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """A thing as it is answered."""
    steps = family.split("/")
    path = f"{steps[0]}/{parent}/{steps[1]}/{name}" if len(steps) == 2 else f"{family}/{name}"
    return {
        "id": f"{place.arm_id}/{path}",
        "name": name,
        "type": f"{place.type}/{family}",
        "properties": properties,
        "systemData": system_data,
        **more,
    }


def born_by(who: tuple[str, str], moment: int) -> dict[str, Any]:
    """The ``systemData`` of something new."""
    at = timestamp(moment)
    name, kind = who
    return {
        "createdAt": at,
        "createdBy": name,
        "createdByType": kind,
        "lastModifiedAt": at,
        "lastModifiedBy": name,
        "lastModifiedByType": kind,
    }


def next_moment(db: sqlite3.Connection, now: int) -> int:
    """When something made now was made: no two things of a file are made at once."""
    row = db.execute("SELECT created FROM azureml_thing ORDER BY seq DESC LIMIT 1").fetchone()
    # Odd hundreds of nanoseconds: a client that cannot read seven digits is to find out here.
    return max(now + 7, row[0] + 1 if row else 0)


def insert(
    db: sqlite3.Connection,
    place: Place,
    family: str,
    parent: str,
    body: dict[str, Any],
    *,
    created: int,
    since: int,
    archived: bool = False,
    private: dict[str, Any] | None = None,
) -> bytes:
    """Store a new thing and answer its text."""
    text = encode(body)
    db.execute(
        "INSERT INTO azureml_thing (place, family, parent, name, archived, created, since, text, private)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (place.id, family, parent, body["name"], archived, created, since, text, encode(private or {})),
    )
    return text


def replace(
    db: sqlite3.Connection,
    thing: Thing,
    body: dict[str, Any],
    now: int,
    *,
    archived: bool | None = None,
    private: dict[str, Any] | None = None,
) -> bytes:
    """Store a thing's new text and answer it. A list that lags still shows the old one."""
    text = encode(body)
    moment = _retire(db, thing, now)
    db.execute(
        "UPDATE azureml_thing SET archived = ?, since = ?, text = ?, private = ? WHERE seq = ?",
        (
            thing.archived if archived is None else archived,
            moment,
            text,
            thing.private if private is None else encode(private),
            thing.seq,
        ),
    )
    return text


def remove(db: sqlite3.Connection, thing: Thing, now: int) -> None:
    """Delete a thing. A list that lags still shows it."""
    _retire(db, thing, now)
    db.execute("DELETE FROM azureml_thing WHERE seq = ?", (thing.seq,))


def _retire(db: sqlite3.Connection, thing: Thing, now: int) -> int:
    """Keep what is about to be replaced or deleted for as long as a list may lag; when that is."""
    moment = max(now, thing.since + 1)
    db.execute(
        f"INSERT INTO azureml_past SELECT {COLUMNS}, ? FROM azureml_thing WHERE seq = ?",  # noqa: S608
        (moment, thing.seq),
    )
    db.execute("DELETE FROM azureml_past WHERE until < ?", (moment - int(LONGEST_LAG * 10_000_000),))
    return moment
