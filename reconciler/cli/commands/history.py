"""``reconciler history``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from reconciler.cli.context import Context, Exit
from reconciler.cli.options import common, looking
from reconciler.cli.session import Session
from reconciler.render.table import table_lines


@click.command("history")
@common
@looking
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Show past runs, newest first: who, when, what, how it ended."""
    session = Session.open(context, **options)
    runs = session.undisturbed(session.backend.runs)
    rows = [
        {
            "command": run.command,
            "who": run.who,
            "outcome": run.outcome,
            "steps": ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in run.counts.items()),
            "revision": run.revision[:7] + ("+" if run.revision.endswith("+") else ""),
        }
        for run in runs
    ]
    if rows:
        # Ids are for `show RUN`: whole, whatever else has to be cut.
        ids = ["RUN", *(run.id for run in runs)]
        size = max(map(len, ids)) + 2
        lines = table_lines(rows, list(rows[0]), width=max(40, context.output.table_width - size))
        context.output.lines(f"{name:<{size}}{line}" for name, line in zip(ids, lines, strict=True))
    else:
        context.output.lines(["No runs yet."])
    for run in runs:
        context.output.record("run", **dataclasses.asdict(run))
    context.output.summary(Exit.DONE, runs=len(runs))
    return Exit.DONE
