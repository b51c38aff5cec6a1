"""``reconciler drift``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.files import write_private
from reconciler.cli.options import common, locking, option
from reconciler.cli.output import json_text
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.report import DriftReport
from reconciler.errors import StateError
from reconciler.render.text import drift_lines
from reconciler.render.view import drift_view


@click.command("drift")
@common
@locking
@option("--json-out", type=click.Path(dir_okay=False), help="Write the JSON view to a file.")
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Compare the platforms with what was last applied. For cron: reads only.

    Exit code 0: in sync. 2: drift. 8: a platform could not be seen whole.
    """
    session = Session.open(context, **options)
    with session.reading():
        report = run_async(_drift(session))
    view = drift_view(report)
    output = context.output
    output.lines(drift_lines(view, output.palette, width=output.width, quiet=output.quiet))
    if options["json_out"]:
        write_private(options["json_out"], json_text(view, session.secrets.mask).encode())
    code = Exit.CHANGES if report.drifted else Exit.DONE
    context.output.record("drift", **view)
    context.output.summary(code, checked=report.checked, drifted=len(report.drifted))
    return code


async def _drift(session: Session) -> DriftReport:
    run = session.backend.open_run()
    if run is not None:
        raise StateError(
            f"run {run} was cut off, and what it had under way is not settled",
            hint="`reconciler plan` settles it; drift changes nothing, not even the state.",
        )
    with Progress(session.output) as progress:
        async with session.stack(progress) as stack:
            return await stack.drift()
