"""Long-running operations: what an answer says of one, and how it is asked about.

An operation ends ``Options.operation_seconds`` after it began, asked about or
not. Two kinds of address tell of it: ``Azure-AsyncOperation`` answers 200 with
a status, ``Location`` answers 202 until it is over.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from reconciler.providers.azureml.emulator.answers import (
    JSON,
    answer,
    refused,
    retry_after,
    timestamp,
)
from reconciler.providers.azureml.emulator.asking import Ask
from reconciler.providers.azureml.emulator.store import COLUMNS, Place, Platform, Thing, insert, next_moment
from reconciler.providers.emulator import Answer, Call

__all__ = ["Operations", "settled"]

_FAMILY: Final = "operations"

_Headers = tuple[tuple[bytes, bytes], ...]


def settled(thing: Thing, now: int) -> bytes:
    """The text of a thing, whose ``provisioningState`` is that of its last operation while that goes on."""
    private = thing.secret
    if now >= private.get("ends", 0):
        return thing.text
    body = thing.body
    body["properties"]["provisioningState"] = private["during"]
    return answer(body).body


class Operations:
    """Starts operations and answers how far they are."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def start(
        self,
        db: sqlite3.Connection,
        place: Place,
        prefix: str,
        *,
        running: str = "Updating",
        result: Any = None,
    ) -> tuple[str, int]:
        """Begin one: its name, and when it will be over. *result* is what ``Location`` answers in the end."""
        now = self._platform.now()
        ends = now + int(self._platform.options.operation_seconds * 10_000_000)
        name = f"{prefix}:{place.guid}:{self._platform.new_id()}"
        body = {"name": name, "start": now, "ends": ends, "running": running, "result": result}
        insert(db, place, _FAMILY, "", body, created=next_moment(db, now), since=now)
        return name, ends

    def url(self, ask: Ask, kind: str, name: str) -> str:
        """Where to ask about an operation: *kind* is ``mfeOperationsStatus`` or ``mfeOperationResults``."""
        place = ask.place
        return (
            f"{ask.call.origin}/subscriptions/{place.subscription}/providers/Microsoft.MachineLearningServices"
            f"/locations/{place.region}/{kind}/{name}?api-version={ask.query.get('api-version', '')}"
        )

    def of_put(self, ask: Ask, name: str, timeout: str = "PT30M") -> _Headers:
        """What an answer to a PUT says of the operation that it began."""
        return (
            *JSON,
            (b"azure-asyncoperation", self.url(ask, "mfeOperationsStatus", name).encode()),
            (b"x-ms-async-operation-timeout", timeout.encode()),
            ask.location,
        )

    def accepted(self, ask: Ask, name: str) -> Answer:
        """202, with where the result will be."""
        location = self.url(ask, "mfeOperationResults", name).encode()
        timeout = (b"x-ms-async-operation-timeout", b"PT1H")
        return Answer(202, b"", ((b"location", location), timeout, self.wait))

    @property
    def wait(self) -> tuple[bytes, bytes]:
        """The header that says when to ask again."""
        return retry_after(self._platform.options.operation_seconds)

    def find(self, name: str) -> dict[str, Any]:
        """An operation by its name. Refuses an unknown one."""
        row = self._platform.store.row(
            f"SELECT {COLUMNS} FROM azureml_thing WHERE family = ? AND name = ?",  # noqa: S608
            (_FAMILY, name),
        )
        if row is None:
            raise refused(404, f"There is no operation {name}")
        return Thing(*row).body

    def is_over(self, operation: dict[str, Any]) -> bool:
        """Whether it has ended."""
        return self._platform.now() >= int(operation["ends"])

    def status(self, ask: Ask) -> Answer:
        """``mfeOperationsStatus``."""
        operation = self.find(ask.params["operation"])
        over = self.is_over(operation)
        told: dict[str, Any] = {
            "id": ask.call.path,
            "name": operation["name"],
            "startTime": timestamp(operation["start"]),
            "percentComplete": 100.0 if over else 0.0,
            "status": "Succeeded" if over else operation["running"],
        }
        if over:
            told["endTime"] = timestamp(operation["ends"])
        return answer(told)

    def result(self, ask: Ask) -> Answer:
        """``mfeOperationResults``."""
        operation = self.find(ask.params["operation"])
        if not self.is_over(operation):
            return self.accepted(ask, operation["name"])
        if operation["result"] is None:
            return Answer(200, b"", ())
        return answer(operation["result"])

    def plain(self, call: Call) -> Answer:
        """Where a registry's own operations are asked about: 202 or 200, both with nothing in them."""
        return Answer(200 if self.is_over(self.find(call.params["operation"])) else 202, b"", ())
