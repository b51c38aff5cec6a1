"""``reconciler validate``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common
from reconciler.cli.session import Session
from reconciler.errors import SpecErrors


@click.command("validate")
@common
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Check every spec and the policy, without asking any platform.

    Every problem of every file is shown at once, with its place and what to do.
    """
    output = context.output
    try:
        specs = Session.open(context, **options).specs()
    except SpecErrors as error:
        output.failure(error)
        output.summary(Exit.ERROR, valid=False, errors=len(error.complaints))
        return Exit.ERROR
    for text in specs.warnings:
        output.warning(text)
    count = len(specs.resources)
    output.lines([f"Success! {count} resource{'' if count == 1 else 's'} in the specs, no problems."])
    output.summary(Exit.DONE, valid=True, errors=0, warnings=len(specs.warnings), resources=count)
    return Exit.DONE
