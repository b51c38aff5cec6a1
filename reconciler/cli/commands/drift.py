"""``reconciler drift``."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from reconciler.cli.baseline import mark_known, read_baseline
from reconciler.cli.context import Context, Exit, exit_code
from reconciler.cli.files import write_private
from reconciler.cli.options import common, locking, option
from reconciler.cli.output import json_text
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session, run_async, seconds_now
from reconciler.core.report import DriftReport
from reconciler.errors import ReconcilerError, StateError
from reconciler.render.metrics import drift_metrics
from reconciler.render.text import drift_lines
from reconciler.render.view import drift_view


@click.command("drift")
@common
@locking
@option("--json-out", type=click.Path(dir_okay=False), help="Write the JSON view to a file.")
@option(
    "--baseline",
    type=click.Path(dir_okay=False),
    help="A file of an earlier --json-out: what it has is known, and is no drift for the exit code.",
)
@option(
    "--metrics-out",
    type=click.Path(dir_okay=False),
    help="Write gauges for Prometheus' textfile collector, also when it fails.",
)
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Compare the platforms with what was last applied. For cron: reads only.

    Exit code 0: in sync. 2: drift. 8: a platform could not be seen whole.
    """
    gauges = _Gauges(options["metrics_out"])
    try:
        session = Session.open(context, **options)
        gauges.stack = session.config.name
        view = _compared(session, gauges, options)
    except Exception as error:
        with contextlib.suppress(ReconcilerError):  # what went wrong first is what to say
            gauges.write(exit_code(error, "drift") if isinstance(error, ReconcilerError) else Exit.ERROR)
        raise
    known = sum(one["known"] for one in view["drift"])
    code = Exit.CHANGES if len(view["drift"]) > known else Exit.DONE
    gauges.view = view
    gauges.write(code)
    output = context.output
    output.lines(drift_lines(view, output.palette, width=output.width, quiet=output.quiet))
    output.record("drift", **view)
    output.summary(code, checked=view["checked"], drifted=len(view["drift"]), known=known)
    return code


@dataclass
class _Gauges:
    """What goes into the file of ``--metrics-out``, as far as it is known."""

    file: str | None
    stack: str = ""
    managed: Mapping[str, int] = field(default_factory=dict)
    view: Mapping[str, Any] | None = None

    def write(self, code: int) -> None:
        """Write it, if it is asked for."""
        if self.file is not None:
            text = drift_metrics(
                self.view, self.managed, stack=self.stack, when=seconds_now(), exit_code=code
            )
            # The collector is another user; there are only names and numbers in it.
            write_private(self.file, text.encode(), mode=0o644)


def _compared(session: Session, gauges: _Gauges, options: Mapping[str, Any]) -> dict[str, Any]:
    baseline = read_baseline(options["baseline"]) if options["baseline"] else []
    with session.reading():
        report = run_async(_drift(session))
        found = Counter(address.platform for address in session.backend.load().resources)
    gauges.managed = {name: found[name] for name in session.config.settings.platforms}
    written: dict[str, Any] = json.loads(json_text(drift_view(report), session.secrets.mask))
    view = mark_known(written, baseline)
    if options["json_out"]:
        write_private(options["json_out"], json_text(view, session.secrets.mask).encode())
    return view


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
