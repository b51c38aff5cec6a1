"""A plan as one HTML page, to be read in a browser: self-contained, without any access to the network.

Made from the view alone. Every value is escaped by the template engine, and
the page's own policy lets nothing run but the script that is written here.
Without JavaScript everything is open and readable.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from reconciler.render.characters import printable
from reconciler.render.difference import (
    SYMBOLS,
    destructive_first,
    gravest_first,
    is_grave,
    line_changes,
    notes,
    quoted,
    reads_better_by_line,
    symbol_of,
)
from reconciler.render.graph import HEIGHT
from reconciler.render.plan_graph import plan_graph
from reconciler.render.text import NO_CHANGES, summary_line
from reconciler.render.warnings import grouped

__all__ = ["html"]

_ORDER: Final = ("delete", "replace", "update", "create", "adopt", "move", "forget")


def html(view: Mapping[str, Any]) -> str:
    """The page for the plan in *view*."""
    environment = Environment(
        loader=PackageLoader("reconciler.render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["symbol"] = symbol_of
    environment.filters["grouped"] = grouped
    style, script = (_source(environment, name) for name in ("plan.css", "plan.js"))
    changes = sorted(view["changes"], key=destructive_first)
    empty = "No objects need to be destroyed." if view["destroy"] else NO_CHANGES
    return environment.get_template("plan.html").render(
        view=view,
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        headline=summary_line(view["summary"]) if changes else empty,
        symbols=SYMBOLS,
        actions=_counted((change["action"] for change in changes), _ORDER),
        platforms=_counted((change["address"].split(".", 1)[0] for change in changes), ()),
        changes=[{**change, "rows": list(_rows(change))} for change in changes],
        grave=gravest_first(changes),
        lesser=[change for change in changes if change["risk"] and not is_grave(change)],
        graph=plan_graph(changes),
        box_height=HEIGHT,
    )


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _counted(words: Iterator[str], order: tuple[str, ...]) -> list[tuple[str, int]]:
    """How often each word comes, the words of *order* first and in that order."""
    found = Counter(words)
    return sorted(
        found.items(), key=lambda item: (order.index(item[0]) if item[0] in order else len(order), item[0])
    )


def _rows(change: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The fields of a change as the template shows them: values, or the lines that differ."""
    for one in change["fields"]:
        before, after = one["before"], one["after"]
        row: dict[str, Any] = {"path": one["path"], "note": notes(one), "old": None, "new": None, "lines": []}
        if one["sensitive"]:
            row["note"] = ", ".join(filter(None, ("changed, secret", row["note"])))
        elif before is not None and after is not None and reads_better_by_line(before, after):
            row["lines"] = list(line_changes(before, after))
        else:
            row["old"] = None if before is None else quoted(before)
            row["new"] = None if after is None else quoted(after)
        yield row
