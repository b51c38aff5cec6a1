"""What a stack was before a past run, as a wish: its plan is the way back.

Each resource that the run changed is to be as the state had it before; all
others are to stay as the state has them now. The wish becomes a plan like any
other, to be reviewed and applied like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace

from reconciler.core.attributes import ID, REF, SECRET, Attributes, marked, replace_markers
from reconciler.core.model import (
    Action,
    Lifecycle,
    Move,
    Resource,
    ResourceAddress,
    ResourceState,
    Reversal,
    Source,
    SpecSet,
    State,
    Step,
    Verb,
)
from reconciler.core.ports import StateBackend
from reconciler.engine.secrets import HIDDEN, Secrets, describe, keyed_hash
from reconciler.errors import PlanImpossible, SecretUnavailable, UsageError
from reconciler.state.records import Edited, Planned
from reconciler.state.replay import Replay

__all__ = ["Before", "as_wishes", "before_run", "lost_secrets", "names_of"]


@dataclass(frozen=True, slots=True)
class Before:
    """What was before a run: ``specs`` as a wish, and the ``addresses`` that it is about."""

    specs: SpecSet
    addresses: frozenset[ResourceAddress]


def before_run(run: str, backend: StateBackend, state: State, secrets: Secrets) -> Before:
    """The wish for what was before *run*.

    Raises `UsageError` when the run carried out no plan or left nothing in
    effect that can be taken back, and `PlanImpossible` when a later run
    changed the same resources, or what was there needs one that is gone.
    """
    tale, known, _ = _told(backend, run)
    plan = tale.plan
    if plan is None:
        raise UsageError(f"run {run} carried out no plan; there is nothing to undo")
    steps = _in_effect(tale)
    moves = {step.moved_from: step.address for step in steps if step.moved_from is not None}
    touched = {step.address for step in steps} | moves.keys()
    # What was gone from its platform before the run can only be forgotten again.
    touched -= {one.address for one in plan.changes if one.action is Action.FORGET and not one.remote_id}
    if not touched:
        raise UsageError(f"run {run} left nothing in effect; there is nothing to undo")
    names = _check_later(run, touched, backend)
    was = {record.address: record for record in known if record.address in touched}
    # What was there before the run took it over is not the run's to delete: it gets its fields back.
    came_upon = {change.address for change in plan.changes if change.action is Action.ADOPT}
    adopted = (came_upon - was.keys()) & touched & state.resources.keys()
    was |= {one: _as_found(state.resources[one], steps, tale) for one in adopted}
    wanted = {address: one for address, one in state.resources.items() if address not in touched} | was
    moved_back = {new: old for old, new in moves.items() if old in was}
    _check_users(state, touched - wanted.keys() - moved_back.keys(), wanted)
    names |= names_of(state.resources) | names_of(was)
    warnings = [
        "The specs still say what this undoes: the next plan would do it again. Take the change back in "
        "git, too."
    ]
    warnings += [
        f"{address} was there before run {run}, which took it over: it stays, and stays managed. "
        "`reconciler state rm` lets go of it."
        for address in sorted(adopted)
    ]
    warnings += lost_secrets(was.values(), state, secrets)
    warnings += [
        f"{step.address}: run {run} archived {step.remote_id}, which stays archived; "
        "the platform can restore it"
        for step in steps
        if step.reversal is Reversal.UNARCHIVE and step.deposes
    ]
    warnings += [
        f"{step.address} goes back to {was[step.address].remote_id}; {step.remote_id} was there before run "
        f"{run}, which took it over: it stays as that run left it."
        for step in steps
        if step.address in came_upon and step.verb is Verb.UPDATE and step.address in was
        if was[step.address].remote_id != step.remote_id
    ]
    specs = SpecSet(
        resources=as_wishes(wanted, names, moved_back, was.keys()),
        digest="",
        moves=tuple(Move(new, old) for new, old in moved_back.items()),
        warnings=tuple(warnings),
    )
    addresses = frozenset((touched & {*wanted, *state.resources}) - moved_back.keys())
    if not addresses:
        raise UsageError(f"the state knows nothing of what run {run} changed; there is nothing to undo")
    return Before(specs, addresses)


Names = dict[tuple[str, str], str]
"""Addresses by platform and id."""


def names_of(known: Mapping[ResourceAddress, ResourceState]) -> Names:
    """The addresses of *known*."""
    return {(address.platform, one.remote_id): str(address) for address, one in known.items()}


def _told(
    backend: StateBackend, run: str
) -> tuple[Replay, Sequence[ResourceState], frozenset[ResourceAddress]]:
    """What the journal of *run* tells, what it knew before, and what it edited in the state."""
    tale = Replay(resources={})
    known: Sequence[ResourceState] = ()
    edited: set[ResourceAddress] = set()
    for record in backend.records(run):
        if isinstance(record, Planned):
            known = record.before
        elif isinstance(record, Edited):
            edited.update(record.removed, (one.address for one in record.put))
        tale.add(record)
    return tale, known, frozenset(edited)


def _in_effect(tale: Replay) -> list[Step]:
    """The steps of a run that changed something and were not rolled back."""
    steps = (tale.step(number) for number in sorted(tale.done.keys() - tale.undone.keys()))
    # That somebody else removed what a replacement had left behind is no change that we made.
    return [step for step in steps if not (step.verb is Verb.RECORD and step.deposes)]


def _check_later(run: str, touched: set[ResourceAddress], backend: StateBackend) -> Names:
    """Raise `PlanImpossible` when a later run changed the same: undoing one of two changes would undo both.

    One that began to undo *run* itself changed nothing else: what it left is
    still to do. Returns what the later runs took away.
    """
    taken: list[str] = []
    gone: Names = {}
    hint = "Undo the later runs first, the newest at the beginning."
    for summary in backend.runs():  # in the order of the state's serials: run ids are as a clock was
        if summary.id == run:
            break
        tale, _, edited = _told(backend, summary.id)
        for address in sorted(edited & touched):
            taken.append(f"{address} was changed in the state by run {summary.id} ({summary.command})")
            hint = "A state edit cannot be undone: say in the specs what is wanted, and apply them."
        steps = _in_effect(tale)
        undoes_it = tale.plan is not None and tale.plan.undoes == run
        both = touched & {one for step in steps for one in (step.address, step.moved_from) if not undoes_it}
        taken += [f"{address} was changed again by run {summary.id}" for address in sorted(both)]
        for step in steps:
            if step.verb is Verb.DELETE:
                gone[step.address.platform, step.remote_id] = str(step.address)
    if taken:
        raise PlanImpossible("\n".join(taken), hint=hint)
    return gone


def _check_users(
    state: State, leaving: Set[ResourceAddress], wanted: Mapping[ResourceAddress, ResourceState]
) -> None:
    """Raise `PlanImpossible` when something that stays needs one of *leaving*: it came after the run."""
    used = [
        f"{other} would be deleted, and {address} needs it"
        for address, record in sorted(state.resources.items())
        if wanted.get(address) is record
        for other in record.depends_on
        if other in leaving
    ]
    if used:
        raise PlanImpossible("\n".join(used), hint="Undo the later runs first, the newest at the beginning.")


def _as_found(record: ResourceState, steps: Iterable[Step], tale: Replay) -> ResourceState:
    """*record* of an adopted object with the fields that it had when the run came upon it.

    A secret was never shown: the one that is there now stays.
    """
    values = dict(record.attributes)
    for step in steps:
        intent = tale.intents.get(step.number)
        if step.address != record.address or intent is None or intent.before is None:
            continue
        for key in step.attributes or ():
            found = intent.before.attributes.get(key)
            if found is not None and HIDDEN not in str(found):
                values[key] = found
            elif found is None and next(marked(values.get(key), SECRET), None) is None:
                values.pop(key, None)
        break  # the first write: it came upon the object
    return replace(record, attributes=Attributes(values))


def as_wishes(
    wanted: Mapping[ResourceAddress, ResourceState],
    names: Names,
    moved_back: Mapping[ResourceAddress, ResourceAddress],
    restored: Set[ResourceAddress],
) -> tuple[Resource, ...]:
    """The records as wishes, with references in the place of the ids of our own objects.

    Raises `PlanImpossible` when one of *restored* refers to what is gone, and not wanted back.
    """
    nowhere = Source("", 0)
    known = {str(address) for address in wanted}
    broken: list[str] = []

    def wish(record: ResourceState) -> Resource:
        address = record.address

        def named(remote_id: str) -> dict[str, str]:
            name = names.get((address.platform, remote_id))
            if name in known:
                return {REF: name}
            if name is not None and address in restored:
                broken.append(f"{address} referred to {name} (id {remote_id}), which is gone")
            return {ID: remote_id}

        attributes = record.attributes
        if b'"' + ID.encode() + b'"' in attributes.raw:
            attributes = Attributes(replace_markers(attributes.values_, ID, named))
        needed = (moved_back.get(one, one) for one in record.depends_on)
        return Resource(
            address,
            attributes,
            nowhere,
            tuple(one for one in needed if one in wanted),
            Lifecycle(prevent_destroy=record.protected),
        )

    resources = tuple(wish(wanted[address]) for address in sorted(wanted))
    if broken:
        raise PlanImpossible(
            "\n".join(broken), hint="Undo the later runs first, the newest at the beginning."
        )
    return resources


def lost_secrets(records: Iterable[ResourceState], state: State, secrets: Secrets) -> Iterator[str]:
    """A line for each secret whose value of then is nowhere any more."""
    for record in records:
        for path, reference in marked(record.attributes.values_, SECRET):
            then = record.secrets.get(".".join(map(str, path)))
            try:
                now = keyed_hash(state.secret_key, secrets.value(reference))
            except SecretUnavailable:
                continue  # which the plan says
            if then is not None and then != now:
                yield f"{record.address}: {describe(reference)} gives another value than then, which is used"
