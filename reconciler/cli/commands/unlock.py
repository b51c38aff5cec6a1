"""``reconciler unlock``."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common
from reconciler.cli.session import Session


@click.command("unlock")
@click.argument("lock_id", metavar="ID")
@common
@click.pass_obj
def command(context: Context, /, lock_id: str, **options: Any) -> int:
    """Break the lock with this ID, as the message of a waiting command shows it.

    The process that held it can write no state and no journal any more, should
    it still run. What it sent to a platform already may still take effect: stop
    it first.
    """
    session = Session.open(context, **options)
    info, alive = session.backend.unlock(lock_id)
    seems = {
        True: "That process seems to be alive. It writes nothing more here; stop it before you plan.",
        False: "That process is gone.",
        None: "Whether that process is alive cannot be seen from here.",
    }[alive]
    context.output.lines([f"Broke the lock held by {info}.", seems])
    context.output.summary(Exit.DONE, holder=str(info), alive=alive)
    return Exit.DONE
