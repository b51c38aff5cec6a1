"""``reconciler apply``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.cli.applying import Signals, approve, carry_out, check_refusals, finish
from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, locking, option, planning, running
from reconciler.cli.planner import plan_options, show_plan
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import Plan
from reconciler.engine.stack import Planned
from reconciler.errors import PlanAltered, PlanStale, UsageError
from reconciler.render.view import plan_view


@click.command("apply")
@click.argument("planfile", required=False)
@common
@locking
@planning
@running
@option("--expect", metavar="DIGEST", help="Apply without asking, if the plan has this digest.")
@click.pass_obj
def command(context: Context, /, planfile: str | None, **options: Any) -> int:
    """Carry out a plan: the saved one in PLANFILE exactly, or a new one after asking."""
    if planfile is not None and (options["targets"] or options["excludes"] or options["replaces"]):
        raise UsageError("a saved plan is applied as it is", hint="Give such options to `plan`.")
    session = Session.open(context, **options)
    plan = _read_plan(planfile) if planfile is not None else None
    return run_async(_apply(context, session, plan, options))


def _read_plan(planfile: str) -> Plan:
    from reconciler.state.codec import decode_plan

    try:
        data = Path(planfile).read_bytes()
    except OSError as error:
        raise PlanAltered(f"{planfile} cannot be read: {error.strerror}") from error
    return decode_plan(data, file=planfile)


async def _apply(context: Context, session: Session, plan: Plan | None, options: dict[str, Any]) -> int:
    output = context.output
    specs = session.specs(exact_revision=True)
    with session.lock("apply") as lock, Progress(output) as progress, Signals(output) as signals:
        async with session.stack(progress, stop=signals.stop) as stack:
            await stack.settle(lock)
            if plan is not None:
                planned = await stack.verify(plan, specs)
                _expect(planned, options["expect"])
                check_refusals(planned)
            else:
                planned = await stack.plan(specs, plan_options(options))
                show_plan(output, plan_view(planned.plan))
                _expect(planned, options["expect"])
                check_refusals(planned)
                if planned.plan.is_empty and not planned.plan.steps:
                    output.record("summary", exit_code=Exit.DONE, outcome="nothing to do")
                    return Exit.DONE
                if not planned.plan.is_empty and not options["expect"]:
                    question = "Do you want to perform these actions?"
                    if not approve(output, options, question=question, answer="yes"):
                        output.error("not approved", "Nothing was done.")
                        output.record("summary", exit_code=Exit.ERROR, outcome="not approved")
                        return Exit.ERROR
            if planned.plan.is_empty and not planned.plan.steps:
                output.lines(["Nothing to do."])
                output.record("summary", exit_code=Exit.DONE, outcome="nothing to do")
                return Exit.DONE
            report = await carry_out(session, stack, planned, lock, progress, options, "apply")
    return finish(output, report, signals.received)


def _expect(planned: Planned, digest: str | None) -> None:
    if digest is None:
        return
    from reconciler.core.planner import plan_digest

    now = plan_digest(planned.plan)
    if digest != now:
        raise PlanStale(
            f"the plan is not the expected one: its digest is {now}",
            moved=[f"{change.action} {change.address}: {change.reason}" for change in planned.plan.changes],
            hint="Nothing was done. Specs or platforms changed since it was reviewed; review it again.",
        )
