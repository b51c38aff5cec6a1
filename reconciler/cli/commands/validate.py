"""``reconciler validate``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common
from reconciler.cli.session import Session


@click.command("validate")
@common
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Check every spec and the policy, without asking any platform.

    Every problem of every file is shown at once, with its place and what to do.
    """
    session = Session.open(context, **options)
    specs = session.specs()
    for text in specs.warnings:
        context.output.note(f"Warning: {text}")
    count = len(specs.resources)
    context.output.lines([f"Success! {count} resource{'' if count == 1 else 's'} in the specs, no problems."])
    context.output.record("summary", exit_code=Exit.DONE, valid=True, resources=count)
    return Exit.DONE
