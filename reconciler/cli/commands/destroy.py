"""``reconciler destroy``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.applying import Signals, approve, carry_out, check_refusals, finish
from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, locking, planning, running
from reconciler.cli.planner import plan_options, show_plan
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import SpecSet
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
    return run_async(_destroy(context, session, options))


async def _destroy(context: Context, session: Session, options: dict[str, Any]) -> int:
    output = context.output
    with session.lock("destroy") as lock, Progress(output) as progress, Signals(output) as signals:
        async with session.stack(progress, stop=signals.stop) as stack:
            await stack.settle(lock)
            planned = await stack.plan(SpecSet.empty(), plan_options(options, destroy=True))
            show_plan(output, plan_view(planned.plan))
            check_refusals(planned)
            if not planned.plan.steps:
                output.record("summary", exit_code=Exit.DONE, outcome="nothing to do")
                return Exit.DONE
            name = session.config.name
            question = f"Do you really want to destroy all resources of the stack {name}?"
            if not approve(output, options, question=question, answer=name):
                output.error("not approved", "Nothing was done.")
                output.record("summary", exit_code=Exit.ERROR, outcome="not approved")
                return Exit.ERROR
            report = await carry_out(session, stack, planned, lock, progress, options, "destroy")
    return finish(output, report, signals.received)
