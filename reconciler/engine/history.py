"""A past run, as its journal tells it."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.report import PastRun, PastStep
from reconciler.errors import JournalUnreadable
from reconciler.state.records import Edited, Record
from reconciler.state.replay import Replay

__all__ = ["past_run"]


def past_run(records: Sequence[Record]) -> PastRun:
    """What *records*, those of one run, say. Raises `JournalUnreadable` when they lack a beginning."""
    tale = Replay(resources={})
    edited: list[str] = []
    for record in records:
        tale.add(record)
        if isinstance(record, Edited):
            edited += [f"forgot {address}" for address in record.removed]
            edited += [f"recorded {resource.address}" for resource in record.put]
    begun, closed = tale.begun, tale.closed
    if begun is None:
        raise JournalUnreadable("this run wrote nothing down before it was cut off")
    steps = tale.plan.steps if tale.plan is not None else ()
    return PastRun(
        id=begun.run,
        command=begun.command,
        who=f"{begun.holder.who}@{begun.holder.host}",
        started=begun.started,
        ended=closed.ended if closed is not None else "",
        outcome=closed.outcome if closed is not None else "open",
        digest=begun.digest,
        revision=begun.revision,
        steps=tuple(_past_step(tale, number) for number in range(len(steps))),
        edited=tuple(edited),
    )


def _past_step(tale: Replay, number: int) -> PastStep:
    step = tale.step(number)
    intent = tale.intents.get(number)
    before = intent.before.attributes if intent is not None and intent.before is not None else None
    done = tale.done.get(number)
    remote_id = done.remote_id if done is not None else step.remote_id
    if number in tale.undo_failed:
        failed = tale.undo_failed[number]
        return PastStep(step, "could not be rolled back", failed.error, failed.remedy, remote_id, before)
    if number in tale.undone:
        return PastStep(step, "rolled back", remote_id=remote_id, before=before)
    if number in tale.undoing:
        return PastStep(step, "not known", remote_id=remote_id, before=before)
    if number in tale.failed:
        # Ahead of done: a write that took effect, but not as it was asked for, is both.
        return PastStep(step, "failed", tale.failed[number].error, remote_id=remote_id, before=before)
    if done is not None:
        return PastStep(step, "done", remote_id=remote_id, before=before)
    return PastStep(step, "not known" if intent is not None else "not started", remote_id=remote_id)
