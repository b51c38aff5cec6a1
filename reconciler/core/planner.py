"""Decisions in, ordered steps out. The only file that knows networkx.

networkx takes longer to import than a plan of a thousand unchanged resources
takes to compute, so it is asked only when changes depend on one another, and
only about those.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import msgspec

from reconciler.core.attributes import ID, REF, Attributes, canonical, digest, marked, to_json
from reconciler.core.diff import Decision, fingerprint
from reconciler.core.model import (
    Action,
    Change,
    Manner,
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

__all__ = ["change_digests", "layers", "order", "plan_digest", "shortest_cycle"]

Key = tuple[ResourceAddress, int]
"""A step among those of a plan: its address, and which of the steps of that address it is."""

_RANK = {Phase.CONSTRUCTIVE: 0, Phase.REPLACING: 1, Phase.DESTRUCTIVE: 2}
_LATER = {rank: phase for phase, rank in _RANK.items()}


@dataclass(slots=True)
class _Draft:
    """A step before it has a number. ``turn`` tells steps of one address apart."""

    step: Step
    turn: int
    rank: int
    waits: set[Key]

    @property
    def key(self) -> Key:
        return self.step.address, self.turn


# The turns of the steps of one address, in the order in which they run.
_DETACH, _REMOVE, _MAKE, _CLEAR = range(4)


def order(
    decisions: Iterable[Decision],
    deposed: Iterable[tuple[ResourceAddress, Remote]] = (),
    *,
    archived: Collection[tuple[ResourceAddress, str]] = (),
    in_the_way: Collection[tuple[ResourceAddress, str]] = (),
    gone: Iterable[tuple[ResourceAddress, str]] = (),
) -> tuple[Step, ...]:
    """The steps that carry out *decisions*, in an order in which they can run.

    What must exist is made first, what is taken away goes last, and an object
    goes before the object that it needs. *deposed* are old objects that a
    broken replacement left behind, or old versions that are not to be kept:
    they are removed too. Those *archived* (by address and id) go once their
    resource is as it is to be, and can be had back from there; those
    *in_the_way*, which have the identity that is wanted, go first. Those that
    are *gone* are to be remembered no more.

    Raises `PlanImpossible` when the order would go round in a circle.
    """
    chosen = {decision.change.address: decision for decision in decisions}
    drafts: dict[Key, _Draft] = {}
    for decision in chosen.values():
        for draft in _drafts(decision):
            drafts[draft.key] = draft
    left = {draft.key: old for draft, old in _remove_deposed(deposed, drafts, in_the_way, archived)}
    _record_gone(gone, drafts)
    _wait_for_what_is_made(chosen, drafts)
    _remove_in_reverse(chosen, left, drafts)
    _defer_to_replacements(drafts)
    _detach_dependents(chosen, drafts)
    return _numbered(_sorted(drafts))


def _drafts(decision: Decision) -> list[_Draft]:
    change, desired, prior, live = decision.change, decision.desired, decision.prior, decision.live
    address = change.address
    mark = fingerprint(live) if live is not None else ""
    match change.action:
        case Action.CREATE:
            assert desired is not None
            make = replace(_making(desired), moved_from=change.moved_from)
            if change.irreversible:
                make = replace(make, reversal=Reversal.NONE)
            return [_Draft(make, _MAKE, 0, set())]
        case Action.UPDATE | Action.ADOPT | Action.MOVE | Action.RECORD:
            assert desired is not None
            assert live is not None
            writes = bool(change.fields)
            step = Step(
                0,
                Verb.UPDATE if writes else Verb.RECORD,
                address,
                (Reversal.NONE if change.irreversible else Reversal.RESTORE) if writes else Reversal.RECALL,
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
                Reversal.UNARCHIVE if change.manner is Manner.ARCHIVE else Reversal.RECREATE,
                Phase.DESTRUCTIVE,
                attributes=decision.parting,
                remote_id=live.id,
                fingerprint=mark,
            )
            return [_Draft(step, _CLEAR, 2, set())]
        case Action.REPLACE:
            assert desired is not None
            assert live is not None
            remove = Step(
                0,
                Verb.DELETE,
                address,
                _way_back(change),
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


def _way_back(change: Change) -> Reversal:
    """How the removal in a replacement is taken back."""
    if change.manner is Manner.ARCHIVE:
        return Reversal.UNARCHIVE
    return Reversal.NONE if change.irreversible else Reversal.RECREATE


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


def _written(desired: Resource, prior: ResourceState | None) -> Attributes:
    """What an update writes: the spec's fields, and None for those that the spec gave up."""
    ignored = desired.lifecycle.ignore_changes
    values: dict[str, Any] = {k: v for k, v in desired.attributes.values_.items() if k not in ignored}
    if prior is not None:
        for key in prior.attributes:
            if key not in desired.attributes and key not in ignored:
                values[key] = None
    if values.keys() == desired.attributes.keys():
        return desired.attributes
    return Attributes(values)


