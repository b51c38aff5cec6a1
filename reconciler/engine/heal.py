"""What was last applied, as a wish: its plan puts drift back.

Not the newest specs: those are for a review. Only what the policy allows is
wished for; whatever else differs is left as it is, and named.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.core.model import (
    Action,
    Lifecycle,
    Resource,
    ResourceAddress,
    ResourceState,
    SpecSet,
    State,
)
from reconciler.core.ports import ResourceKind
from reconciler.core.report import Drifted, DriftReport
from reconciler.engine.decisions import Planner
from reconciler.engine.planning import Planned, make_plan
from reconciler.engine.selection import PlanOptions
from reconciler.engine.undo import as_wishes, lost_secrets, names_of
from reconciler.errors import PlanRefused

__all__ = ["CLASSES", "Healing", "healing"]

CLASSES = ("update", "create", "replace")
"""What a policy may allow: writing fields, making again what is gone, making anew what cannot be written."""


@dataclass(frozen=True, slots=True)
class Healing:
    """A plan that puts drift back, and what it leaves, a line each."""

    planned: Planned
    left: tuple[str, ...]


async def healing(
    planner: Planner, state: State, specs: SpecSet, report: DriftReport, allowed: Collection[str], day: str
) -> Healing:
    """The plan from what *report* found to what *state* says, as far as *allowed* (of `CLASSES`).

    *specs* say which fields are left to others, and nothing else. Accepted
    fields are left, and with one of them all that is in the same field at the
    top. Raises `PlanRefused` should the plan come to take something away.
    """
    lifecycles = _lifecycles(specs)
    accepted: dict[ResourceAddress, tuple[str, ...]] = {}
    left: list[str] = []
    dropped = {one.address for one in report.unread if one.address is not None}
    for one in report.drifted:
        kept = {str(path[0]) for path, by in one.accepted.items() if by.holds(day)}
        why = await _obstacle(planner, state.resources[one.address], one, kept, allowed)
        if why:
            dropped.add(one.address)
            left.append(f"{one.address} {why}")
        elif kept:
            accepted[one.address] = tuple(sorted(kept))
            left.append(f"{one.address}: {', '.join(sorted(kept))}, in which drift is accepted")
    differs = {one.address for one in report.drifted}
    records = {
        address: record
        for address, record in state.resources.items()
        # A secret cannot be seen, so nothing of what is in sync is looked up for it.
        if address not in dropped and (address in differs or not _kind(planner, address).write_only)
    }
    resources = tuple(
        _wish(resource, records[resource.address], lifecycles, accepted, planner, report)
        for resource in as_wishes(records, names_of(records), {}, frozenset())
    )
    gone = [records[one.address] for one in report.drifted if one.gone and one.address in records]
    wish = SpecSet(resources, digest="", warnings=tuple(lost_secrets(gone, state, planner.secrets)))
    planned = await make_plan(planner, wish, replace(state, resources=records), PlanOptions())
    taken = [one for one in planned.plan.changes if one.action in (Action.DELETE, Action.FORGET)]
    if taken:
        raise PlanRefused(
            "putting drift back would take something away",
            reasons=[f"{one.address}: {one.reason}" for one in taken],
            hint="Nothing was done. `reconciler plan` shows what an apply would do.",
        )
    # The wish comes from no file.
    changes = tuple(replace(change, source=None) for change in planned.plan.changes)
    return Healing(replace(planned, plan=replace(planned.plan, changes=changes)), tuple(left))


def _lifecycles(specs: SpecSet) -> Mapping[ResourceAddress, Lifecycle]:
    """What the specs ask for, by the addresses that the state knows."""
    found = {resource.address: resource.lifecycle for resource in specs.resources}
    moved = {move.old: found[move.new] for move in specs.moves if move.new in found}
    return {**moved, **found}


def _kind(planner: Planner, address: ResourceAddress) -> ResourceKind:
    return planner.readers[address.platform].kinds[address.kind]


async def _obstacle(
    planner: Planner, record: ResourceState, one: Drifted, kept: Collection[str], allowed: Collection[str]
) -> str:
    """Why this drift is not put back; empty when it is."""
    fields = [field for field in one.fields if str(field.path[0]) not in kept]
    if not one.gone and not fields:
        return "differs in what is accepted"
    needed = "create" if one.gone else "replace" if any(f.forces_replace for f in fields) else "update"
    if needed not in allowed:
        what = {
            "create": "is gone, and would have to be made again",
            "replace": "differs in what can only be set at creation",
            "update": "was changed outside",
        }[needed]
        return f'{what}; [policy] heal does not have "{needed}"'
    if one.gone:
        other = await planner.readers[one.address.platform].find(one.address.kind, record.attributes)
        if other is not None:
            return f"is gone, and another object of its name is there (id {other.id})"
    return ""


def _wish(
    resource: Resource,
    record: ResourceState,
    lifecycles: Mapping[ResourceAddress, Lifecycle],
    accepted: Mapping[ResourceAddress, tuple[str, ...]],
    planner: Planner,
    report: DriftReport,
) -> Resource:
    """*resource* as it was applied, with what is left as it is."""
    address = resource.address
    asked = lifecycles.get(address, Lifecycle())
    ignored: Iterable[str] = (*asked.ignore_changes, *accepted.get(address, ()))
    if not any(one.address == address and one.gone for one in report.drifted):
        # What a reference gives by now is no drift of the platform.
        ignored = (*ignored, *sorted(_kind(planner, address).write_only))
    lifecycle = Lifecycle(record.protected, asked.create_before_destroy, False, tuple(ignored))
    return replace(resource, depends_on=record.depends_on, lifecycle=lifecycle)
