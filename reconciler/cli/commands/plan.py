"""``reconciler plan``."""

from __future__ import annotations

from typing import Any, Final

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.documents import budget, document
from reconciler.cli.files import write_private
from reconciler.cli.options import common, locking, option, planning
from reconciler.cli.output import masked
from reconciler.cli.planner import keep_plan, make_plan, plan_options, show_plan
from reconciler.cli.session import Session
from reconciler.core.model import Surroundings
from reconciler.render.view import plan_view

_WRITTEN: Final = ("json", "markdown", "html")


@click.command("plan")
@common
@locking
@planning
@option("--out", type=click.Path(dir_okay=False), help="Save the plan, to apply exactly that later.")
@option("--json-out", type=click.Path(dir_okay=False), help="Write the plan's JSON view to a file.")
@option("--markdown-out", type=click.Path(dir_okay=False), help="Write it for a comment on a pull request.")
@option("--html-out", type=click.Path(dir_okay=False), help="Write it as a page for a browser.")
@budget
@option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Show what would bring the platforms to what the specs say. Changes nothing.

    Exit code 0: done. 2: there are changes, with --detailed-exitcode. 3: the
    policy forbids the plan, which is shown and not saved.
    """
    session = Session.open(context, **options)
    wanted = {form: options[f"{form}_out"] for form in _WRITTEN if options[f"{form}_out"]}
    is_told = options["out"] or wanted or context.output.as_json
    specs = session.specs(exact_revision=bool(is_told))
    planned = make_plan(session, "plan", lambda stack: stack.plan(specs, plan_options(options)))
    view = masked(plan_view(planned.plan), session.secrets.mask)
    show_plan(context.output, view)
    for form, file in wanted.items():
        text = document(form, view, planned.plan, Surroundings(), max_bytes=options["max_bytes"])
        write_private(file, text.encode())
    code = keep_plan(session, context, planned, options["out"])
    if code == Exit.DONE and options["detailed_exitcode"] and not planned.plan.is_empty:
        code = Exit.CHANGES
    context.output.summary(code, digest=view["digest"], **view["summary"])
    return code
