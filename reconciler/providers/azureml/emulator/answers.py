"""What answers are made of: JSON, times, refusals in the vendor's words; and reading a query or a body."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from reconciler.providers.emulator import Answer

T = TypeVar("T")

encode: Final = msgspec.json.encode

JSON: Final = ((b"content-type", b"application/json; charset=utf-8"),)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_ARM_CODES: Final = {
    400: "BadRequest",
    401: "AuthenticationFailed",
    403: "AuthorizationFailed",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    429: "TooManyRequests",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServerBusy",
    504: "GatewayTimeout",
}
"""What the resource manager, which stands before the service, calls its own errors."""

_INNER_CODES: Final = {400: "BadArgument", 403: "Forbidden", 404: "NotFoundError", 409: "Conflict"}
"""What the service itself says below its one code, ``UserError``."""


def answer(body: object, status: int = 200, *headers: tuple[bytes, bytes]) -> Answer:
    """A JSON answer."""
    return Answer(status, encode(body), (*JSON, *headers))


def arm_error(status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    """An error of the resource manager: no details, no trace."""
    return answer({"error": {"code": code, "message": message}}, status, *headers)


def refuse(status: int, message: str) -> Answer:
    """How a fault, or a path that is not there, is spelled."""
    return arm_error(status, _ARM_CODES.get(status, "UnknownError"), message)


def user_error(status: int, message: str, inner: str = "") -> Answer:
    """An error of the machine learning service: nearly all have the code ``UserError``.

    What kind of error it is stands in ``additionalInfo``, under ``InnerError``.
    """
    trace = hashlib.sha256(message.encode()).hexdigest()
    told: tuple[tuple[str, Any], ...] = (
        ("ComponentName", "managementfrontend"),
        ("Correlation", {"operation": trace[:32], "request": trace[32:48]}),
        ("InnerError", {"code": inner or _INNER_CODES.get(status, "UserError"), "innerError": None}),
    )
    return answer(
        {
            "error": {
                "code": "UserError",
                "message": message,
                "details": [],
                "additionalInfo": [{"type": kind, "info": {"value": value}} for kind, value in told],
            }
        },
        status,
    )


class Refused(Exception):
    """The request gets this error as its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body.decode())
        self.answer = answer


def refused(status: int, message: str, inner: str = "") -> Refused:
    """The machine learning service says no."""
    return Refused(user_error(status, message, inner))


def ticks(moment: datetime) -> int:
    """A moment as the store counts it: in steps of 100 nanoseconds since 1970, as the service does."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10


def timestamp(count: int) -> str:
    """A moment as the wire spells it: up to seven digits of a second, no zeros at their end."""
    whole = _EPOCH + timedelta(microseconds=count // 10)
    spelled = f"{whole:%Y-%m-%dT%H:%M:%S}"
    fraction = f"{count % 10_000_000:07}".rstrip("0")
    return f"{spelled}.{fraction}+00:00" if fraction else f"{spelled}+00:00"


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The request body, or the refusal that names what is wrong with it."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise refused(400, f"The request body does not fit: {error}", "ValidationError") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refused(400, f"The request body is not JSON: {error}", "ValidationError") from None


def one_of(query: Mapping[str, str], name: str, values: Sequence[str], default: str) -> str:
    """A word of the query, in any case. Refuses words not in *values*."""
    given = query.get(name)
    if given is None:
        return default
    found = next((value for value in values if value.casefold() == given.casefold()), None)
    if found is None:
        raise refused(400, f"{name} must be one of {', '.join(values)}, not {given!r}", "ValidationError")
    return found


def whole_number(query: Mapping[str, str], name: str, most: int) -> int | None:
    """A number of the query from 1 on, cut to *most*; None when absent. Refuses other texts."""
    given = query.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit()) or not int(given[:10]):
        raise refused(400, f"{name} must be a whole number from 1 on, not {given!r}", "ValidationError")
    return min(int(given[:10]), most)


def retry_after(seconds: float) -> tuple[bytes, bytes]:
    """The header, in whole seconds: never too early."""
    return b"retry-after", b"%d" % max(1, math.ceil(seconds))
