"""What answers are made of: JSON, times, refusals; and reading a query or a body, or refusing it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

import msgspec

from reconciler.providers.emulator import Answer
from reconciler.providers.runai import api

T = TypeVar("T")


encode: Final = msgspec.json.encode


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def refuse(status: int, message: str, details: str = "") -> Answer:
    """The error envelope, which every answer outside 2xx has but those of the v2 token call."""
    return Answer(status, encode({"code": status, "message": message, "details": details}))


class Refused(Exception):
    """The request gets this error as its answer."""

    def __init__(self, status: int, message: str, details: str = "") -> None:
        super().__init__(message)
        self.answer = refuse(status, message, details)


def microseconds(moment: datetime) -> int:
    """A moment as the store counts it."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def timestamp(microseconds: int) -> str:
    """A moment as the wire spells it."""
    spelled = (_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec="microseconds")
    return spelled.removesuffix("+00:00") + "Z"


def decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The request body, or the refusal that names what is wrong with it."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(400, "Invalid request", str(error)) from None
    except (*api.UNREADABLE, RecursionError) as error:
        raise Refused(400, "The body is not JSON", str(error)) from None


def flag(query: Mapping[str, str], name: str) -> bool | None:
    """A boolean of the query, None when absent. Refuses other words."""
    value = query.get(name)
    if value is None:
        return None
    if value not in ("true", "false"):
        raise Refused(400, "Invalid query", f"{name}: true or false")
    return value == "true"


def one_of(query: Mapping[str, str], name: str, values: Sequence[str]) -> str | None:
    """A word of the query, None when absent. Refuses words not in *values*."""
    value = query.get(name)
    if value is not None and value not in values:
        raise Refused(400, "Invalid query", f"{name}: one of {', '.join(values)}")
    return value


def whole_number(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    """A number of the query, None when absent. Refuses what is outside *least* to *most*."""
    value = query.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,10}", value) or not least <= int(value) <= most:
        raise Refused(400, "Invalid query", f"{name}: a whole number from {least} to {most}")
    return int(value)


def counted(count: int) -> Answer:
    """The answer of a count."""
    return Answer(200, encode({"count": count}))
