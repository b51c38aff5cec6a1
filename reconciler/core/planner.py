"""Decisions in, ordered steps out. The only file that knows networkx.

networkx takes longer to import than a plan of a thousand unchanged resources
takes to compute, so it is asked only when changes depend on one another, and
only about those.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from reconciler.core.attributes import ID, SECRET, Attributes, canonical, digest, marked, to_json
from reconciler.core.diff import Decision, fingerprint
from reconciler.core.model import (
    Action,
    Phase,
    Plan,
    Remote,
    Resource,
    ResourceAddress,
    ResourceState,
    Reversal,
    Step,
    Verb,
)
from reconciler.errors import PlanImpossible

__all__ = ["layers", "order", "plan_digest", "shortest_cycle"]

_RANK = {Phase.CONSTRUCTIVE: 0, Phase.REPLACING: 1, Phase.DESTRUCTIVE: 2}
_LATER = {rank: phase for phase, rank in _RANK.items()}


@dataclass(slots=True)
class _Draft:
    """A step before it has a number. ``turn`` tells steps of one address apart."""

    step: Step
    turn: int
    rank: int
    waits: set[tuple[ResourceAddress, int]]

    @property
    def key(self) -> tuple[ResourceAddress, int]:
        return self.step.address, self.turn


# The turns of the steps of one address, in the order in which they run.
_DETACH, _REMOVE, _MAKE, _CLEAR = range(4)


def order(
    decisions: Iterable[Decision], deposed: Iterable[tuple[ResourceAddress, Remote]] = ()
) -> tuple[Step, ...]:
    """The steps that carry out *decisions*, in an order in which they can run.

    What must exist is made first, what is taken away goes last, and an object
    goes before the object that it needs. *deposed* are old objects that a
    broken replacement left behind: they are removed too.

    Raises `PlanImpossible` when the order would go round in a circle.
    """
    chosen = {decision.change.address: decision for decision in decisions}
    drafts: dict[tuple[ResourceAddress, int], _Draft] = {}
    for decision in chosen.values():
        for draft in _drafts(decision):
            drafts[draft.key] = draft
    for turn, (address, old) in enumerate(deposed, start=_CLEAR + 1):
        step = Step(
            0,
            Verb.DELETE,
            address,
            Reversal.RECREATE,
            Phase.DESTRUCTIVE,
            remote_id=old.id,
            fingerprint=fingerprint(old),
            deposes=True,
        )
        draft = _Draft(step, turn, 2, set())
        drafts[draft.key] = draft
    _detach_dependents(chosen, drafts)
    _wait_for_dependencies(chosen, drafts)
    _defer_to_replacements(drafts)
    return _numbered(_sorted(drafts))


def _drafts(decision: Decision) -> list[_Draft]:
    change, desired, prior, live = decision.change, decision.desired, decision.prior, decision.live
    address = change.address
    mark = fingerprint(live) if live is not None else ""
    match change.action:
        case Action.CREATE:
            assert desired is not None
            return [_Draft(replace(_making(desired), moved_from=change.moved_from), _MAKE, 0, set())]
        case Action.UPDATE | Action.ADOPT | Action.MOVE | Action.RECORD:
            assert desired is not None
            assert live is not None
            writes = bool(change.fields)
            step = Step(
                0,
                Verb.UPDATE if writes else Verb.RECORD,
                address,
                Reversal.RESTORE if writes else Reversal.RECALL,
                attributes=_written(desired, prior) if writes else desired.attributes,
                remote_id=live.id,
                fingerprint=mark,
                depends_on=desired.depends_on,
                protected=desired.lifecycle.prevent_destroy,
                moved_from=change.moved_from,
            )
            return [_Draft(step, _MAKE, 0, set())]
        case Action.FORGET:
            assert prior is not None
            step = Step(0, Verb.FORGET, address, Reversal.RECALL, remote_id=prior.remote_id)
            return [_Draft(step, _CLEAR, 0, set())]
        case Action.DELETE:
            assert live is not None
            step = Step(
                0,
                Verb.DELETE,
                address,
                Reversal.RECREATE,
                Phase.DESTRUCTIVE,
                remote_id=live.id,
                fingerprint=mark,
            )
            return [_Draft(step, _CLEAR, 2, set())]
        case Action.REPLACE:
            assert desired is not None
            assert live is not None
            secret_changed = any(field.sensitive for field in change.fields)
            remove = Step(
                0,
                Verb.DELETE,
                address,
                Reversal.NONE if secret_changed and _holds_secret(desired) else Reversal.RECREATE,
                remote_id=live.id,
                fingerprint=mark,
                moved_from=change.moved_from,
            )
            if desired.lifecycle.create_before_destroy:
                make = replace(
                    _making(desired), remote_id=live.id, deposes=True, moved_from=change.moved_from
                )
                clear = replace(remove, phase=Phase.DESTRUCTIVE, deposes=True, moved_from=None)
                return [
                    _Draft(make, _MAKE, 0, set()),
                    _Draft(clear, _CLEAR, 2, {(address, _MAKE)}),
                ]
            return [
                _Draft(remove, _REMOVE, 1, set()),
                _Draft(_making(desired), _MAKE, 1, {(address, _REMOVE)}),
            ]


def _making(desired: Resource) -> Step:
    return Step(
        0,
        Verb.CREATE,
        desired.address,
        Reversal.DELETE,
        attributes=desired.attributes,
        depends_on=desired.depends_on,
        protected=desired.lifecycle.prevent_destroy,
    )


def _holds_secret(desired: Resource) -> bool:
    return any(True for _ in marked(desired.attributes.values_, SECRET))


def _written(desired: Resource, prior: ResourceState | None) -> Attributes:
    """What an update writes: the spec's fields, and None for those that the spec gave up."""
    ignored = desired.lifecycle.ignore_changes
    values: dict[str, Any] = {k: v for k, v in desired.attributes.values_.items() if k not in ignored}
    if prior is not None:
        for key in prior.attributes:
            if key not in desired.attributes and key not in ignored:
                values[key] = None
    if len(values) == len(desired.attributes):
        return desired.attributes
    return Attributes(values)


