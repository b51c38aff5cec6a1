"""Lists: filtered, in order, in pages, and behind the truth when that is asked."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final
from urllib.parse import urlencode

from reconciler.providers.azureml.emulator.answers import JSON, encode, one_of, refused, whole_number
from reconciler.providers.azureml.emulator.asking import Ask
from reconciler.providers.azureml.emulator.store import COLUMNS, Platform, Thing
from reconciler.providers.emulator import Answer

_MOST: Final = 1000
"""Entries that ``$top`` may ask for."""

_ORDERS: Final = ("createdtime desc", "createdtime asc")

_VIEWS: Final = {"ActiveOnly": "archived = 0", "ArchivedOnly": "archived = 1", "All": "1"}

_WITH_THE_PAST: Final = (
    f"(SELECT {COLUMNS}, NULL AS until FROM azureml_thing"  # noqa: S608  # no foreign text
    " UNION ALL SELECT * FROM azureml_past)"
)

_TOKEN: Final = re.compile(r"([<>])([0-9]{1,18})")


class Listings:
    """Answers the lists of every family of things."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def page(
        self,
        ask: Ask,
        family: str,
        parent: str = "",
        *,
        condition: str = "1",
        values: tuple[object, ...] = (),
        has_view: bool = True,
        shown: Any = None,
    ) -> Answer:
        """A page, newest first unless the query says otherwise.

        *condition* is SQL over the columns of a thing. *has_view* says that
        ``listViewType`` is heeded. *shown* turns a thing into its text.
        """
        query = ask.query
        view = _VIEWS[one_of(query, "listViewType", tuple(_VIEWS), "ActiveOnly")] if has_view else "1"
        newest_first = one_of(query, "$orderBy", _ORDERS, _ORDERS[0]) == _ORDERS[0]
        size = whole_number(query, "$top", _MOST) or self._platform.options.page_size
        sign, after = _continued(query.get("$skip"), newest_first=newest_first)
        found = self._things(
            ask,
            f"({condition}) AND {view} AND seq {sign} ?",
            (family, parent, *values, after),
            size + 1,
            newest_first,
        )
        page = found[:size]
        body = b'{"value":[%b]' % b",".join(
            (shown or _text)(thing) for thing in (page[: -ask.call.hide] if ask.call.hide else page)
        )
        if len(found) > size:
            token = base64.urlsafe_b64encode(f"{sign}{page[-1].seq}".encode()).decode()
            link = f"{ask.call.origin}{ask.call.path}?{urlencode({**query, '$skip': token}, safe='$')}"
            body += b',"nextLink":%b' % encode(link)
        return Answer(200, body + b"}", JSON)

    def _things(
        self, ask: Ask, condition: str, values: tuple[object, ...], limit: int, newest_first: bool
    ) -> list[Thing]:
        lag = max(ask.call.lag, self._platform.options.list_lag)
        source = "azureml_thing"
        parameters: list[object] = [ask.place.id, *values]
        if lag:
            source = _WITH_THE_PAST
            then = self._platform.now() - int(lag * 10_000_000)
            condition += " AND since <= ? AND (until IS NULL OR until > ?)"
            parameters += [then, then]
        rows = self._platform.store.rows(
            f"SELECT {COLUMNS} FROM {source}"  # noqa: S608  # no foreign text
            f" WHERE place = ? AND family = ? AND parent = ? AND {condition}"
            f" ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT {limit}",
            parameters,
        )
        return [Thing(*row) for row in rows]


def _text(thing: Thing) -> bytes:
    return thing.text


def _continued(token: str | None, *, newest_first: bool) -> tuple[str, int]:
    """Where a page starts: the comparison and the number that what it shows must fit."""
    sign = "<" if newest_first else ">"
    if token is None:
        return sign, 2**62 if newest_first else 0
    try:
        parsed = _TOKEN.fullmatch(base64.b64decode(token.encode(), b"-_", validate=True).decode())
    except (binascii.Error, ValueError):
        parsed = None
    if parsed is None or parsed[1] != sign:
        raise refused(400, "$skip is no continuation token of this list", "ValidationError")
    return sign, int(parsed[2])
