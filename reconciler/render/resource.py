"""One resource from its three sides: specs, state, platform; and what uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.core.attributes import ID, Attributes, replace_markers
from reconciler.core.model import Path, Remote
from reconciler.render.characters import printable
from reconciler.render.difference import quoted
from reconciler.render.text import PLAIN, Palette
from reconciler.render.view import shown as in_words
from reconciler.render.view import visible

__all__ = ["resource_lines", "resource_view"]


def resource_view(
    *,
    address: str | None,
    status: str,
    source: str | None,
    desired: Attributes | None,
    prior: Attributes | None,
    live: Remote | None,
    names: Mapping[str, str],
    shown: Callable[[Path, Any], bool],
) -> dict[str, Any]:
    """A resource for people and tools.

    *names* are the addresses of our own objects by their ids; *shown* says
    whether a live value may be seen.
    """

    def named(value: Any) -> Any:
        return replace_markers(value, ID, lambda remote_id: names.get(remote_id, {ID: remote_id}))

    return {
        "format_version": 1,
        "address": address,
        "status": status,
        "source": source,
        "id": live.id if live is not None else None,
        "details": dict(live.details) if live is not None else {},
        "live": visible(named(live.attributes.values_), shown) if live is not None else None,
        "desired": in_words(named(desired.values_)) if desired is not None else None,
        "applied": in_words(named(prior.values_)) if prior is not None else None,
        "used_by": [str(user) for user in live.used_by or ()] if live is not None else [],
    }


def resource_lines(view: Mapping[str, Any], palette: Palette = PLAIN) -> Iterator[str]:
    """A resource as text: what it is, each field with what the specs want where that differs, its users."""
    name = printable(view["address"] or str(view["live"]["name"]))
    yield f"{palette.bold}{name}{palette.end}  {view['status']}"
    for name, value in (("spec", view["source"]), ("id", view["id"]), *view["details"].items()):
        if value:
            yield f"  {name.replace('_', ' '):<12} {printable(str(value))}"
    live = view["live"] if view["live"] is not None else {}
    desired = view["desired"] if view["desired"] is not None else {}
    yield ""
    for name in {**live, **desired}:
        if name == "tools" or live.get(name) is desired.get(name) is None:
            continue
        if name not in live:
            where = "" if view["live"] is None else f"   {palette.dim}(in the spec only){palette.end}"
            yield f"  {name} = {quoted(desired[name])}{where}"
        else:
            yield from _value_lines(name, live[name])
            if name in desired and desired[name] != live[name] and view["applied"] is not None:
                yield f"    {palette.change}the spec wants{palette.end} {quoted(desired[name])}"
    tools = (live or desired).get("tools") or {}
    wanted = desired.get("tools", tools) if view["applied"] is not None else tools
    if tools or wanted:
        yield ""
        yield f"{palette.bold}Tools and connections{palette.end}"
        yield from (f"  {printable(f'{name}: {_connection(tool)}')}" for name, tool in tools.items())
        if wanted != tools:
            yield f"  {palette.change}the spec wants{palette.end}{'' if wanted else ' none'}"
            yield from (f"    {printable(f'{name}: {_connection(tool)}')}" for name, tool in wanted.items())
    yield ""
    if view["used_by"]:
        yield f"{palette.bold}Used by{palette.end}"
        yield from (f"  {printable(user)}" for user in view["used_by"])
    elif view["live"] is not None:
        yield "Used by nothing."


def _value_lines(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield f"  {name}"
        yield from (f"    {printable(key)} = {quoted(item)}" for key, item in value.items())
    else:
        yield f"  {name} = {quoted(value)}"


def _connection(tool: Mapping[str, Any]) -> str:
    if "connection" not in tool:
        return f"{tool.get('type')}, external at {tool.get('url')}"
    custom = " (custom)" if tool.get("custom") else ""
    url = f" {tool['url']}" if tool.get("url") else ""
    return (
        f"{tool.get('type')}, {tool['connection']}{custom}{url}, container port {tool.get('container_port')}"
    )