def _remove_deposed(
    deposed: Iterable[tuple[ResourceAddress, Remote]],
    drafts: dict[Key, _Draft],
    in_the_way: Collection[tuple[ResourceAddress, str]],
    archived: Collection[tuple[ResourceAddress, str]],
) -> Iterator[tuple[_Draft, Remote]]:
    for turn, (address, old) in enumerate(deposed, start=_CLEAR + 1):
        step = Step(
            0,
            Verb.DELETE,
            address,
            Reversal.UNARCHIVE if (address, old.id) in archived else Reversal.RECREATE,
            Phase.DESTRUCTIVE,
            remote_id=old.id,
            fingerprint=fingerprint(old),
            deposes=True,
        )
        draft = _Draft(step, turn, 2, set())
        drafts[draft.key] = draft
        # Only the record of its address remembers the old object, so the record goes after it.
        record = drafts.get((address, _REMOVE)) or drafts.get((address, _CLEAR))
        if record is not None and not record.step.deposes:
            record.waits.add(draft.key)
        make = drafts.get((address, _MAKE))
        if make is not None and (address, old.id) in in_the_way:
            draft.rank = 1
            make.waits.add(draft.key)
        elif make is not None and (address, old.id) in archived:
            # It is too many only once the new one is there: until then it may be all there is.
            draft.waits.add(make.key)
        yield draft, old


def _record_gone(gone: Iterable[tuple[ResourceAddress, str]], drafts: dict[Key, _Draft]) -> None:
    for number, (address, remote_id) in enumerate(gone, start=1):
        step = Step(0, Verb.RECORD, address, Reversal.RECALL, remote_id=remote_id, deposes=True)
        # After a move: until then the record has its old address.
        make = drafts.get((address, _MAKE))
        draft = _Draft(step, -number, 0, {make.key} if make is not None else set())
        drafts[draft.key] = draft


def _wait_for_what_is_made(chosen: Mapping[ResourceAddress, Decision], drafts: Mapping[Key, _Draft]) -> None:
    for address, decision in chosen.items():
        if decision.desired is not None and (make := drafts.get((address, _MAKE))):
            for needed in decision.desired.depends_on:
                if (needed, _MAKE) in drafts:
                    make.waits.add((needed, _MAKE))


def _remove_in_reverse(
    chosen: Mapping[ResourceAddress, Decision], left: Mapping[Key, Remote], drafts: Mapping[Key, _Draft]
) -> None:
    """What is taken away goes before what it needed, by memory and by what the platform shows.

    And what has to go before an object can be replaced goes in the phase of
    the replacement.
    """
    removals = _removals(drafts.values())

    def held(address: ResourceAddress, live: Remote) -> Iterator[_Draft]:
        for _, remote_id in marked(live.attributes.values_, ID):
            if (going := removals.get((address.platform, remote_id))) is not None:
                yield going

    before: dict[Key, list[_Draft]] = {key: list(held(key[0], old)) for key, old in left.items()}
    for address, decision in chosen.items():
        mine = drafts.get((address, _REMOVE)) or drafts.get((address, _CLEAR))
        if mine is None or mine.step.verb is not Verb.DELETE:
            continue
        needed = decision.prior.depends_on if decision.prior is not None else ()
        known = [drafts.get((other, turn)) for other in needed for turn in (_REMOVE, _CLEAR)]
        before[mine.key] = [going for going in known if going is not None and going.step.verb is Verb.DELETE]
        if decision.live is not None:
            before[mine.key] += held(address, decision.live)
    # An old object that waits for its successor cannot go before what that waits for in its turn.
    lasting = {key for key in before if key[1] == _CLEAR and drafts[key].step.deposes}
    for key, several in before.items():
        for going in several:
            if key not in lasting and going.key != key:
                going.waits.add(key)
    _bring_forward(drafts)
    for key in lasting:
        for going in before[key]:
            if going.key != key and going.rank == drafts[key].rank:
                going.waits.add(key)


