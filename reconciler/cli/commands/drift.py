"""``reconciler drift``."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import click

from reconciler.cli.baseline import mark_known, read_baseline
from reconciler.cli.context import Context, Exit, exit_code
from reconciler.cli.files import write_private
from reconciler.cli.options import common, locking, option
from reconciler.cli.output import json_text
from reconciler.cli.session import Session, now, run_async, seconds_now
from reconciler.core.model import SpecSet, State
from reconciler.core.report import DriftReport
from reconciler.engine.drift import drift
from reconciler.errors import ReconcilerError, SpecErrors, StateError
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

    Exit code 0: in sync. 2: drift. 8: something could not be read, and nothing is said of it.
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
    counted = [one for one in view["drift"] if not one["known"] and one["class"] != "accepted"]
    code = Exit.INCOMPLETE if view["unread"] else Exit.CHANGES if counted else Exit.DONE
    gauges.view = view
    gauges.write(code)
    output = context.output
    output.lines(drift_lines(view, output.palette, width=output.width, quiet=output.quiet))
    output.record("drift", **view)
    output.summary(
        code,
        checked=view["checked"],
        drifted=len(view["drift"]),
        known=known,
        accepted=sum(one["class"] == "accepted" for one in view["drift"]),
        unread=len(view["unread"]),
    )
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
    specs, without = _wishes(session)
    with session.reading():
        state = _remembered(session)
        report = run_async(_drift(session, state, specs))
    if without:
        report = replace(report, warnings=(*report.warnings, without))
    found = Counter(address.platform for address in state.resources)
    gauges.managed = {name: found[name] for name in session.config.settings.platforms}
    written: dict[str, Any] = json.loads(json_text(drift_view(report), session.secrets.mask))
    view = mark_known(written, baseline)
    if options["json_out"]:
        write_private(options["json_out"], json_text(view, session.secrets.mask).encode())
    return view


async def _drift(session: Session, state: State, specs: SpecSet | None) -> DriftReport:
    async with session.looking() as planner:
        return await drift(
            planner, state, specs, accepted=session.config.settings.accepted, day=now().partition("T")[0]
        )


def _remembered(session: Session) -> State:
    """The state, where it is the whole truth. Raises `StateError` where a dead run knows more."""
    run = session.backend.open_run()
    if run is not None:
        raise StateError(
            f"run {run} was cut off, and what it had under way is not settled",
            hint="`reconciler plan` settles it; drift changes nothing, not even the state.",
        )
    return session.backend.load()


def _wishes(session: Session) -> tuple[SpecSet | None, str]:
    """The specs, or why there are none to compare with: drift is found without them, too."""
    try:
        return session.specs(), ""
    except SpecErrors as error:
        return None, f"pending changes are not known: {error} (`reconciler validate` shows them)"
