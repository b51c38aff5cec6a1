"""Jobs, enough of them to use an environment."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from reconciler.providers.azureml.emulator.answers import (
    JSON,
    decoded,
    refused,
)
from reconciler.providers.azureml.emulator.asking import Ask
from reconciler.providers.azureml.emulator.definitions import check_pattern
from reconciler.providers.azureml.emulator.listings import Listings
from reconciler.providers.azureml.emulator.operations import Operations
from reconciler.providers.azureml.emulator.options import HERE, Workspace
from reconciler.providers.azureml.emulator.references import References
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
from reconciler.providers.emulator import Answer, Store

__all__ = ["JOBS", "Jobs", "set_job_status"]

JOBS: Final = "jobs"

_KINDS: Final = ("Command", "Spark", "AutoML", "Sweep", "Pipeline")

_OVER: Final = ("Completed", "Failed", "Canceled")

_MUTABLE: Final = ("description", "tags", "properties", "displayName", "isArchived")

_RESOURCES: Final = {
    "instanceCount": 1,
    "instanceType": None,
    "properties": None,
    "shmSize": "2g",
    "dockerArgs": None,
}


_HAS: Final = "EXISTS (SELECT 1 FROM json_each(CAST(text AS TEXT), ?) AS e WHERE e.key = ?)"

_HAS_VALUE: Final = f"{_HAS[:-1]} AND e.value = ?)"


class _Body(Struct):
    properties: dict[str, Any]


_BODY: Final = msgspec.json.Decoder(_Body)


def set_job_status(store: Store, *, job: str, status: str, workspace: Workspace = HERE) -> None:
    """Let a job get on, as no call of the API does: *status* is ``Running`` or the like.

    Raises LookupError when there is no such job. The store must have been
    given to ``build_app`` before.
    """
    with store.write() as db:
        row = db.execute(
            "SELECT * FROM azureml_place WHERE kind = 'workspaces' AND subscription = ?"
            " AND resource_group = ? AND name = ?",
            (workspace.subscription, workspace.resource_group, workspace.name),
        ).fetchone()
        found = find(db, Place(*row), JOBS, "", job) if row else None
        if found is None:
            raise LookupError(f"no job {job}")
        body = found.body
        body["properties"]["status"] = status
        replace(db, found, body, found.since)


class Jobs:
    """Answers what is asked of jobs. A job stays as it started until it is cancelled or told otherwise."""

    def __init__(
        self, platform: Platform, listings: Listings, references: References, operations: Operations
    ) -> None:
        self._platform = platform
        self._listings = listings
        self._references = references
        self._operations = operations

    def list(self, ask: Ask) -> Answer:
        """A page of jobs: of one ``jobType``, with a ``tag``, with ``properties``."""
        conditions, values = ["1"], []
        if "jobType" in ask.query:
            conditions.append("json_extract(CAST(text AS TEXT), '$.properties.jobType') = ?")
            values.append(ask.query["jobType"])
        for part, texts in (
            ("tags", [ask.query["tag"]] if "tag" in ask.query else []),
            ("properties", [text for text in ask.query.get("properties", "").split(",") if text]),
        ):
            for text in texts:
                key, equals, value = text.partition("=")
                conditions.append(_HAS_VALUE if equals else _HAS)
                values += [f"$.properties.{part}", key, *([value] if equals else [])]
        return self._listings.page(
            ask, JOBS, condition=" AND ".join(conditions), values=tuple(values), shown=self._shown
        )

    def read(self, ask: Ask) -> Answer:
        """One job."""
        found = self._platform.find(ask.place, JOBS, "", ask.params["id"])
        if found is None:
            raise _no_such(ask.params["id"])
        return Answer(200, self._shown(found), JSON)

    def _shown(self, job: Thing) -> bytes:
        if self._platform.now() >= job.secret.get("cancelled", 0):
            return job.text
        body = job.body
        body["properties"]["status"] = "CancelRequested"
        return msgspec.json.encode(body)

    def write(self, ask: Ask) -> Answer:
        """Submit a job, or change what can be changed of one."""
        name = ask.params["id"]
        check_pattern("Job", name)
        sent = decoded(_BODY, ask.call.body).properties
        kind = sent.get("jobType")
        if kind not in _KINDS:
            raise refused(400, f"jobType must be one of {', '.join(_KINDS)}", "ValidationError")
        for reference in _environments(sent):
            self._references.find(ask.place, reference)
        with self._platform.store.write() as db:
            found = find(db, ask.place, JOBS, "", name)
            if found is None:
                now = self._platform.now()
                created = next_moment(db, now)
                system = {
                    key: value
                    for key, value in born_by(ask.author, created).items()
                    if key.startswith("created")
                }
                body = envelope(ask.place, JOBS, "", name, _submitted(ask.place, name, sent), system)
                text = insert(
                    db,
                    ask.place,
                    JOBS,
                    "",
                    body,
                    created=created,
                    since=now,
                    archived=body["properties"]["isArchived"],
                    private={"sent": _fixed(sent)},
                )
                return Answer(201, text, (*JSON, ask.location))
            if found.secret["sent"] != _fixed(sent) and _fixed(sent) != _fixed(found.body["properties"]):
                raise refused(
                    409, f"Job {name} was submitted already, with another definition.", "AlreadyExists"
                )
            body = found.body
            body["properties"].update({key: sent[key] for key in _MUTABLE if key in sent})
            text = replace(
                db, found, body, self._platform.now(), archived=bool(body["properties"]["isArchived"])
            )
        return Answer(200, text, (*JSON, ask.location))

    def cancel(self, ask: Ask) -> Answer:
        """Ask a job to end; it does after a moment."""
        name = ask.params["id"]
        with self._platform.store.write() as db:
            found = find(db, ask.place, JOBS, "", name)
            if found is None:
                raise _no_such(name)
            body = found.body
            if body["properties"]["status"] in _OVER:
                raise refused(400, f"Job {name} has ended: {body['properties']['status']}")
            operation, ends = self._operations.start(db, ask.place, "job")
            body["properties"]["status"] = "Canceled"
            replace(db, found, body, self._platform.now(), private={**found.secret, "cancelled": ends})
        return self._operations.accepted(ask, operation)

    def delete(self, ask: Ask) -> Answer:
        """Delete a job that has ended."""
        name = ask.params["id"]
        with self._platform.store.write() as db:
            found = find(db, ask.place, JOBS, "", name)
            if found is None:
                return Answer(204, b"")
            if found.body["properties"]["status"] not in _OVER:
                raise refused(409, f"Job {name} has not ended: cancel it first")
            operation, _ = self._operations.start(db, ask.place, "job")
            remove(db, found, self._platform.now())
        return self._operations.accepted(ask, operation)


def _no_such(name: str) -> Exception:
    return refused(404, f"Job {name} was not found")


def _environments(sent: dict[str, Any]) -> list[str]:
    """The references to environments that a job is submitted with; Command and Spark cannot be without."""
    if sent["jobType"] == "Sweep":
        trial = sent.get("trial")
        found = [trial.get("environmentId") if isinstance(trial, dict) else None]
    elif sent["jobType"] == "Pipeline":
        return []
    else:
        found = [sent.get("environmentId")]
        if found == [None] and sent["jobType"] == "AutoML":
            return []
    if not all(isinstance(one, str) and one for one in found):
        raise refused(400, "environmentId is required", "ValidationError")
    return [str(one) for one in found]


def _fixed(sent: dict[str, Any]) -> dict[str, Any]:
    """What of a job can never be changed."""
    names = ("jobType", "environmentId", "command", "codeId", "computeId", "trial", "jobs")
    return {name: sent[name] for name in names if sent.get(name) is not None}


def _submitted(place: Place, name: str, sent: dict[str, Any]) -> dict[str, Any]:
    services = {
        kind: {
            "jobServiceType": kind,
            "port": None,
            "endpoint": endpoint,
            "status": None,
            "errorMessage": None,
            "properties": None,
            "nodes": None,
        }
        for kind, endpoint in (
            ("Tracking", f"azureml://{place.region}.api.azureml.ms/mlflow/v1.0{place.arm_id}?"),
            ("Studio", f"https://ml.azure.com/runs/{name}?wsid={place.arm_id}"),
        )
    }
    filled: dict[str, Any] = {
        "description": None,
        "tags": {},
        "properties": {},
        "displayName": name,
        "status": "Starting",
        "experimentName": "Default",
        "services": services,
        "computeId": None,
        "isArchived": False,
        "identity": None,
        "componentId": None,
        "inputs": {},
        "outputs": {},
    }
    if sent["jobType"] == "Command":
        filled |= {
            "codeId": None,
            "distribution": None,
            "autologgerSettings": None,
            "limits": None,
            "environmentVariables": {},
            "parameters": {},
        }
    shown = {
        **filled,
        **{key: value for key, value in sent.items() if value is not None or key not in filled},
    }
    shown["status"] = "Starting"
    if sent["jobType"] in ("Command", "Sweep"):
        shown["resources"] = {**_RESOURCES, **(sent.get("resources") or {})}
    return shown
