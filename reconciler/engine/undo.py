"""What a stack was before a past run, as a wish: its plan is the way back.

Each resource that the run changed is to be as the state had it before; all
others are to stay as the state has them now. The wish becomes a plan like any
other, to be reviewed and applied like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.attributes import ID, REF, SECRET, Attributes, marked, replace_markers
from reconciler.core.model import (
    Action,
    Lifecycle,
    Move,
    Resource,
    ResourceAddress,
    ResourceState,
    Source,
    SpecSet,
    State,
)
from reconciler.core.ports import StateBackend
from reconciler.engine.secrets import Secrets, describe, keyed_hash
from reconciler.errors import PlanImpossible, SecretUnavailable, UsageError
from reconciler.state.records import Planned
from reconciler.state.replay import Replay

__all__ = ["Before", "before_run"]


@dataclass(frozen=True, slots=True)
class Before:
    """What was before a run: ``specs`` as a wish, and the ``addresses`` that it is about."""

    specs: SpecSet
    addresses: frozenset[ResourceAddress]


def before_run(run: str, backend: StateBackend, state: State, secrets: Secrets) -> Before:
    """The wish for what was before *run*.

    Raises `UsageError` when the run carried out no plan or left nothing in
    effect, and `PlanImpossible` when a later run changed the same resources.
    """
    tale, known = _tale(backend, run)
    plan = tale.plan
    if plan is None:
        raise UsageError(f"run {run} carried out no plan; there is nothing to undo")
    steps = [plan.steps[number] for number in sorted(tale.done.keys() - tale.undone.keys())]
    moves = {step.moved_from: step.address for step in steps if step.moved_from is not None}
    touched = {step.address for step in steps} | moves.keys()
    # What was gone from its platform before the run can only be forgotten again.
    touched -= {change.address for change in plan.changes if change.action is Action.FORGET}
    if not touched:
        raise UsageError(f"run {run} left nothing in effect; there is nothing to undo")
    _check_later(run, touched, backend)
    was = {record.address: record for record in known if record.address in touched}
    wanted = {address: one for address, one in state.resources.items() if address not in touched} | was
    warnings = [
        "The specs still say what this undoes: the next plan would do it again. Take the change back in "
        "git, too."
    ]
    warnings += _lost_secrets(was.values(), state, secrets)
    specs = SpecSet(
        resources=_resources(wanted, {**state.resources, **was}),
        digest="",
        moves=tuple(Move(new, old) for old, new in moves.items() if old in was),
        warnings=tuple(warnings),
    )
    moved_back = {move.old for move in specs.moves}
    return Before(specs, frozenset((touched & {*wanted, *state.resources}) - moved_back))


def _tale(backend: StateBackend, run: str) -> tuple[Replay, Sequence[ResourceState]]:
    tale = Replay(resources={})
    known: Sequence[ResourceState] = ()
    for record in backend.records(run):
        if isinstance(record, Planned):
            known = record.before
        tale.add(record)
    return tale, known


def _check_later(run: str, touched: set[ResourceAddress], backend: StateBackend) -> None:
    """Undoing one of two changes of a field would undo both."""
    taken: list[str] = []
    for summary in backend.runs():
        if summary.id == run:
            break
        tale, _ = _tale(backend, summary.id)
        if tale.plan is None:
            continue
        both = {tale.plan.steps[number].address for number in tale.done.keys() - tale.undone.keys()} & touched
        taken += [f"{address} was changed again by run {summary.id}" for address in sorted(both)]
    if taken:
        raise PlanImpossible("\n".join(taken), hint="Undo the later runs first, the newest at the beginning.")


def _resources(
    wanted: Mapping[ResourceAddress, ResourceState], known: Mapping[ResourceAddress, ResourceState]
) -> tuple[Resource, ...]:
    """The records as wishes, with references in the place of the ids of our own objects."""
    names = {(address.platform, one.remote_id): str(address) for address, one in known.items()}
    nowhere = Source("", 0)

    def wish(record: ResourceState) -> Resource:
        platform = record.address.platform

        def named(remote_id: str) -> dict[str, str]:
            name = names.get((platform, remote_id))
            return {ID: remote_id} if name is None else {REF: name}

        attributes = record.attributes
        if b'"' + ID.encode() + b'"' in attributes.raw:
            attributes = Attributes(replace_markers(attributes.values_, ID, named))
        return Resource(
            record.address,
            attributes,
            nowhere,
            tuple(one for one in record.depends_on if one in wanted),
            Lifecycle(prevent_destroy=record.protected),
        )

    return tuple(wish(wanted[address]) for address in sorted(wanted))


def _lost_secrets(records: Iterable[ResourceState], state: State, secrets: Secrets) -> Iterator[str]:
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
