"""What the commands that make a plan share."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from reconciler.cli.applying import check_refusals
from reconciler.cli.context import Context, Exit
from reconciler.cli.files import write_private
from reconciler.cli.output import Output
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import ResourceAddress, Surroundings
from reconciler.core.ports import Lock
from reconciler.engine.planning import Planned
from reconciler.engine.selection import PlanOptions
from reconciler.engine.stack import Stack
from reconciler.errors import PlanRefused
from reconciler.render.text import plan_lines
from reconciler.state.codec import encode_plan

__all__ = ["keep_plan", "make_plan", "plan_options", "show_plan"]


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


def make_plan(session: Session, command: str, make: Callable[[Stack], Awaitable[Planned]]) -> Planned:
    """A plan to look at, made by *make*. Takes the lock only when a dead run has to be settled first."""

    async def settle(lock: Lock) -> None:
        with Progress(session.output) as progress:
            async with session.stack(progress) as stack:
                await stack.settle(lock)

    async def plan() -> Planned:
        with Progress(session.output) as progress:
            async with session.stack(progress) as stack:
                return await make(stack)

    # Locks are waited for outside of asyncio, where Ctrl-C ends the waiting at once.
    if session.backend.open_run() is not None:
        with session.lock(command) as lock:
            run_async(settle(lock))
    with session.reading():
        return run_async(plan())


def keep_plan(session: Session, context: Context, planned: Planned, file: str | None) -> int:
    """Save a plan that was shown, if it is to be saved. What policy forbids is not, and is exit code 3."""
    try:
        check_refusals(planned)
    except PlanRefused as error:
        context.output.failure(error)
        if file:
            context.output.note(f"The plan is not saved to {file}.", urgent=True)
        return Exit.REFUSED
    if file:
        providers = {name: one.provider for name, one in session.config.settings.platforms.items()}
        write_private(file, encode_plan(planned.plan, Surroundings(providers, planned.prior)))
        where = ["-C", context.chdir] if context.chdir is not None else []
        command_line = shlex.join(["reconciler", *where, "apply", file])
        context.output.lines(["", f"Saved the plan to: {file}", f"Apply exactly it: {command_line}"])
    return Exit.DONE


def show_plan(output: Output, view: Mapping[str, Any]) -> None:
    """A plan, as text or as one JSON line."""
    output.lines(
        plan_lines(view, output.palette, width=output.width, quiet=output.quiet, verbose=output.verbose)
    )
    if view["changes"]:
        output.lines([f"{output.palette.dim}Digest: {view['digest']}{output.palette.end}"])
    output.record("plan", **view)
