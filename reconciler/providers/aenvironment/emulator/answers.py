"""What answers are made of: the envelope, times, refusals; and reading a body, or refusing it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import wraps
from typing import Any, Final

import msgspec

from reconciler.providers.aenvironment.emulator.golang import Record, Unreadable, decode
from reconciler.providers.emulator import Answer, Call, Handler

encode: Final = msgspec.json.encode


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


_ZONE: Final = timezone(timedelta(hours=8))
"""Where EnvHub's clock hangs: its times carry an offset."""


TEXT: Final = ((b"content-type", b"text/plain"),)


def done(data: object) -> Answer:
    """The envelope of success: always 200, also for what was created."""
    return done_raw(encode(data))


def done_raw(data: bytes) -> Answer:
    """The envelope of success around *data*, which is JSON already."""
    return Answer(200, b'{"success":true,"code":0,"message":"","data":%b}' % data)


def refuse(status: int, message: str) -> Answer:
    """The envelope of failure: the status again as ``code``, no data."""
    return Answer(status, encode({"success": False, "code": status, "message": message, "data": None}))


class Refused(Exception):
    """The request gets this error as its answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = refuse(status, message)


def answered(handle: Handler) -> Handler:
    """*handle*, what it refuses being its answer."""

    @wraps(handle)
    def answering(call: Call) -> Answer:
        try:
            return handle(call)
        except Refused as refused:
            return refused.answer

    return answering


def body_of(call: Call, record: Record, complaint: Callable[[str], str]) -> dict[str, Any]:
    """The request body; refused with 400 and *complaint* about what Go's decoder says."""
    try:
        return decode(call.body, record)
    except Unreadable as error:
        raise Refused(400, complaint(str(error))) from None


def microseconds(moment: datetime) -> int:
    """A moment as the store counts it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def hub_time(moment: int) -> str:
    """A moment as EnvHub spells it: RFC 3339, up to nine digits of a second, an offset.

    Go's clock counts nanoseconds and ours does not, so the last three digits
    are made up, always the same for one moment.
    """
    spelled = _EPOCH + timedelta(microseconds=moment)
    digits = f"{spelled.microsecond:06}{spelled.microsecond % 997:03}".rstrip("0")
    local = spelled.astimezone(_ZONE).isoformat(timespec="seconds")
    return f"{local[:19]}.{digits}{local[19:]}" if digits else local


def service_time(moment: int) -> str:
    """A moment as the controller spells it for services: UTC, without saying so."""
    return (_EPOCH + timedelta(microseconds=moment)).strftime("%Y-%m-%d %H:%M:%S")


def instance_time(moment: int) -> str:
    """A moment as lists of instances spell it."""
    return (_EPOCH + timedelta(microseconds=moment)).strftime("%Y-%m-%dT%H:%M:%SZ")
