"""``reconciler recover``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, locking
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async
from reconciler.core.ports import Lock
from reconciler.core.report import Settlement


@click.command("recover")
@common
@locking
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Settle what a dead run left open, and say what was found.

    `plan` and `apply` do the same before anything else. Ends with 7 when
    something is neither as before nor as planned: a person has to look.
    """
    session = Session.open(context, **options)

    async def settle(lock: Lock) -> Settlement | None:
        with Progress(context.output) as progress:
            async with session.stack(progress) as stack:
                return await stack.settle(lock)

    # Waited for outside of asyncio, where Ctrl-C ends the waiting at once.
    with session.lock("recover") as lock:
        found = run_async(settle(lock))
    if found is None:
        context.output.lines(["Nothing to recover: every run was brought to an end."])
        context.output.summary(Exit.DONE, run=None)
        return Exit.DONE
    code = Exit.BROKEN if found.conflicts else Exit.DONE
    hint = f"`reconciler apply --resume {found.run}` finishes its plan; `reconciler plan` makes a new one."
    context.output.lines([f"Run {found.run} is settled.", *([hint] if found.resumable else [])])
    context.output.summary(
        code, run=found.run, command=found.command, findings=found.findings, conflicts=found.conflicts
    )
    return code
