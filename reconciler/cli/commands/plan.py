"""``reconciler plan``."""

from __future__ import annotations

import shlex
from typing import Any

import click

from reconciler.cli.applying import check_refusals
from reconciler.cli.context import Context, Exit
from reconciler.cli.files import write_private
from reconciler.cli.options import common, locking, option, planning
from reconciler.cli.output import json_text
from reconciler.cli.planner import make_plan, show_plan
from reconciler.cli.session import Session
from reconciler.core.model import Plan
from reconciler.errors import PlanRefused
from reconciler.render.view import plan_view
from reconciler.state.codec import encode_plan


@click.command("plan")
@common
@locking
@planning
@option("--out", type=click.Path(dir_okay=False), help="Save the plan, to apply exactly that later.")
@option("--json-out", type=click.Path(dir_okay=False), help="Write the plan's JSON view to a file.")
@option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Show what would bring the platforms to what the specs say. Changes nothing.

    Exit code 0: done. 2: there are changes, with --detailed-exitcode. 3: the
    policy forbids the plan, which is shown and not saved.
    """
    session = Session.open(context, **options)
    is_told = options["out"] or options["json_out"] or context.output.as_json
    specs = session.specs(exact_revision=bool(is_told))
    planned = make_plan(session, specs, options)
    plan = planned.plan
    view = plan_view(plan)
    output = context.output
    show_plan(output, view)
    if options["json_out"]:
        write_private(options["json_out"], json_text(view, session.secrets.mask).encode())
    code = Exit.CHANGES if options["detailed_exitcode"] and not plan.is_empty else Exit.DONE
    try:
        check_refusals(planned)
        if options["out"]:
            _save(context, options["out"], plan)
    except PlanRefused as error:
        output.failure(error)
        if options["out"]:
            output.note(f"The plan is not saved to {options['out']}.", urgent=True)
        code = Exit.REFUSED
    output.summary(code, digest=view["digest"], **view["summary"])
    return code


def _save(context: Context, file: str, plan: Plan) -> None:
    write_private(file, encode_plan(plan))
    where = ["-C", context.chdir] if context.chdir is not None else []
    command_line = shlex.join(["reconciler", *where, "apply", file])
    context.output.lines(["", f"Saved the plan to: {file}", f"Apply exactly it: {command_line}"])
