"""``reconciler apply``."""

from __future__ import annotations

import re
from typing import Any, Final

import click
from click.core import ParameterSource

from reconciler.cli.applying import Signals, approve, carry_out, check_refusals, finish, nothing_to_do
from reconciler.cli.context import Context, Exit
from reconciler.cli.expecting import expect, plan_reviewed, read_reviewed
from reconciler.cli.files import read_plan
from reconciler.cli.options import common, locking, option, planning, running
from reconciler.cli.planner import plan_options, show_plan
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.model import Plan, SpecSet
from reconciler.core.ports import Lock
from reconciler.engine.stack import Planned
from reconciler.errors import PlanStale, UsageError
from reconciler.render.text import summary_line
from reconciler.render.view import plan_view, summary

_FOR_PLANS: Final = {
    "targets": "--target",
    "excludes": "--exclude",
    "replaces": "--replace",
    "refresh": "--refresh",
    "allow_deletes": "--allow-deletes",
}


@click.command("apply")
@click.argument("planfile", required=False)
@common
@locking
@planning
@running
@option("--resume", metavar="RUN", help="Finish the plan of a run that was cut off, without asking.")
@option(
    "--require-signature",
    metavar="KEY",
    type=click.Path(exists=True, dir_okay=False),
    help="Apply PLANFILE only if PLANFILE.sig is its signature by this public key (ed25519, PEM).",
)
@option(
    "--refresh-only",
    is_flag=True,
    help="Record what is live as accepted into the state, and touch no platform.",
)
@option(
    "--reviewed",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="As --expect, from the file of `review digest --out`; what others merged since is left out.",
)
@option("--expect", metavar="DIGEST", help="Apply without asking, if the plan has this digest (sha256:…).")
@click.pass_context
def command(ctx: click.Context, /, planfile: str | None, **options: Any) -> int:
    """Carry out a plan: the saved one in PLANFILE exactly, or a new one after asking."""
    context: Context = ctx.obj
    expected = options["expect"]
    if expected is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", expected):
        raise UsageError(
            f"--expect {expected}: that is no digest of a plan",
            hint="It is sha256: and 64 hexadecimal digits, as `reconciler plan` prints them.",
        )
    resumed = options["resume"]
    reviewed = options["reviewed"]
    if reviewed is not None:
        if planfile is not None or resumed is not None:
            raise UsageError("--reviewed is about a plan that is made anew, and goes with no other")
        options["reviewed"] = found = read_reviewed(reviewed, expected)
        options["expect"] = found.digest
    if planfile is not None and resumed is not None:
        raise UsageError("a saved plan and --resume do not go together")
    if planfile is None and options["require_signature"] is not None:
        raise UsageError(
            "--require-signature is about a saved plan, and none is given",
            hint="Save the plan, have it signed, and apply the file.",
        )
    if planfile is not None or resumed is not None:
        for name, flag in _FOR_PLANS.items():
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise UsageError(
                    f"{flag} does not go with a plan that was made before, which is applied as it is",
                    hint="Give it to `reconciler plan`.",
                )
    if options["refresh_only"]:
        given = {"a saved plan": planfile is not None, "--resume": resumed is not None}
        given["--reviewed"] = reviewed is not None
        given |= {"--replace": bool(options["replaces"]), "--refresh=none": options["refresh"] == "none"}
        for name in (name for name, there in given.items() if there):
            raise UsageError(f"--refresh-only and {name} do not go together")
    session = Session.open(context, **options)
    plan = read_plan(planfile, key=options["require_signature"]) if planfile is not None else None
    specs = session.specs(exact_revision=True)
    # Waited for outside of asyncio, where Ctrl-C ends the waiting at once.
    with session.lock("apply") as lock:
        return run_async(_apply(session, specs, plan, lock, options))


async def _apply(
    session: Session, specs: SpecSet, plan: Plan | None, lock: Lock, options: dict[str, Any]
) -> int:
    output = session.output
    with Progress(output) as progress:
        signals = Signals(progress.say)
        async with session.stack(progress, stop=signals.stop) as stack:
            await stack.settle(lock)
            if plan is not None:
                planned = await stack.verify(plan, specs)
                output.lines([summary_line(summary(plan.changes))])
            elif options["resume"] is not None:
                planned = await stack.resume(options["resume"], specs)
                output.lines([f"Resuming run {options['resume']}: {_steps(planned)} left."])
                output.lines([summary_line(summary(planned.plan.changes))])
            elif options["refresh_only"]:
                planned = await stack.accept(specs, plan_options(options))
                show_plan(output, plan_view(planned.plan))
                if planned.plan.changes:
                    output.lines(["Only the state is to change; no platform is touched."])
            elif options["reviewed"] is not None:
                planned = await plan_reviewed(
                    session, stack, specs, plan_options(options), options["reviewed"]
                )
                show_plan(output, plan_view(planned.plan))
            else:
                planned = await stack.plan(specs, plan_options(options))
                show_plan(output, plan_view(planned.plan))
            _expect(planned, options["expect"], _reviewed(session, options["resume"]))
            check_refusals(planned)
            if not planned.plan.steps:
                return nothing_to_do(output, planned.plan)
            was_made = plan is not None or options["resume"] is not None
            is_reviewed = was_made or options["expect"] is not None or planned.plan.is_empty
            if not is_reviewed and not approve(
                output,
                options,
                question="Do you want to perform these actions?",
                answer="yes",
                hint="Give --auto-approve, or apply a reviewed plan: `reconciler apply PLANFILE`, or "
                "`reconciler apply --expect sha256:…`.",
            ):
                return Exit.ERROR
            verb = "apply --refresh-only" if options["refresh_only"] else "apply"
            report = await carry_out(session, stack, planned, lock, progress, signals, options, verb)
    return finish(output, report, signals.received)


def _steps(planned: Planned) -> str:
    count = len(planned.plan.steps)
    return f"{count} step{'' if count == 1 else 's'}"


def _reviewed(session: Session, resumed: str | None) -> str | None:
    """The digest of the plan that the run *resumed* began with: it was reviewed, its rest never was."""
    if resumed is None:
        return None
    return next((one.digest for one in session.backend.runs() if one.id == resumed), None)


def _expect(planned: Planned, digest: str | None, reviewed: str | None) -> None:
    if digest is None:
        return
    if reviewed is None:
        expect(planned.plan, digest)
    elif digest != reviewed:
        raise PlanStale(
            f"the run carried out another plan than the expected one: its digest is {reviewed}",
            hint="Nothing was done. `reconciler history` lists the digests of all runs.",
        )