def _removals(drafts: Iterable[_Draft]) -> dict[tuple[str, str], _Draft]:
    """The steps that delete, by platform and id."""
    return {
        (draft.step.address.platform, draft.step.remote_id): draft
        for draft in drafts
        if draft.step.verb is Verb.DELETE
    }


def _bring_forward(drafts: Mapping[Key, _Draft]) -> None:
    queue = deque(draft for draft in drafts.values() if draft.step.verb is Verb.DELETE and draft.rank < 2)
    while queue:
        draft = queue.popleft()
        for first in (drafts[key] for key in draft.waits):
            if first.rank > draft.rank:
                first.rank = draft.rank
                queue.append(first)


def _detach_dependents(chosen: Mapping[ResourceAddress, Decision], drafts: dict[Key, _Draft]) -> None:
    """Let go of an object that is to be removed and made again, before it is removed.

    A platform refuses to delete what something refers to, and the new object
    cannot exist beside the old one when they share a name. So whoever refers
    to it is first written without the reference, and with the new id later.
    A field that will not be written later is not written now: what is in it
    would be lost. There it is for the platform to refuse.
    """
    leaving = _removals(draft for draft in drafts.values() if draft.rank < 2)
    if not leaving:
        return
    # Old objects that stay until their successors are there come first: letting go makes those wait, and more
    # with them. What is still written in an earlier phase after that lets go by itself.
    for keeps_old in (True, False):
        for address, decision in chosen.items():
            make = drafts.get((address, _MAKE))
            if make is None or make.step.deposes is not keeps_old or (address, _REMOVE) in drafts:
                continue
            if decision.live is not None and (keeps_old or make.rank):
                _detach(decision, decision.live, make, leaving, drafts)
        _defer_to_replacements(drafts)


def _detach(
    decision: Decision,
    live: Remote,
    make: _Draft,
    leaving: Mapping[tuple[str, str], _Draft],
    drafts: dict[Key, _Draft],
) -> None:
    address = decision.change.address
    held: dict[str, list[_Draft]] = defaultdict(list)
    for path, remote_id in marked(live.attributes.values_, ID):
        going = leaving.get((address.platform, remote_id))
        if going is not None and going.step.address != address:
            held[str(path[0])].append(going)
    written, prior = make.step.attributes, decision.prior
    if make.step.verb is not Verb.CREATE and decision.desired is not None:
        for key in sorted(held.keys() & set(decision.desired.lifecycle.ignore_changes)):
            raise PlanImpossible(
                f"{held[key][0].step.address} is to be replaced, and {address} refers to it in {key}, "
                "which ignore_changes leaves as it is",
                hint=f"Take {key} out of ignore_changes, so that the new id can be written.",
            )
    if make.step.verb is Verb.RECORD:
        return
    assert written is not None
    ours = {*written, *(prior.attributes if prior is not None else ())}
    ours -= {field.path[0] for field in decision.change.fields if field.forces_replace}
    values = {key: _without_references(written.get(key)) for key in sorted(held) if key in ours}
    if not values:
        return
    step = Step(
        0,
        Verb.UPDATE,
        address,
        Reversal.RESTORE,
        attributes=Attributes(values),
        remote_id=live.id,
        fingerprint=fingerprint(live),
        depends_on=prior.depends_on if prior is not None else (),
        protected=prior.protected if prior is not None else make.step.protected,
        moved_from=decision.change.moved_from,
    )
    detach = _Draft(step, _DETACH, 1, set())
    drafts[detach.key] = detach
    make.waits.add(detach.key)
    make.step = replace(make.step, fingerprint="")
    for key in values:
        for going in held[key]:
            going.waits.add(detach.key)


def _without_references(value: Any) -> Any:
    """*value* without the elements that refer to something not made yet; None for one that itself does."""

    def refers(item: Any) -> bool:
        return any(True for _ in marked(item, REF))

    if not refers(value):
        return value
    if isinstance(value, Mapping) and REF not in value:
        return {key: item for key, item in value.items() if not refers(item)}
    return [item for item in value if not refers(item)] if isinstance(value, list) else None


def _defer_to_replacements(drafts: Mapping[Key, _Draft]) -> None:
    """A step runs in no earlier phase than the steps it waits for."""
    waiting: dict[Key, list[_Draft]] = defaultdict(list)
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


