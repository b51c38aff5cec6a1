"""``reconciler drift``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import click

from reconciler.cli.baseline import read_baseline
from reconciler.cli.context import Context, Exit, exit_code
from reconciler.cli.options import common, locking, option, running
from reconciler.cli.session import Session, now, run_async, seconds_now
from reconciler.cli.watching import Gauges, counts, view_of, write_documents
from reconciler.core.model import SpecSet, State
from reconciler.core.report import DriftReport
from reconciler.engine.drift import drift
from reconciler.errors import ReconcilerError, SpecErrors, StateError, UsageError
from reconciler.render.text import drift_lines
from reconciler.state.drift_record import DriftRecord, load_record, recording, save_record


@click.command("drift")
@common
@locking
@running
@option("--json-out", type=click.Path(dir_okay=False), help="Write the JSON view to a file.")
@option(
    "--markdown-out", type=click.Path(dir_okay=False), help="Write it as Markdown, for an issue or a chat."
)
@option(
    "--junit-out", type=click.Path(dir_okay=False), help="Write a JUnit report: a case for each resource."
)
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
@option(
    "--heal",
    "healing",
    is_flag=True,
    help="First put back what was last applied, as far as [policy] heal allows; asks before.",
)
@option("--notify", "notifying", is_flag=True, help="Tell every [[notify]] what is new to it.")
@click.pass_obj
def command(context: Context, /, **options: Any) -> int:
    """Compare the platforms with what was last applied. For cron: reads only, without --heal.

    Exit code 0: in sync. 2: drift. 8: something could not be read, and nothing is said of it.
    """
    gauges = Gauges(options["metrics_out"])
    try:
        session = Session.open(context, **options)
        healed = _healed(session, options) if options["healing"] else Exit.DONE
        view, code = _watch(session, gauges, options)
    except Exception as error:
        with contextlib.suppress(ReconcilerError):  # what went wrong first is what to say
            gauges.write(exit_code(error, "drift") if isinstance(error, ReconcilerError) else Exit.ERROR)
        raise
    code = healed or code
    gauges.write(code)
    output = context.output
    output.lines(drift_lines(view, output.palette, width=output.width, quiet=output.quiet))
    output.record("drift", **view)
    output.summary(
        code,
        checked=view["checked"],
        drifted=len(view["drift"]),
        known=sum(one["known"] for one in view["drift"]),
        accepted=sum(one["class"] == "accepted" for one in view["drift"]),
        unread=len(view["unread"]),
    )
    return code


def _healed(session: Session, options: Mapping[str, Any]) -> int:
    """The exit code of putting drift back; 0 also where nothing was to be done."""
    if options["baseline"]:
        raise UsageError(
            "--heal and --baseline do not go together",
            hint="What is to stay as it is goes into [[accept_drift]], with an owner and a last day.",
        )
    from reconciler.cli.healing import heal

    return heal(session, options)


def _watch(session: Session, gauges: Gauges, options: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """Compare, remember what was found, write the documents. What was found, and the exit code."""
    baseline = read_baseline(options["baseline"]) if options["baseline"] else []
    began = seconds_now()
    specs, without = _wishes(session)
    record, damage = load_record(session.config.state_directory)
    gauges.open(session, record)
    with session.reading():
        state = _remembered(session)
        report = run_async(_compared(session, state, specs))
    with _kept(session) as unkept:
        record, damage = load_record(session.config.state_directory)
        said = (without, f"{damage}: how old a drift is counts from now on" if damage else "", *unkept)
        report = replace(report, warnings=(*report.warnings, *filter(None, said)))
        view, record = view_of(session, report, baseline, record, began)
        if options["notifying"]:
            record = _told(session, view, state, record, forgetful=bool(unkept))
        if not unkept:
            _keep(session, view, record)
    gauges.compared(view, state, record)
    write_documents(session, view, state, options)
    counted = any(map(counts, view["drift"]))
    return view, Exit.INCOMPLETE if view["unread"] else Exit.CHANGES if counted else Exit.DONE


async def _compared(session: Session, state: State, specs: SpecSet | None) -> DriftReport:
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


@contextlib.contextmanager
def _kept(session: Session) -> Iterator[tuple[str, ...]]:
    """The record of drift for ourselves; or why it cannot be written, which hides no drift."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(recording(session.config.state_directory))
        except OSError as error:
            yield (f"since when a drift is known cannot be kept: {error.strerror}",)
            return
        yield ()


def _told(
    session: Session, view: dict[str, Any], state: State, record: DriftRecord, *, forgetful: bool
) -> DriftRecord:
    """*record* once others were told. What failed is said, and hides nothing."""
    from reconciler.cli.notifying import notify

    if forgetful:
        session.output.warning("nobody was notified: what was told could not be remembered")
        return record
    if not session.config.settings.notifications:
        session.output.warning("--notify: reconciler.toml has no [[notify]]; nobody was told")
    record, failures = notify(session, view, state, record)
    for failure in failures:
        session.output.warning(f"a notification was not sent, and will be next time: {failure}")
    return record


def _keep(session: Session, view: dict[str, Any], record: DriftRecord) -> None:
    try:
        save_record(session.config.state_directory, record)
    except OSError as error:
        view["warnings"].append(f"since when a drift is known cannot be kept: {error.strerror}")
