"""What the user asked of a plan beyond the specs, and which decisions that leaves."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from reconciler.core.diff import Decision
from reconciler.core.model import (
    Action,
    ResourceAddress,
)
from reconciler.engine.decisions import Decisions, takes_away
from reconciler.errors import PlanImpossible


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user asked of a plan beyond the specs."""

    destroy: bool = False
    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    replaces: tuple[ResourceAddress, ...] = ()
    refresh: bool = True
    allow_deletes: bool = False


def selected(work: Decisions, options: PlanOptions) -> tuple[list[Decision], tuple[str, ...]]:
    """The decisions that ``--target`` and ``--exclude`` leave, and what they leave out."""
    decisions = [work.decisions[address] for address in sorted(work.decisions)]
    if not options.targets and not options.excludes:
        return decisions, ()
    chosen = {decision.change.address for decision in decisions}
    needs = _needs(decisions)
    if options.targets:
        known = {*work.desired, *chosen}
        for glob in options.targets:
            if not any(fnmatchcase(str(address), glob) for address in known):
                raise PlanImpossible(f"--target {glob}: no resource has such an address")
        hit = {a for a in chosen if _matches(a, options.targets)}
        chosen = _closure(hit, lambda address: needs[address])
    if options.excludes:
        needed_by: dict[ResourceAddress, list[ResourceAddress]] = defaultdict(list)
        for address, needed in needs.items():
            for other in needed:
                needed_by[other].append(address)
        out = {a for a in needs if _matches(a, options.excludes)}
        chosen -= _closure(out, lambda address: needed_by[address])
    left_out = tuple(
        f"{decision.change.action} {decision.change.address}"
        for decision in decisions
        if decision.change.address not in chosen and decision.change.action is not Action.RECORD
    )
    return [decision for decision in decisions if decision.change.address in chosen], left_out


def _needs(decisions: Sequence[Decision]) -> dict[ResourceAddress, list[ResourceAddress]]:
    """Which of the decisions each of them cannot do without.

    What is made needs what it depends on; what is taken away needs those that
    depend on it now to let go of it.
    """
    needs: dict[ResourceAddress, list[ResourceAddress]] = {one.change.address: [] for one in decisions}
    leaving = {one.change.address for one in decisions if takes_away(one)}
    for one in decisions:
        address = one.change.address
        if one.desired is not None:
            needs[address] += [other for other in one.desired.depends_on if other in needs]
        if one.prior is not None:
            for other in one.prior.depends_on:
                if other in leaving:
                    needs[other].append(address)
    return needs


def _matches(address: ResourceAddress, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(str(address), glob) for glob in globs)


def takes_part(address: ResourceAddress, chosen: Iterable[Decision], options: PlanOptions) -> bool:
    """Whether the flags leave what a replacement of *address* left behind."""
    if _matches(address, options.excludes):
        return False
    wanted = not options.targets or _matches(address, options.targets)
    return wanted or any(one.change.address == address for one in chosen)


def _closure(
    start: Iterable[ResourceAddress], further: Callable[[ResourceAddress], Iterable[ResourceAddress]]
) -> set[ResourceAddress]:
    reached = set(start)
    queue = deque(reached)
    while queue:
        for address in further(queue.popleft()):
            if address not in reached:
                reached.add(address)
                queue.append(address)
    return reached
