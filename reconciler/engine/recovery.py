"""Settle what a dead run left open.

A run that was killed leaves a journal without an end. What it wrote down is
what happened; what it only intended is asked of the platform, one question
for each open step: is the object as the step would have left it, as it was
before, or something else? The answers go into the same journal, the state is
folded from it, and the run is closed. Dying in the middle of this changes
nothing: the questions are asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from reconciler.core.attributes import SECRET, Attributes, marked
from reconciler.core.model import ResourceAddress, Reversal, State, Step, Verb
from reconciler.core.ports import Lock, Reader, ResourceKind, StateBackend
from reconciler.core.report import Settlement
from reconciler.engine.commit import close_run
from reconciler.engine.executor import remedy
from reconciler.engine.refresh import served
from reconciler.engine.resume import is_resumable
from reconciler.engine.secrets import HIDDEN
from reconciler.engine.writes import differing, look, place
from reconciler.errors import PlanImpossible
from reconciler.state.records import Begun, Done, Failed, Intended, Record, UndoFailed, Undoing, Undone
from reconciler.state.replay import Replay, replay

__all__ = ["foresee", "settle"]

_CONFLICT: Final = "conflict"
_LET_GO: Final = "let go"


def foresee(state: State, records: Sequence[Record]) -> Replay:
    """What the journal of a dead run says by itself, without asking anybody.

    A run that died between the commit and its last record is in *state*
    already; folding it in again would be wrong.
    """
    return replay(state, () if _is_committed(state, records) else records)


def _is_committed(state: State, records: Sequence[Record]) -> bool:
    return any(isinstance(record, Begun) and record.run == state.last_run for record in records[:1])


async def settle(
    backend: StateBackend,
    readers: Mapping[str, Reader],
    lock: Lock,
    *,
    now: Callable[[], str],
    let_go: Callable[[ResourceAddress], bool] = lambda address: False,
) -> Settlement | None:
    """Close the run that was never closed, if there is one; None when there is not.

    Raises whatever a platform raises when it cannot be asked, and
    `PlanImpossible` when it is not configured any more: then the run stays
    open, and nothing is lost. Where *let_go* says so of a resource, a
    platform that is not configured is not asked: what came of the step stays
    unknown, for good.
    """
    run = backend.open_run()
    if run is None:
        return None
    state = backend.load()
    records = tuple(backend.records(run))
    journal = backend.resume(run, lock)
    try:
        result = foresee(state, records)
        findings: list[str] = []
        # Those that a recovery found which died itself, and nobody was told of.
        tale = replay(state, records) if _is_committed(state, records) else result
        conflicts = list(_conflicts(tale))
        if tale is result:
            for intent in result.open_steps:
                step = result.step(intent.step)
                try:
                    reader = served(readers, step.address.platform, step.address.kind)
                except PlanImpossible:
                    if not let_go(step.address):
                        raise
                    record, finding, clear = _let_go(step, intent)
                else:
                    record, finding, clear = await _ask(result, step, intent, reader)
                await journal.append(record)
                result.add(record)
                (findings if clear else conflicts).append(finding)
            left = result.done.keys() - result.undone.keys()
            if result.rollback and left:
                findings.append(f"its rollback was cut off: {len(left)} of its steps stay in effect")
        command = tale.begun.command if tale.begun is not None else ""
        await close_run(
            backend,
            lock,
            journal,
            state,
            result,
            run=run,
            outcome="interrupted",
            ended=now(),
            counts=tale.counts(),
        )
        # What a person has to look at first is not finished blindly.
        resumable = not conflicts and is_resumable(tale)
        return Settlement(run, command, tuple(findings), tuple(conflicts), resumable)
    finally:
        await journal.close()


def _conflicts(result: Replay) -> Iterator[str]:
    """The conflicts that are written down already."""
    written: list[Failed | UndoFailed] = [*result.failed.values(), *result.undo_failed.values()]
    for one in written:
        if one.settled in (_CONFLICT, _LET_GO):
            yield f"{result.step(one.step).address}: {one.error}"


def _let_go(step: Step, intent: Intended | Undoing) -> tuple[Record, str, bool]:
    """What is written down of a step that nobody can be asked about, and need not be any more."""
    why = f"let go of; nobody knows what came of its {step.verb}"
    finding = f"{step.address}: {why}"
    if isinstance(intent, Undoing):
        return UndoFailed(step.number, why, settled=_LET_GO), finding, False
    return Failed(step.number, why, _LET_GO), finding, False


async def _ask(
    result: Replay, step: Step, intent: Intended | Undoing, reader: Reader
) -> tuple[Record, str, bool]:
    """What came of one open step: the record of it, a line about it, and whether it is clear."""
    # No wire digest in these records: what is found is compared by value the next time.
    kind = reader.kinds[step.address.kind]
    if isinstance(intent, Undoing):
        return await _ask_backward(result, step, reader, kind)
    address = step.address
    match step.verb:
        case Verb.CREATE:
            assert step.attributes is not None
            wanted = _visible(result.resolved(step.attributes))
            found = await look(
                lambda: reader.find(kind.name, wanted),
                lambda seen: seen is not None,
                patience=reader.patience,
            )
            if found is None:
                return (
                    Failed(step.number, "never happened", "not on the platform"),
                    f"{address}: not created",
                    True,
                )
            if (owner := result.owner(*place(address, found.id))) is not None:
                return (
                    Failed(step.number, "never happened", "not on the platform"),
                    f"{address}: not created; the object of this name (id {found.id}) is {owner}",
                    True,
                )
            if different := differing(kind, wanted, found, new=True):
                differs = f"an object of this name (id {found.id}) differs in {', '.join(different)}"
                return _conflict(step, f"{differs}; it was left alone")
            return (
                Done(step.number, found.id, settled="found on the platform"),
                f"{address}: created (id {found.id}); taken into the state",
                True,
            )
        case Verb.UPDATE:
            assert step.attributes is not None
            assert intent.before is not None
            live = await reader.read(kind.name, intent.before.id)
            wanted = _visible(result.resolved(step.attributes))
            was = _visible(Attributes({key: intent.before.attributes.get(key) for key in wanted}))
            # As before comes first: where both fit, a secret was all there was to write, and a second
            # time does no harm.
            if live is not None and not differing(kind, was, live):
                return Failed(step.number, "never happened", "as before"), f"{address}: not updated", True
            if live is not None and not differing(kind, wanted, live):
                return (
                    Done(step.number, live.id, settled="found on the platform"),
                    f"{address}: updated; taken into the state",
                    True,
                )
            why = "it is gone" if live is None else "it is neither as before nor as planned"
            return _conflict(step, f"{why}; the next plan shows it")
        case Verb.DELETE:
            live = await reader.read(kind.name, step.remote_id)
            if live is None:
                return Done(step.number, step.remote_id, settled="gone"), f"{address}: deleted", True
            return Failed(step.number, "never happened", "still there"), f"{address}: not deleted", True
        case Verb.RECORD | Verb.FORGET:
            # Nothing was asked of the platform; only its outcome was not written down any more.
            return Done(step.number, step.remote_id, settled="by itself"), f"{address}: recorded", True


async def _ask_backward(
    result: Replay, step: Step, reader: Reader, kind: ResourceKind
) -> tuple[Record, str, bool]:
    """What came of taking a step back."""
    address, done = step.address, result.done[step.number]
    intended = result.intents[step.number]
    left, why, clear = done.remote_id, "its rollback did not happen", True
    match step.verb:
        case Verb.CREATE:
            live = await reader.read(kind.name, done.remote_id)
            if live is None:
                return Undone(step.number, settled="gone"), f"{address}: its creation was rolled back", True
        case Verb.UPDATE:
            assert intended.before is not None
            assert step.attributes is not None
            left = result.new_id(address.platform, intended.before.id)
            live = await reader.read(kind.name, left)
            values = {key: intended.before.attributes.get(key) for key in step.attributes}
            if live is not None and not differing(
                kind, _visible(result.renamed(address.platform, Attributes(values))), live
            ):
                return (
                    Undone(step.number, left, settled="found on the platform"),
                    f"{address}: its update was rolled back",
                    True,
                )
        case Verb.DELETE if step.reversal is Reversal.UNARCHIVE:
            if await reader.read(kind.name, step.remote_id) is not None:
                return (
                    Undone(step.number, settled="found on the platform"),
                    f"{address}: restored from the archive",
                    True,
                )
        case Verb.DELETE:
            assert intended.before is not None
            wanted = _visible(result.renamed(address.platform, intended.before.attributes))
            found = await look(
                lambda: reader.find(kind.name, wanted),
                lambda seen: seen is not None,
                patience=reader.patience,
            )
            if found is not None and not differing(kind, wanted, found, new=True):
                return (
                    Undone(step.number, found.id, settled="found on the platform"),
                    f"{address}: created again (id {found.id})",
                    True,
                )
            if found is not None:
                different = ", ".join(differing(kind, wanted, found, new=True))
                why = (
                    f"to be created again, but an object of this name (id {found.id}) differs in {different}"
                )
                clear = False
    help_ = remedy(reader, result.begun.run if result.begun is not None else "", step, left, intended.before)
    if not clear:
        why += "; it was left alone"
        return UndoFailed(step.number, why, help_, settled=_CONFLICT), f"{address}: {why}", False
    return UndoFailed(step.number, why, help_, "asked"), f"{address}: {why}; the next plan shows it", True


def _conflict(step: Step, why: str) -> tuple[Record, str, bool]:
    return Failed(step.number, why, _CONFLICT), f"{step.address}: {why}", False


def _visible(attributes: Attributes) -> Attributes:
    """*attributes* without those that hold a secret, or held one: the platform is asked about the rest."""
    hidden = {path[0] for path, _ in marked(attributes.values_, SECRET)}
    if HIDDEN.encode() in attributes.raw:
        hidden |= {key for key, value in attributes.items() if HIDDEN in str(value)}
    if not hidden:
        return attributes
    return Attributes({key: value for key, value in attributes.items() if key not in hidden})
