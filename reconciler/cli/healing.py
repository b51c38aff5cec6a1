"""``drift --heal``: puts back what was last applied, through the same plan and apply as everything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.cli.applying import Signals, approve, carry_out, check_refusals, report_run
from reconciler.cli.context import Exit
from reconciler.cli.planner import show_plan
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, now, run_async
from reconciler.core.model import SpecSet
from reconciler.core.ports import Lock
from reconciler.errors import PlanRefused
from reconciler.render.characters import printable
from reconciler.render.view import plan_view

__all__ = ["heal"]

_COMMAND = "drift --heal"


def heal(session: Session, options: Mapping[str, Any]) -> int:
    """Plan, ask, apply. The exit code of that, 0 when there was nothing to put back.

    Raises `SpecErrors` for specs that cannot be read: they say which fields
    are left to others.
    """
    if not session.config.settings.policy.heal:
        raise PlanRefused(
            "the policy allows nothing to be put back",
            hint='Say in reconciler.toml what may: [policy] heal = ["update"]; besides, there are '
            '"create" and "replace".',
        )
    specs = session.specs(exact_revision=True)
    with session.lock(_COMMAND) as lock:
        return run_async(_heal(session, specs, lock, options))


async def _heal(session: Session, specs: SpecSet, lock: Lock, options: Mapping[str, Any]) -> int:
    output = session.output
    with Progress(output) as progress:
        signals = Signals(progress.say)
        async with session.stack(progress, stop=signals.stop) as stack:
            await stack.settle(lock)
            report, healing = await stack.heal(
                specs, accepted=session.config.settings.accepted, day=now().partition("T")[0]
            )
            for line in healing.left:
                output.note(f"Left as it is: {printable(line)}")
            planned = healing.planned
            if not planned.plan.steps:
                if report.drifted:
                    output.note("Nothing is put back.")
                return Exit.DONE
            show_plan(output, plan_view(planned.plan))
            check_refusals(planned)
            if not approve(
                output,
                options,
                question="Do you want to put back what was last applied?",
                answer="yes",
                hint="Give --auto-approve.",
            ):
                return Exit.ERROR
            run = await carry_out(session, stack, planned, lock, progress, signals, options, _COMMAND)
    code, view = report_run(output, run, signals.received)
    output.record("run", **view)
    output.lines([""])
    return code
