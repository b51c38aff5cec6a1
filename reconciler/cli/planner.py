"""What the commands that make a plan share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.cli.output import Output
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session
from reconciler.core.model import ResourceAddress, SpecSet
from reconciler.engine.planning import Planned, PlanOptions
from reconciler.render.text import plan_lines

__all__ = ["make_plan", "plan_options", "show_plan"]


def plan_options(options: Mapping[str, Any], *, destroy: bool = False) -> PlanOptions:
    """What the flags of `planning` ask for."""
    return PlanOptions(
        destroy=destroy,
        targets=tuple(options["targets"]),
        excludes=tuple(options["excludes"]),
        replaces=tuple(ResourceAddress.parse(text) for text in options["replaces"]),
        refresh=options["refresh"] == "all",
        allow_deletes=options["allow_deletes"],
    )


async def make_plan(session: Session, specs: SpecSet, options: Mapping[str, Any]) -> Planned:
    """A plan to look at. Takes the lock only when a dead run has to be settled first."""
    with Progress(session.output) as progress:
        async with session.stack(progress) as stack:
            if session.backend.open_run() is not None:
                with session.lock("plan") as lock:
                    await stack.settle(lock)
            with session.reading():
                return await stack.plan(specs, plan_options(options))


def show_plan(output: Output, view: Mapping[str, Any]) -> None:
    """A plan, as text or as one JSON line."""
    output.lines(plan_lines(view, output.palette, width=output.width))
    if view["changes"]:
        output.lines([f"{output.palette.dim}Digest: {view['digest']}{output.palette.end}"])
    output.record("plan", **view)
