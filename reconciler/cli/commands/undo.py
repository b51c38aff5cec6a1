"""``reconciler undo``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context
from reconciler.cli.options import common, locking, option
from reconciler.cli.planner import keep_plan, make_plan, show_plan
from reconciler.cli.session import Session
from reconciler.engine.selection import PlanOptions
from reconciler.render.view import plan_view


@click.command("undo")
@click.argument("run")
@common
@locking
@option("--out", type=click.Path(dir_okay=False), help="Save the plan, to review and apply it.")
@option("--allow-deletes", is_flag=True, help="Delete more than the policy's share, and what is in use.")
@click.pass_obj
def command(context: Context, /, run: str, **options: Any) -> int:
    """Show the plan back to before RUN, which `history` lists. Changes nothing.

    Save it with --out and carry it out with `apply`. The specs are not
    changed: take the change back in git, too, or the next plan does it again.
    """
    session = Session.open(context, **options)

    wanted = PlanOptions(allow_deletes=options["allow_deletes"])
    planned = make_plan(session, "undo", lambda stack: stack.undo(run, wanted))
    view = plan_view(planned.plan)
    show_plan(context.output, view)
    code = keep_plan(session, context, planned, options["out"])
    context.output.summary(code, digest=view["digest"], **view["summary"])
    return code