def _detach_dependents(
    chosen: Mapping[ResourceAddress, Decision], drafts: dict[tuple[ResourceAddress, int], _Draft]
) -> None:
    """Let go of an object that is to be removed and made again, before it is removed.

    A platform refuses to delete what something refers to, and the new object
    cannot exist beside the old one when they share a name. So whoever refers
    to it is first written without the reference, and with the new id later.
    """
    leaving = {
        draft.step.remote_id: draft
        for draft in drafts.values()
        if draft.step.verb is Verb.DELETE and draft.turn == _REMOVE
    }
    if not leaving:
        return
    for address, decision in chosen.items():
        if decision.live is None or decision.prior is None:
            continue
        seen = decision.live.attributes.values_
        held = [(path, leaving[target]) for path, target in marked(seen, ID) if target in leaving]
        if not held:
            continue
        removal = drafts.get((address, _REMOVE)) or drafts.get((address, _CLEAR))
        if removal is not None:
            removal.rank = min(removal.rank, 1)
            for _, draft in held:
                draft.waits.add(removal.key)
            continue
        update = drafts[address, _MAKE]
        values = {
            str(key): _without(seen[str(key)], [path[1:] for path, _ in held if path[0] == key])
            for key in {path[0] for path, _ in held}
        }
        step = replace(
            update.step,
            verb=Verb.UPDATE,
            reversal=Reversal.RESTORE,
            attributes=Attributes(dict(sorted(values.items()))),
            depends_on=decision.prior.depends_on,
            protected=decision.prior.protected,
        )
        detach = _Draft(step, _DETACH, 1, set())
        drafts[detach.key] = detach
        update.waits.add(detach.key)
        update.rank = 1
        update.step = replace(update.step, fingerprint="")
        for _, draft in held:
            draft.waits.add(detach.key)


