"""``reconciler plan``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.files import write_private
from reconciler.cli.options import common, locking, option, planning
from reconciler.cli.output import json_text
from reconciler.cli.planner import keep_plan, make_plan, plan_options, show_plan
from reconciler.cli.session import Session
from reconciler.render.view import plan_view


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
    planned = make_plan(session, "plan", lambda stack: stack.plan(specs, plan_options(options)))
    view = plan_view(planned.plan)
    show_plan(context.output, view)
    if options["json_out"]:
        write_private(options["json_out"], json_text(view, session.secrets.mask).encode())
    code = keep_plan(context, planned, options["out"])
    if code == Exit.DONE and options["detailed_exitcode"] and not planned.plan.is_empty:
        code = Exit.CHANGES
    context.output.summary(code, digest=view["digest"], **view["summary"])
    return code
