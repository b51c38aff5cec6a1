"""EnvHub: the environments and every call about them.

Written in camel case with names of states, read in snake case with numbers.
Nothing is required, filled in or checked but the state Released, which is
for ever. Source: EnvHub 0.1.6 and its unreleased successor.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from reconciler.providers.aenvironment.emulator.answers import (
    Refused,
    body_of,
    done,
    done_raw,
    encode,
    hub_time,
    microseconds,
    refuse,
)
from reconciler.providers.aenvironment.emulator.golang import ANYTHING, STRINGS, Record, list_of, text
from reconciler.providers.aenvironment.emulator.store import (
    find,
    is_damaged,
    is_failing,
    is_race_lost,
    keep,
    shown,
    texts,
)
from reconciler.providers.emulator import Answer, Call, Store

Profile = Literal["v0.1", "next"]
"""What is released, and what comes after it."""


STATES: Final = (
    "Init",
    "Pending",
    "Creating",
    "Created",
    "Testing",
    "Verified",
    "Ready",
    "Released",
    "Failed",
)
"""Names of the states; the number of each is its place."""


RELEASED: Final = STATES.index("Released")


class Artifact(Struct):
    """What a build made: an image, when ``type`` says so, at ``content``."""

    id: str
    type: str
    content: str


class Environment(Struct):
    """An environment as it is stored and read."""

    id: str
    name: str
    description: str
    version: str
    tags: list[str] | None
    code_url: str
    status: int
    artifacts: list[Artifact] | None
    build_config: dict[str, Any] | None
    test_config: dict[str, Any] | None
    deploy_config: dict[str, Any] | None
    created_at: str
    updated_at: str

    @property
    def image(self) -> str:
        """The image of its containers: that of the first artifact of this very type, or empty."""
        return next((found.content for found in self.artifacts or () if found.type == "image"), "")


_FIELDS: Final = {
    "name": text,
    "version": text,
    "tags": STRINGS,
    "status": text,
    "codeUrl": text,
    "artifacts": list_of(Record("Artifact", {"id": text, "type": text, "content": text}), "models.Artifact"),
    "buildConfig": ANYTHING,
    "testConfig": ANYTHING,
    "deployConfig": ANYTHING,
}


_BODIES: Final = {
    "v0.1": Record("EnvRequest", _FIELDS),
    "next": Record("EnvRequest", {**_FIELDS, "description": text}),
}


_TRIGGER: Final = Record("ACITriggerRequest", {"image": text})


_MISSING: Final = "Environment not found"


_OUTAGE: Final = "dial tcp 127.0.0.1:6379: connect: connection refused"


_BROKEN: Final = "unexpected end of JSON input"


def key_of(name: str, version: str) -> str:
    """The key of a record. Not one to one: ``a``, ``1-2`` and ``a-1``, ``2`` have the same."""
    return f"{name}-{version}"


def load(db: sqlite3.Connection, name: str, version: str) -> Environment | None:
    """The environment. None is all that EnvHub says of one that is not there or that it cannot read."""
    stored = None if is_failing(db) else find(db, "environment", key_of(name, version))
    return None if stored is None else _DECODER.decode(stored)


def create(db: sqlite3.Connection, body: dict[str, Any], moment: int) -> None:
    """Store a new environment from what a POST says."""
    name, version = body.get("name", ""), body.get("version", "")
    at = hub_time(moment)
    environment = Environment(
        id=key_of(name, version),
        name=name,
        description=body.get("description", ""),
        version=version,
        tags=body.get("tags"),
        code_url=body.get("codeUrl", ""),
        status=_state(body.get("status", "")),
        artifacts=_artifacts(body),
        build_config=body.get("buildConfig"),
        test_config=body.get("testConfig"),
        deploy_config=body.get("deployConfig"),
        created_at=at,
        updated_at=at,
    )
    keep(db, "environment", environment.id, encode(environment), moment)


_DECODER: Final = msgspec.json.Decoder(Environment)


def _state(name: str) -> int:
    """The number of a state; a name that is none is Init, without a word."""
    names = [known.lower() for known in STATES]
    return names.index(name.lower()) if name.lower() in names else 0


def _artifacts(body: dict[str, Any]) -> list[Artifact] | None:
    return [Artifact(**sent) for sent in body["artifacts"]] if "artifacts" in body else None


def _bad_request(error: str) -> str:
    return f"Invalid request format: {error}"


class EnvHub:
    """The handlers of EnvHub, one call each."""

    def __init__(self, store: Store, clock: Callable[[], datetime], profile: Profile) -> None:
        self._store = store
        self._clock = clock
        self._profile = profile
        self._body = _BODIES[profile]

    def create(self, call: Call) -> Answer:
        """POST /env/"""
        body = body_of(call, self._body, _bad_request)
        key = key_of(body.get("name", ""), body.get("version", ""))
        with self._store.write() as db:
            if is_failing(db):
                return refuse(500, f"Failed to create environment: {_OUTAGE}")
            if find(db, "environment", key) is not None:
                return refuse(409, "Environment with same name and version already exists")
            if is_race_lost(db):
                # What the other one created between our look and our write: this, and nothing in it.
                rival: dict[str, Any] = {part: body[part] for part in ("name", "version") if part in body}
                create(db, rival, microseconds(self._clock()))
                return refuse(500, f"env {key} already exists")
            if is_damaged(db, key):
                return refuse(500, f"env {key} already exists")
            create(db, body, microseconds(self._clock()))
        return done(True)

    def update(self, call: Call) -> Answer:
        """PUT /env/{name}/{version}: what is there and not null replaces what was, key by key."""
        with self._store.write() as db:
            environment = self._found(db, call)
            if environment.status == RELEASED:
                return refuse(403, "Cannot update released environment")
            body = body_of(call, self._body, _bad_request)
            if is_race_lost(db):
                self._save(db, environment)
                return refuse(500, f"resource version mismatch for {environment.id}")
            self._save(db, environment, **_changes(body))
        return done(True)

    def read(self, call: Call) -> Answer:
        """GET /env/{name}/{version}"""
        with self._store.write() as db:
            return done(self._found(db, call))

    def list_all(self, call: Call) -> Answer:
        """GET /env/: all of them that can be read, by key, whatever the query says."""
        with self._store.write() as db:
            if is_failing(db):
                return refuse(500, f"Failed to list environments: {_OUTAGE}")
            found = shown(texts(db, "environment", call, microseconds(self._clock())), call)
        if not found and self._profile == "v0.1":
            return done(None)
        return done_raw(b"[%b]" % b",".join(found))

    def exists(self, call: Call) -> Answer:
        """GET /env/{name}/{version}/exists: the one read that tells trouble from absence."""
        name, version = call.params["name"], call.params["version"]
        with self._store.write() as db:
            if is_failing(db) or is_damaged(db, key_of(name, version)):
                trouble = _OUTAGE if is_failing(db) else _BROKEN
                return refuse(500, f"Failed to check environment: {trouble}")
            environment = load(db, name, version)
        if environment is None:
            return done({"exists": False})
        return done({"exists": True, **({"status": environment.status} if environment.status else {})})

    def status(self, call: Call) -> Answer:
        """GET /env/{name}/{version}/status: here the state has its name."""
        with self._store.write() as db:
            return done({"status": STATES[self._found(db, call).status]})

    def release(self, call: Call) -> Answer:
        """POST /env/{name}/{version}/release"""
        with self._store.write() as db:
            environment = self._found(db, call)
            if environment.status == RELEASED:
                return refuse(403, "Environment already released")
            self._save(db, environment, status=RELEASED)
        return done(True)

    def trigger(self, call: Call) -> Answer:
        """POST /env/{name}/{version}/aci_trigger: an image build elsewhere says what it made."""
        missing = "Missing environment image message"
        try:
            image = body_of(call, _TRIGGER, _bad_request).get("image", "")
        except Refused as refused:
            # The handler goes on after its first answer.
            first = refused.answer
            return first._replace(body=first.body + refuse(400, missing).body)
        if not image:
            return refuse(400, missing)
        with self._store.write() as db:
            environment = self._found(db, call)
            if environment.status == RELEASED:
                return refuse(403, "Cannot update released environment")
            before = environment.artifacts or []
            after = [
                msgspec.structs.replace(one, content=image) if one.type == "image" else one for one in before
            ]
            if not any(one.type == "image" for one in after):
                after.append(Artifact("", "image", image))
            if after == before:
                return done(None)
            self._save(db, environment, artifacts=after)
        return Answer(200, b"", ())

    def health(self, call: Call) -> Answer:
        """GET /health: no envelope, and the body twice."""
        with self._store.write() as db:
            if is_failing(db):
                return Answer(503, encode({"status": "unhealthy", "message": _OUTAGE}) * 2)
        return Answer(200, encode({"status": "healthy"}) * 2)

    def _found(self, db: sqlite3.Connection, call: Call) -> Environment:
        environment = load(db, call.params["name"], call.params["version"])
        if environment is None:
            raise Refused(404, _MISSING)
        return environment

    def _save(self, db: sqlite3.Connection, environment: Environment, **changes: Any) -> None:
        moment = microseconds(self._clock())
        after = msgspec.structs.replace(environment, **changes, updated_at=hub_time(moment))
        keep(db, "environment", after.id, encode(after), moment)


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    """What a PUT changes. The name and the version in it do not count, an empty status or URL neither."""
    changes = {
        field: body[key]
        for key, field in (
            ("description", "description"),
            ("tags", "tags"),
            ("buildConfig", "build_config"),
            ("testConfig", "test_config"),
            ("deployConfig", "deploy_config"),
        )
        if key in body
    }
    if body.get("codeUrl"):
        changes["code_url"] = body["codeUrl"]
    if body.get("status"):
        changes["status"] = _state(body["status"])
    if "artifacts" in body:
        changes["artifacts"] = _artifacts(body)
    return changes
