"""A past run as text and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from reconciler.core.model import Path
from reconciler.core.report import PastRun
from reconciler.render.characters import printable
from reconciler.render.difference import quoted
from reconciler.render.text import PLAIN, Palette
from reconciler.render.view import shown as in_words
from reconciler.render.view import visible

__all__ = ["past_run_lines", "past_run_view"]


def past_run_view(run: PastRun, *, shown: Callable[[Path, Any], bool]) -> dict[str, Any]:
    """A past run for people and tools: what each step wrote, over what, and how it ended.

    *shown* says whether a value that the platform had may be seen.
    """
    return {
        "format_version": 1,
        "run": run.id,
        "command": run.command,
        "who": run.who,
        "started": run.started,
        "ended": run.ended or None,
        "outcome": run.outcome,
        "digest": run.digest or None,
        "revision": run.revision or None,
        "edited": list(run.edited),
        "steps": [
            {
                "step": past.step.number,
                "verb": str(past.step.verb),
                "address": str(past.step.address),
                "outcome": past.outcome,
                "id": past.remote_id or None,
                "error": past.error or None,
                "remedy": past.remedy or None,
                "wrote": in_words(past.step.attributes.values_) if past.step.attributes is not None else None,
                "before": visible(past.before.values_, shown) if past.before is not None else None,
            }
            for past in run.steps
        ],
    }


def past_run_lines(view: Mapping[str, Any], palette: Palette = PLAIN) -> Iterator[str]:
    """A past run as text."""
    yield f"{palette.bold}Run {view['run']}{palette.end}  {view['outcome']}"
    for name in ("command", "who", "started", "ended", "digest", "revision"):
        if view[name]:
            yield f"  {name:<9} {view[name]}"
    yield from (f"  {printable(text)}" for text in view["edited"])
    for step in view["steps"]:
        yield ""
        yield f"  {step['verb']} {palette.bold}{printable(step['address'])}{palette.end}: {step['outcome']}"
        if step["error"]:
            yield from (f"    {printable(line)}" for line in step["error"].split("\n"))
        if step["remedy"]:
            yield f"    To do it by hand: {printable(step['remedy'])}"
        if step["id"]:
            yield f"    id = {quoted(step['id'])}"
        wrote, before = step["wrote"] or {}, step["before"] or {}
        for name, value in wrote.items():
            if step["before"] is None:
                yield f"    {name} = {quoted(value)}"
            elif before.get(name) != value:
                yield f"    {name} = {quoted(before.get(name))} -> {quoted(value)}"
        if step["verb"] == "delete":
            yield from (f"    {name} = {quoted(value)}" for name, value in before.items())
