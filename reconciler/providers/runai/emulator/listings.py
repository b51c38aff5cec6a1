"""Lists that are answered in pages: organisation units and workloads.

They are filtered by expressions such as ``name=@vis``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from reconciler.providers.runai.emulator.answers import Refused, one_of

_EXPRESSION: Final = re.compile(r"([A-Za-z0-9]+)(==|!=|<=|>=|=@|!@|=\^|=\$)(.+)", re.DOTALL)


_ORDER_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
}


_TEXT_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    **_ORDER_OPERATORS,
    "=@": operator.contains,
    "!@": lambda value, wanted: wanted not in value,
    "=^": str.startswith,
    "=$": str.endswith,
}


_Field = Callable[[Mapping[str, Any]], Any]


def _key(name: str) -> _Field:
    return lambda entry: entry.get(name, "")


def _quota(entry: Mapping[str, Any]) -> float:
    return float(entry["totalResources"]["gpuQuota"])


def _nothing_measured(entry: Mapping[str, Any]) -> float:
    return 0.0


_MEASURED: Final = {
    "gpuAllocated": _nothing_measured,
    **{
        f"avg{what}{window}": _nothing_measured
        for what in ("GpuAllocation", "GpuUtilization", "GpuMemoryUtilization")
        for window in ("24h", "7d", "30d")
    },
}


class Listing(NamedTuple):
    """A list that is answered in pages: what kind its entries are, and what can be filtered and sorted by."""

    kind: str
    fields: Mapping[str, _Field]


DEPARTMENTS: Final = Listing(
    "department",
    {
        "name": _key("name"),
        "clusterId": _key("clusterId"),
        "totalGpuQuota": _quota,
        "createdAt": _key("createdAt"),
        **_MEASURED,
    },
)


PROJECTS: Final = Listing(
    "project",
    {
        **DEPARTMENTS.fields,
        "departmentId": _key("parentId"),
        "parentId": _key("parentId"),
        "phase": lambda entry: entry["status"]["phase"],
    },
)


WORKLOADS: Final = Listing(
    "workload",
    {
        **{
            name: _key(name)
            for name in (
                "type",
                "name",
                "clusterId",
                "projectId",
                "projectName",
                "departmentId",
                "departmentName",
                "createdAt",
                "submittedBy",
                "phase",
                "phaseUpdatedAt",
                "category",
                "priorityClassName",
            )
        },
        "priority": lambda entry: float(entry["priority"]),
    },
)


_EXPRESSIONS: Final = "a comma-joined list of field, operator and value"


def _matches(entry: Mapping[str, Any], expression: str, fields: Mapping[str, _Field]) -> bool:
    parsed = _EXPRESSION.fullmatch(expression)
    if parsed is None or parsed[1] not in fields:
        raise Refused(400, "Invalid query", f"filterBy: {_EXPRESSIONS}; fields are {', '.join(fields)}")
    name, sign, wanted = parsed.groups()
    value = fields[name](entry)
    if isinstance(value, str) and not name.endswith("At"):
        return _TEXT_OPERATORS[sign](value, wanted)
    if sign not in _ORDER_OPERATORS:
        raise Refused(400, "Invalid query", f"filterBy: {name} has no {sign}")
    try:
        if isinstance(value, str):
            return _ORDER_OPERATORS[sign](_instant(value), _instant(wanted))
        return _ORDER_OPERATORS[sign](value, float(wanted))
    except ValueError:
        raise Refused(400, "Invalid query", f"filterBy: {name} cannot be {wanted}") from None


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def selected(
    texts: Iterable[bytes], query: Mapping[str, str], listing: Listing
) -> list[tuple[dict[str, Any], bytes]]:
    """The entries, each with its text, that ``filterBy`` and ``search`` leave, in the order of ``sortBy``."""
    expressions = [part for part in query.get("filterBy", "").split(",") if part]
    searched = query.get("search", "").casefold()
    entries = [
        (entry, text)
        for entry, text in ((msgspec.json.decode(text), text) for text in texts)
        if searched in entry["name"].casefold()
        and all(_matches(entry, expression, listing.fields) for expression in expressions)
    ]
    by = one_of(query, "sortBy", tuple(listing.fields))
    descending = one_of(query, "sortOrder", ("asc", "desc")) == "desc"
    if by is not None:
        entries.sort(key=lambda found: listing.fields[by](found[0]), reverse=descending)
    return entries
