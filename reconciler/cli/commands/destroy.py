"""``reconciler destroy``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.applying import Signals, approve, carry_out, check_refusals, finish, nothing_to_do
from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, locking, planning, running
from reconciler.cli.planner import plan_options, show_plan
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import SpecSet
from reconciler.core.ports import Lock
from reconciler.render.view import plan_view


@click.command("destroy")
@common
@locking
@planning
@running
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Delete everything that the stack manages. Asks for the stack's name."""
    session = Session.open(context, **options)
    nothing = session.no_specs()
    with session.lock("destroy") as lock:
        return run_async(_destroy(session, nothing, lock, options))


async def _destroy(session: Session, nothing: SpecSet, lock: Lock, options: dict[str, Any]) -> int:
    output = session.output
    with Progress(output) as progress:
        signals = Signals(progress.say)
        async with session.stack(progress, stop=signals.stop) as stack:
            await stack.settle(lock)
            planned = await stack.plan(nothing, plan_options(options, destroy=True))
            show_plan(output, plan_view(planned.plan))
            check_refusals(planned)
            if not planned.plan.steps:
                return nothing_to_do(output, planned.plan)
            name = session.config.name
            if not approve(
                output,
                options,
                question=f"Do you really want to destroy all resources of the stack {name}?",
                answer=name,
                hint="Look at the plan above; --auto-approve carries it out without asking.",
            ):
                return Exit.ERROR
            report = await carry_out(session, stack, planned, lock, progress, signals, options, "destroy")
    return finish(output, report, signals.received)