def _without(value: Any, paths: Sequence[tuple[str | int, ...]]) -> Any:
    """*value* without the elements that hold what stands at *paths*; None when nothing is left to hold it."""
    gone = {path[0] for path in paths if path}
    if isinstance(value, Mapping) and gone:
        return {key: item for key, item in value.items() if key not in gone}
    if isinstance(value, list) and gone:
        return [item for number, item in enumerate(value) if number not in gone]
    return None


def _wait_for_dependencies(
    chosen: Mapping[ResourceAddress, Decision], drafts: dict[tuple[ResourceAddress, int], _Draft]
) -> None:
    for address, decision in chosen.items():
        if decision.desired is not None and (make := drafts.get((address, _MAKE))):
            for needed in decision.desired.depends_on:
                if (needed, _MAKE) in drafts:
                    make.waits.add((needed, _MAKE))
        if decision.prior is None:
            continue
        for needed in decision.prior.depends_on:
            # What is taken away goes before what it needed.
            for turn in (_REMOVE, _CLEAR):
                going = drafts.get((needed, turn))
                mine = drafts.get((address, _REMOVE)) or drafts.get((address, _CLEAR))
                if going is not None and mine is not None and going is not mine and mine.rank <= going.rank:
                    going.waits.add(mine.key)


def _defer_to_replacements(drafts: Mapping[tuple[ResourceAddress, int], _Draft]) -> None:
    """A step runs in no earlier phase than the steps it waits for."""
    waiting: dict[tuple[ResourceAddress, int], list[_Draft]] = defaultdict(list)
    for draft in drafts.values():
        for key in draft.waits:
            waiting[key].append(draft)
    queue = deque(draft for draft in drafts.values() if draft.rank)
    while queue:
        done = queue.popleft()
        for draft in waiting[done.key]:
            if draft.rank < done.rank:
                draft.rank = done.rank
                queue.append(draft)


def _sorted(drafts: Mapping[tuple[ResourceAddress, int], _Draft]) -> list[_Draft]:
    def place(key: tuple[ResourceAddress, int]) -> tuple[int, str, str, str, int]:
        address, turn = key
        return drafts[key].rank, address.platform, address.kind, address.name, turn

    if not any(draft.waits for draft in drafts.values()):
        return [drafts[key] for key in sorted(drafts, key=place)]
    import networkx  # 130 ms; only when changes depend on one another

    graph: Any = networkx.DiGraph()
    graph.add_nodes_from(drafts)
    graph.add_edges_from((key, draft.key) for draft in drafts.values() for key in draft.waits)
    try:
        return [drafts[key] for key in networkx.lexicographical_topological_sort(graph, key=place)]
    except networkx.NetworkXUnfeasible:
        names = sorted({str(key[0]) for ring in networkx.simple_cycles(graph, 6) for key in ring})
        raise PlanImpossible(
            "these changes wait for one another: "
            + ", ".join(names or sorted(map(str, {k[0] for k in drafts}))),
            hint="Apply them in two parts with --target.",
        ) from None


def _numbered(drafts: Sequence[_Draft]) -> tuple[Step, ...]:
    number = {draft.key: position for position, draft in enumerate(drafts)}
    return tuple(
        replace(
            draft.step,
            number=number[draft.key],
            phase=_LATER[draft.rank],
            waits=tuple(sorted(number[key] for key in draft.waits)),
        )
        for draft in drafts
    )


