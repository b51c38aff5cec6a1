"""What ``apply`` and ``destroy`` share: asking, carrying out, telling how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.cli.context import Exit
from reconciler.cli.output import Output
from reconciler.cli.progress import Progress
from reconciler.cli.session import Session
from reconciler.core.model import Plan
from reconciler.core.ports import Lock
from reconciler.core.report import RunReport
from reconciler.engine.stack import Planned, Stack
from reconciler.errors import PlanRefused, ReconcilerError
from reconciler.render.text import apply_line, ledger_lines
from reconciler.render.view import run_view, summary

__all__ = ["Signals", "approve", "carry_out", "check_refusals", "finish", "nothing_to_do", "report_run"]


class Signals:
    """SIGINT and SIGTERM while steps run: the first asks the run to end, more change nothing.

    Enter it when the first step is near, no sooner: while a plan is made or
    an answer waited for, a signal ends the command at once.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._before: dict[signal.Signals, Any] = {}
        self.received: signal.Signals | None = None

    def stop(self) -> bool:
        """Whether the user wants the run to end."""
        return self.received is not None

    def __enter__(self) -> Signals:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._receive, number)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number, handler in self._before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def _receive(self, number: signal.Signals) -> None:
        if self.received is None:
            self.received = number
            self._say("Interrupted: nothing new is started, what is in flight is finished first …")
        else:
            self._say("Still finishing what is in flight. Nothing is lost by waiting.")


def check_refusals(planned: Planned) -> None:
    """Raise `PlanRefused` when policy forbids the plan."""
    if planned.plan.refusals:
        raise PlanRefused(
            "policy forbids this plan",
            reasons=planned.plan.refusals,
            hint="Change the specs or the policy, or make the plan with --allow-deletes where that is said.",
        )


def approve(output: Output, options: Mapping[str, Any], *, question: str, answer: str, hint: str) -> bool:
    """Whether the user says yes. Raises `ReconcilerError`, with *hint*, where nobody can be asked."""
    if options["auto_approve"]:
        return True
    can_be_asked = options["asking"] and output.attended and not output.as_json
    if not can_be_asked or sys.stdin is None or not sys.stdin.isatty():
        raise ReconcilerError("this needs your approval, and nobody can be asked here", hint=hint)
    # However the answer ends, what comes next begins a line.
    output.ask(f"\n{question}\n  Only '{answer}' will be accepted.\n\n  Enter a value: ")
    # asyncio turns the first Ctrl-C into a cancellation, which nobody would see while we wait here.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        given = sys.stdin.readline()
    except KeyboardInterrupt:
        output.ask("\n")
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if not given.endswith("\n"):
        output.ask("\n")  # Ctrl-D
    if given.rstrip("\n") == answer:
        return True
    output.error("not approved", "Nothing was done.")
    output.summary(Exit.ERROR, outcome="not approved")
    return False


async def carry_out(
    session: Session,
    stack: Stack,
    planned: Planned,
    lock: Lock,
    progress: Progress,
    signals: Signals,
    options: Mapping[str, Any],
    command: str,
) -> RunReport:
    """Apply the plan, saying now and then that it goes on."""
    on_failure = options["on_failure"] or session.config.settings.on_failure
    alive = asyncio.ensure_future(progress.keep_alive())
    try:
        with signals:
            return await stack.apply(
                planned, lock, command=command, on_failure=on_failure, deadline=options["deadline"]
            )
    finally:
        alive.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await alive


def nothing_to_do(output: Output, plan: Plan) -> int:
    """Say that there is nothing to do, in the words of a run that is over: tools look for them."""
    counts = summary(plan.changes)
    output.lines(["", apply_line(counts, destroy=plan.destroy)])
    output.summary(Exit.DONE, outcome="nothing to do", summary=counts)
    return Exit.DONE


def finish(output: Output, report: RunReport, received: signal.Signals | None) -> int:
    """Say how the run ended, as the last word of the command, and give its exit code."""
    code, view = report_run(output, report, received)
    output.summary(code, **view)
    return code


def report_run(
    output: Output, report: RunReport, received: signal.Signals | None
) -> tuple[int, dict[str, Any]]:
    """Say how the run ended; its exit code, and what there is to know of it."""
    view = run_view(report)
    complete = report.outcome == "applied"
    ledger = list(ledger_lines(view, output.palette, quiet=output.quiet))
    if complete and not output.verbose:
        ledger = [line for line in ledger if not line.startswith("    ")]
    if not (complete and output.quiet):
        output.lines(["", *ledger])
    if complete:
        line = apply_line(view["summary"], destroy=report.plan.destroy)
        output.lines(["", f"{output.palette.add}{line}{output.palette.end}"])
        code = Exit.DONE
    else:
        code = _failed(output, report, received)
    return code, view


def _failed(output: Output, report: RunReport, received: signal.Signals | None) -> int:
    if report.outcome == "open":
        output.error(
            "the run could not be brought to an end" + (f": {report.error}" if report.error else ""),
            "Nothing is lost: the journal knows what was under way. `reconciler plan` asks the platform and "
            "settles it.",
        )
        return Exit.BROKEN
    if received is not None and report.outcome in ("rolled back", "interrupted"):
        output.error(f"interrupted; the run is {report.outcome}")
        return Exit.INTERRUPTED if received is signal.SIGINT else Exit.TERMINATED
    if report.outcome == "rolled back":
        output.error(
            "the apply failed and was rolled back whole",
            "Everything is as it was. The reasons stand above.",
        )
        return Exit.ROLLED_BACK
    steps = report.steps
    if steps.rolled_back or steps.not_rolled_back:
        output.error(
            "the apply failed and could not be rolled back whole",
            "What is left, and how to take it back by hand, stands above. The state is true: `reconciler "
            "plan` shows what is to do.",
        )
        return Exit.BROKEN
    output.error(
        "the apply failed, and what was done stays done",
        "The state is true. Look at the errors above, then run `reconciler plan`.",
    )
    return Exit.BROKEN
