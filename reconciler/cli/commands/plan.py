"""``reconciler plan``."""

from __future__ import annotations

import json
from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, locking, option, planning
from reconciler.cli.planner import make_plan, show_plan
from reconciler.cli.session import Session, run_async
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
    """Show what would bring the platforms to what the specs say. Changes nothing."""
    session = Session.open(context, **options)
    specs = session.specs(exact_revision=bool(options["out"]))
    planned = run_async(make_plan(session, specs, options))
    plan = planned.plan
    view = plan_view(plan)
    show_plan(context.output, view)
    if options["out"]:
        from reconciler.cli.files import write_private
        from reconciler.state.codec import encode_plan

        write_private(options["out"], encode_plan(plan))
        context.output.lines(
            [
                "",
                f"Saved the plan to: {options['out']}",
                f"Apply exactly it: reconciler apply {options['out']}",
            ]
        )
    if options["json_out"]:
        from reconciler.cli.files import write_private

        text = json.dumps(view, ensure_ascii=False, indent=2) + "\n"
        write_private(options["json_out"], session.secrets.mask(text).encode())
    code = Exit.CHANGES if options["detailed_exitcode"] and not plan.is_empty else Exit.DONE
    context.output.record("summary", exit_code=code, digest=view["digest"], **view["summary"])
    return code