def plan_digest(plan: Plan) -> str:
    """What reviewers approve: the changes and steps, with the fingerprints of all that they touch.

    Not in it: the state's serial, the revision, places in files, and texts
    that only inform. So a commit that touches nothing of this plan leaves its
    digest as it is.
    """
    content = [
        plan.stack,
        plan.base.lineage,
        plan.destroy,
        [[c.address, c.action, c.reason, c.fields, c.remote_id, c.irreversible] for c in plan.changes],
        plan.steps,
    ]
    return digest(canonical(msgspec.json.decode(msgspec.json.encode(content, enc_hook=to_json))))


def shortest_cycle(
    edges: Mapping[ResourceAddress, Iterable[ResourceAddress]],
) -> tuple[ResourceAddress, ...]:
    """A shortest ring of dependencies, first address first; empty when there is none.

    Linear when there is none: what can be sorted is put aside first, and only
    what is left is searched.
    """
    waiting: dict[ResourceAddress, int] = {}
    needed_by: dict[ResourceAddress, list[ResourceAddress]] = defaultdict(list)
    for address, needs in edges.items():
        count = 0
        for needed in needs:
            if needed in edges:
                needed_by[needed].append(address)
                count += 1
        waiting[address] = count
    free = deque(address for address, count in waiting.items() if not count)
    while free:
        address = free.popleft()
        del waiting[address]
        for dependent in needed_by[address]:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                free.append(dependent)
    if not waiting:
        return ()
    import networkx

    graph: Any = networkx.DiGraph()
    graph.add_edges_from(
        (address, needed) for address in sorted(waiting) for needed in edges[address] if needed in waiting
    )
    best: tuple[ResourceAddress, ...] = ()
    for component in networkx.strongly_connected_components(graph):
        ring = _shortest_in(graph, component)
        if ring and (not best or (len(ring), ring) < (len(best), best)):
            best = ring
    return best


def _shortest_in(graph: Any, component: set[ResourceAddress]) -> tuple[ResourceAddress, ...]:
    """A shortest ring in one strongly connected part, rotated to start at its smallest address.

    A breadth-first search from each of at most 50 members: exact for any part
    that a person would write, and never quadratic in a generated one.
    """
    best: tuple[ResourceAddress, ...] = ()
    for start in sorted(component)[:50]:
        if graph.has_edge(start, start):
            return (start,)
        before: dict[ResourceAddress, ResourceAddress] = {}
        queue = deque([start])
        while queue and start not in before:
            here = queue.popleft()
            for following in graph.successors(here):
                if following in component and following not in before:
                    before[following] = here
                    queue.append(following)
        if start not in before:
            continue
        ring = [start]
        while (previous := before[ring[-1]]) != start:
            ring.append(previous)
        ring.reverse()
        first = ring.index(min(ring))
        rotated = tuple(ring[first:] + ring[:first])
        if not best or (len(rotated), rotated) < (len(best), best):
            best = rotated
    return best


def layers(
    edges: Mapping[ResourceAddress, Iterable[ResourceAddress]],
) -> tuple[tuple[ResourceAddress, ...], ...]:
    """The resources in rows: each row needs only rows above it. For drawing."""
    depth: dict[ResourceAddress, int] = {}
    needed_by: dict[ResourceAddress, list[ResourceAddress]] = defaultdict(list)
    waiting: dict[ResourceAddress, int] = {}
    for address, needs in edges.items():
        known = [needed for needed in needs if needed in edges]
        waiting[address] = len(known)
        for needed in known:
            needed_by[needed].append(address)
    free = deque(sorted(address for address, count in waiting.items() if not count))
    for address in free:
        depth[address] = 0
    while free:
        address = free.popleft()
        for dependent in needed_by[address]:
            depth[dependent] = max(depth.get(dependent, 0), depth[address] + 1)
            waiting[dependent] -= 1
            if not waiting[dependent]:
                free.append(dependent)
    rows: dict[int, list[ResourceAddress]] = defaultdict(list)
    for address in sorted(edges):
        rows[depth.get(address, 0)].append(address)
    return tuple(tuple(rows[row]) for row in sorted(rows))