def _sorted(drafts: Mapping[Key, _Draft]) -> list[_Draft]:
    def place(key: Key) -> tuple[int, str, str, str, int]:
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
        ring = shortest_cycle({draft.key: sorted(draft.waits) for draft in drafts.values()})
        raise PlanImpossible(
            f"these changes wait for one another: {', '.join(sorted({str(address) for address, _ in ring}))}",
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
    return _digest_of(
        [
            plan.stack,
            plan.base.lineage,
            plan.destroy,
            plan.undoes,
            [_content(change) for change in plan.changes],
            plan.steps,
        ]
    )


def change_digests(plan: Plan) -> dict[ResourceAddress, str]:
    """What a plan has for each resource, as a digest each: to say later which of them differ.

    Over the change and its steps, less what these owe to the rest of the plan.
    """
    steps: dict[ResourceAddress, list[Step]] = defaultdict(list)
    for step in plan.steps:
        steps[step.address].append(replace(step, number=0, waits=()))
    return {change.address: _digest_of([_content(change), steps[change.address]]) for change in plan.changes}


def _content(change: Change) -> list[Any]:
    return [
        change.address,
        change.action,
        change.manner,
        change.reason,
        change.fields,
        change.remote_id,
        change.irreversible,
    ]


def _digest_of(content: Any) -> str:
    return digest(canonical(msgspec.json.decode(msgspec.json.encode(content, enc_hook=to_json))))


T = TypeVar("T", bound=tuple[Any, ...])

_EFFORT: Final = 2_000_000
"""So many edges are followed for a shortest ring (about a second's work); then the best so far has to do."""


def shortest_cycle(edges: Mapping[T, Iterable[T]]) -> tuple[T, ...]:
    """A shortest ring of dependencies, smallest address first; empty when there is none.

    Linear when there is none: what can be sorted is put aside first, and only
    what is left is searched.
    """
    waiting: dict[T, int] = {}
    needed_by: dict[T, list[T]] = defaultdict(list)
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
        (address, needed)
        for address in sorted(waiting)
        for needed in sorted(edges[address])
        if needed in waiting
    )
    best: tuple[T, ...] = ()
    for component in networkx.strongly_connected_components(graph):
        ring = _shortest_in(graph, component)
        if ring and (not best or (len(ring), ring) < (len(best), best)):
            best = ring
    return best


def _shortest_in(graph: Any, component: set[T]) -> tuple[T, ...]:
    """A shortest ring in one strongly connected part, rotated to start at its smallest address.

    Rings through each member are looked for, of length 1 first, then up to 2,
    4, 8 …: exact for any part that a person would write, and never quadratic
    in a generated one.
    """
    members = sorted(component)
    effort, longest = 0, 1
    while True:
        best: tuple[T, ...] = ()
        for start in members:
            ring, followed = _ring_through(start, graph, component, len(best) - 1 if best else longest)
            effort += followed
            best = ring or best
            if effort > _EFFORT:
                break
        if best or longest >= len(component):
            return best
        longest = min(2 * longest, len(component)) if effort <= _EFFORT else len(component)


def _ring_through(start: T, graph: Any, component: set[T], longest: int) -> tuple[tuple[T, ...], int]:
    """A shortest ring through *start* that is no longer than *longest*, and how many edges were followed."""
    before: dict[T, T] = {}
    level, followed = [start], 0
    for _ in range(longest):
        reached = []
        for here in level:
            for following in graph.successors(here):
                followed += 1
                if following in component and following not in before:
                    before[following] = here
                    reached.append(following)
        level = reached
        if start in before or not level:
            break
    if start not in before:
        return (), followed
    ring = [start]
    while (previous := before[ring[-1]]) != start:
        ring.append(previous)
    ring.reverse()
    first = ring.index(min(ring))
    return tuple(ring[first:] + ring[:first]), followed


def layers(edges: Mapping[T, Iterable[T]]) -> tuple[tuple[T, ...], ...]:
    """The resources in rows: each row needs only rows above it. For drawing."""
    depth: dict[T, int] = {}
    needed_by: dict[T, list[T]] = defaultdict(list)
    waiting: dict[T, int] = {}
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
    rows: dict[int, list[T]] = defaultdict(list)
    for address in sorted(edges):
        rows[depth.get(address, 0)].append(address)
    return tuple(tuple(rows[row]) for row in sorted(rows))
