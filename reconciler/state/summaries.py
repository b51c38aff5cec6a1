"""Runs in a line each, in the order in which they happened."""

from __future__ import annotations

import math
from collections.abc import Iterable

from reconciler.core.ports import RunSummary
from reconciler.state.records import Begun, Closed

__all__ = ["newest_first", "summarize"]


def summarize(run: str, begun: Begun | None, closed: Closed | None) -> RunSummary:
    """One run by its first and its last record. Without the first it is unreadable."""
    serial = closed.serial if closed is not None else None
    if begun is None:
        return RunSummary(run, "", "", "", "", "unreadable", "", "", {}, serial=serial)
    return RunSummary(
        id=run,
        command=begun.command,
        who=f"{begun.holder.who}@{begun.holder.host}",
        started=begun.started,
        ended=closed.ended if closed is not None else "",
        outcome=closed.outcome if closed is not None else "open",
        digest=begun.digest,
        revision=begun.revision,
        counts=closed.counts if closed is not None else {},
        base_serial=begun.base.serial,
        serial=serial,
    )


def newest_first(runs: Iterable[RunSummary]) -> list[RunSummary]:
    """*runs*, the one that changed the state last at the beginning.

    By the serials of the state, which grow by one with each change. A clock
    may be set back, or another host's be behind, and with it run ids and
    times; they only tell runs apart that left the state as it was. What is
    not known any more may have been the last.
    """
    return sorted(runs, key=_turn, reverse=True)


def _turn(run: RunSummary) -> tuple[float, float, str, str]:
    base = math.inf if run.base_serial is None else run.base_serial
    return (base + 1 if run.serial is None else run.serial), base, run.started, run.id
