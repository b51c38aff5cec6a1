"""``reconciler plan``."""

from __future__ import annotations

import shlex
from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.files import write_private
from reconciler.cli.options import common, locking, option, planning
from reconciler.cli.output import json_text
from reconciler.cli.planner import make_plan, show_plan
from reconciler.cli.session import Session
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
    """Show what would bring the platforms to what the specs say. Changes nothing."""
    session = Session.open(context, **options)
    specs = session.specs(exact_revision=bool(options["out"]))
    planned = make_plan(session, specs, options)
    plan = planned.plan
    view = plan_view(plan)
    show_plan(context.output, view)
    if options["out"]:
        write_private(options["out"], encode_plan(plan))
        where = ["-C", context.chdir] if context.chdir is not None else []
        command_line = shlex.join(["reconciler", *where, "apply", options["out"]])
        context.output.lines(
            ["", f"Saved the plan to: {options['out']}", f"Apply exactly it: {command_line}"]
        )
    if options["json_out"]:
        write_private(options["json_out"], json_text(view, session.secrets.mask).encode())
    code = Exit.CHANGES if options["detailed_exitcode"] and not plan.is_empty else Exit.DONE
    context.output.summary(code, digest=view["digest"], **view["summary"])
    return code
