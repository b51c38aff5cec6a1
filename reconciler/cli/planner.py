"""What the commands that make a plan share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.cli.output import Output
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import ResourceAddress, SpecSet
from reconciler.core.ports import Lock
from reconciler.engine.planning import Planned
from reconciler.engine.selection import PlanOptions
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


def make_plan(session: Session, specs: SpecSet, options: Mapping[str, Any]) -> Planned:
    """A plan to look at. Takes the lock only when a dead run has to be settled first."""

    async def settle(lock: Lock) -> None:
        with Progress(session.output) as progress:
            async with session.stack(progress) as stack:
                await stack.settle(lock)

    async def plan() -> Planned:
        with Progress(session.output) as progress:
            async with session.stack(progress) as stack:
                return await stack.plan(specs, plan_options(options))

    # Locks are waited for outside of asyncio, where Ctrl-C ends the waiting at once.
    if session.backend.open_run() is not None:
        with session.lock("plan") as lock:
            run_async(settle(lock))
    with session.reading():
        return run_async(plan())


def show_plan(output: Output, view: Mapping[str, Any]) -> None:
    """A plan, as text or as one JSON line."""
    output.lines(
        plan_lines(view, output.palette, width=output.width, quiet=output.quiet, verbose=output.verbose)
    )
    if view["changes"]:
        output.lines([f"{output.palette.dim}Digest: {view['digest']}{output.palette.end}"])
    output.record("plan", **view)
