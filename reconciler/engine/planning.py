"""From specs, state and platforms to a plan. Thinks, asks, and changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.core.attributes import ID, REF, Attributes, canonical, marked, replace_markers
from reconciler.core.diff import Decision, destroyed
from reconciler.core.model import (
    Action,
    Change,
    Manner,
    Plan,
    Remote,
    Resource,
    ResourceAddress,
    ResourceState,
    SpecSet,
    State,
    Step,
    UsedBy,
)
from reconciler.core.planner import order
from reconciler.core.policy import thresholds
from reconciler.core.ports import Reader, Surplus
from reconciler.engine.concurrency import together
from reconciler.engine.decisions import Decisions, Planner, lets_go, takes_away
from reconciler.engine.refresh import Live, refresh, served
from reconciler.engine.selection import PlanOptions, selected, takes_part
from reconciler.errors import Complaint, PlanImpossible, SpecErrors

__all__ = ["Planned", "make_plan", "usage", "wished"]

_MANY = 10
"""From so many objects of one kind on, one listing is kinder than a read of each."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and the wire digests of the resources that were seen to be as the state will say.

    ``prior`` is the state that it was made from, under the addresses of the plan.
    """

    plan: Plan
    seen: Mapping[ResourceAddress, str] = field(default_factory=dict)
    prior: Mapping[ResourceAddress, ResourceState] = field(default_factory=dict)


async def make_plan(planner: Planner, specs: SpecSet, state: State, options: PlanOptions) -> Planned:
    """The plan that brings the platforms from what they are to what *specs* say.

    Raises `PlanImpossible` or `SpecErrors` when there is none, and whatever a
    platform raises when it cannot be asked.
    """
    warnings = list(specs.warnings)
    prior, moved_from = _moved(specs, state)
    desired, surplus, found = await _resolved(planner, specs.resources)
    warnings += found
    live = await _live(planner, desired, prior, refreshing=options.refresh)
    warnings += live.warnings()
    work = Decisions(planner, state, prior, moved_from, desired, live, frozenset(options.replaces))
    work.decide_all()
    if work.problems:
        raise PlanImpossible("\n".join(work.problems), hint="\n".join(dict.fromkeys(work.hints)))
    decisions, partial = selected(work, options)
    decisions = await _with_usage(planner, decisions)
    decisions = _with_losses(decisions)
    decisions = _with_names(decisions, prior)
    if options.destroy:
        decisions = list(map(destroyed, decisions))
    warnings += work.warnings
    warnings += _proposed_moves(decisions)
    left = [one for one in _deposed(prior, live) if takes_part(one[0], decisions, options)]
    deposed = [(address, old) for address, _, old in left if old is not None]
    gone = [(address, remote_id) for address, remote_id, old in left if old is None]
    surplus = [one for one in surplus if takes_part(one.address, decisions, options)]
    changes = [
        *(decision.change for decision in decisions if decision.change.action is not Action.RECORD),
        *(
            Change(address, Action.DELETE, "left behind by a replacement", remote_id=old.id)
            for address, old in deposed
        ),
    ]
    put_away = [
        Change(one.address, Action.DELETE, one.reason, remote_id=one.remote.id, manner=Manner.ARCHIVE)
        for one in surplus
    ]
    protected = [
        decision.change.address
        for decision in decisions
        if _protected(decision) and (takes_away(decision) or lets_go(decision))
    ]
    refusals = thresholds(
        planner.policy,
        changes,
        protected,
        len(prior),
        destroy=options.destroy,
        allow_deletes=options.allow_deletes,
    )
    plan = Plan(
        stack=state.stack,
        base=state.stamp,
        specs_digest=specs.digest,
        revision=specs.revision,
        changes=tuple(sorted([*changes, *put_away], key=lambda change: (change.address, change.remote_id))),
        steps=_steps(decisions, deposed, surplus, work.in_the_way(deposed), gone, options),
        warnings=tuple(dict.fromkeys(warnings)),
        refusals=refusals,
        partial=partial,
        tool=planner.tool,
        destroy=options.destroy,
        config_digest=planner.config_digest,
    )
    left_out = work.decisions.keys() - {decision.change.address for decision in decisions}
    seen = {address: one for address, one in work.seen.items() if address not in left_out}
    return Planned(plan, seen, prior)


def _steps(
    decisions: Sequence[Decision],
    deposed: Sequence[tuple[ResourceAddress, Remote]],
    surplus: Sequence[Surplus],
    in_the_way: Collection[tuple[ResourceAddress, str]],
    gone: Sequence[tuple[ResourceAddress, str]],
    options: PlanOptions,
) -> tuple[Step, ...]:
    steps = order(
        decisions,
        [*deposed, *((one.address, one.remote) for one in surplus)],
        archived={(one.address, one.remote.id) for one in surplus},
        in_the_way=in_the_way,
        gone=gone,
    )
    if options.refresh:
        return steps
    # No platform was asked: there is no live object to recognise again, only what the state says of it.
    return tuple(replace(step, fingerprint="") for step in steps)


def _moved(
    specs: SpecSet, state: State
) -> tuple[dict[ResourceAddress, ResourceState], dict[ResourceAddress, ResourceAddress]]:
    """The records under the addresses that ``[[moved]]`` gives them, and where each came from."""
    prior = dict(state.resources)
    moved_from: dict[ResourceAddress, ResourceAddress] = {}
    wanted = {resource.address for resource in specs.resources}
    for move in specs.moves:
        if move.old not in prior or move.new not in wanted:
            continue  # done already, or for a resource that is gone: a [[moved]] may stay in the file
        if move.new in prior:
            raise PlanImpossible(
                f"[[moved]]: {move.old} cannot become {move.new}, which the state knows as another object",
                hint="Remove the [[moved]] entry, or forget one of the two with `reconciler state rm`.",
            )
        if move.old in wanted:
            raise PlanImpossible(
                f"[[moved]]: {move.old} is still in the specs",
                hint="Remove its spec, or the [[moved]] entry.",
            )
        prior[move.new] = replace(prior.pop(move.old), address=move.new)
        moved_from[move.new] = move.old
    return prior, moved_from


async def _resolved(
    planner: Planner, resources: Sequence[Resource]
) -> tuple[dict[ResourceAddress, Resource], list[Surplus], list[str]]:
    """The resources with names turned into ids by their platforms, and what those would have removed."""
    by_platform: dict[str, list[Resource]] = defaultdict(list)
    for resource in resources:
        by_platform[resource.address.platform].append(resource)
    platforms = sorted(by_platform)
    answers = await together(
        (planner.readers[platform].resolve(by_platform[platform]) for platform in platforms),
        parallelism=planner.parallelism,
    )
    desired: dict[ResourceAddress, Resource] = {}
    complaints: list[Complaint] = []
    surplus: list[Surplus] = []
    warnings: list[str] = []
    sources = {resource.address: resource for resource in resources}
    for answer in answers:
        surplus += answer.surplus
        warnings += answer.warnings
        for problem in answer.problems:
            assert problem.address is not None
            complaints.append(planner.complain(sources[problem.address], problem))
        for resource in answer.resources:
            desired[resource.address] = resource
    if complaints:
        raise SpecErrors(complaints)
    return desired, surplus, warnings


async def wished(
    planner: Planner, specs: SpecSet, state: State
) -> tuple[dict[ResourceAddress, Resource], dict[ResourceAddress, ResourceState]]:
    """What the specs want, names as ids and references as the ids that the state knows; and what that knows.

    Both under the addresses that ``[[moved]]`` gives.
    """
    prior, _ = _moved(specs, state)
    desired, _, _ = await _resolved(planner, specs.resources)
    ids = {str(address): record.remote_id for address, record in prior.items()}

    def known(text: str) -> dict[str, str]:
        return {ID: ids[text]} if text in ids else {REF: text}

    wanted = {
        address: replace(
            resource, attributes=Attributes(replace_markers(resource.attributes.values_, REF, known))
        )
        for address, resource in desired.items()
    }
    return wanted, prior


async def _live(
    planner: Planner,
    desired: Mapping[ResourceAddress, Resource],
    prior: Mapping[ResourceAddress, ResourceState],
    *,
    refreshing: bool,
) -> Live:
    if refreshing:
        kinds = {(address.platform, address.kind) for address in desired}
        return await refresh(planner.readers, kinds, prior.values(), parallelism=planner.parallelism)
    live = Live()
    for address, record in prior.items():
        kind = served(planner.readers, address.platform, address.kind).kinds[address.kind]
        remote = Remote(
            kind.name,
            record.remote_id,
            kind.identity_of(record.attributes),
            record.attributes,
            wire_digest=record.wire_digest,
        )
        live.add(address.platform, remote)
        for old in record.deposed:
            # All that is remembered of it is that it has to go.
            live.by_id[address.platform, kind.name, old] = Remote(kind.name, old, (), Attributes({}))
    return live


async def usage(
    readers: Mapping[str, Reader], changes: Iterable[Change], *, parallelism: int
) -> dict[tuple[str, str, str], tuple[UsedBy, ...]]:
    """What uses the objects that *changes* take away, by platform, kind and id."""
    by_kind: dict[tuple[str, str], list[str]] = defaultdict(list)
    for change in changes:
        if change.action in (Action.DELETE, Action.REPLACE):
            by_kind[change.address.platform, change.address.kind].append(change.remote_id)
    used: dict[tuple[str, str, str], tuple[UsedBy, ...]] = {}

    async def ask(platform: str, kind: str, remote_id: str) -> None:
        remote = await readers[platform].read(kind, remote_id, usage=True)
        if remote is not None:
            used[platform, kind, remote_id] = remote.used_by or ()

    async def ask_all(platform: str, kind: str, losing: Iterable[str]) -> None:
        left = dict.fromkeys(losing)
        async for remote in readers[platform].list(kind, usage=True):
            if remote.id in left:
                used[platform, kind, remote.id] = remote.used_by or ()
                del left[remote.id]
        # Old versions are in no listing.
        await together((ask(platform, kind, one) for one in left), parallelism=parallelism)

    questions = []
    for (platform, kind), losing in sorted(by_kind.items()):
        if len(losing) > _MANY:
            questions.append(ask_all(platform, kind, losing))
        else:
            questions += [ask(platform, kind, remote_id) for remote_id in losing]
    await together(questions, parallelism=parallelism)
    return used


async def _with_usage(planner: Planner, decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions, those that take something away with what uses it."""
    used = await usage(
        planner.readers, (decision.change for decision in decisions), parallelism=planner.parallelism
    )
    result = []
    for decision in decisions:
        change = decision.change
        users = used.get((change.address.platform, change.address.kind, change.remote_id), ())
        if users:
            named = ", ".join(map(str, users[:3])) + (f" and {len(users) - 3} more" if len(users) > 3 else "")
            change = replace(change, used_by=users, risks=(*change.risks, f"used by {named}"))
            decision = replace(decision, change=change)
        result.append(decision)
    return result


def _with_losses(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions, those that write over an object with what of it they cannot keep."""
    result = []
    for decision in decisions:
        change = decision.change
        if (
            change.action in (Action.UPDATE, Action.ADOPT, Action.MOVE)
            and change.fields
            and decision.live is not None
        ):
            lost = decision.live.unkept()
            if lost:
                risk = f"loses what this program does not know: {', '.join(lost)}"
                decision = replace(decision, change=replace(change, risks=(*change.risks, risk)))
        result.append(decision)
    return result


def _with_names(
    decisions: Sequence[Decision], prior: Mapping[ResourceAddress, ResourceState]
) -> list[Decision]:
    """The decisions, with the addresses of our own objects where people would see their ids."""
    names: dict[tuple[str, str], str] | None = None
    result = []
    for decision in decisions:
        fields = decision.change.fields
        if any(next(marked([one.before, one.after], ID), None) for one in fields):
            if names is None:
                names = {
                    (address.platform, record.remote_id): str(address) for address, record in prior.items()
                }
            known, platform = names, decision.change.address.platform

            def named(
                remote_id: str, known: Mapping[tuple[str, str], str] = known, platform: str = platform
            ) -> Any:
                return known.get((platform, remote_id), {ID: remote_id})

            fields = tuple(
                replace(
                    one,
                    before=replace_markers(one.before, ID, named),
                    after=replace_markers(one.after, ID, named),
                )
                for one in fields
            )
            decision = replace(decision, change=replace(decision.change, fields=fields))
        result.append(decision)
    return result


def _protected(decision: Decision) -> bool:
    """Whether ``prevent_destroy`` holds: by the spec while there is one, by memory after it."""
    if decision.desired is not None:
        return decision.desired.lifecycle.prevent_destroy
    return decision.prior is not None and decision.prior.protected


def _proposed_moves(decisions: Iterable[Decision]) -> list[str]:
    """A line for each delete and create of the same content: a rename, most likely."""
    gone: dict[bytes, list[Decision]] = defaultdict(list)
    new: list[tuple[bytes, Decision]] = []
    for decision in decisions:
        action = decision.change.action
        if action is Action.DELETE and decision.prior is not None:
            gone[_content(decision.change.address, decision.prior.attributes)].append(decision)
        elif action is Action.CREATE and decision.desired is not None:
            new.append((_content(decision.change.address, decision.desired.attributes), decision))
    proposals = []
    for content, decision in new:
        same = gone.get(content, [])
        if len(same) == 1:
            proposals.append(
                f"{same[0].change.address} and {decision.change.address} have the same content. If this is "
                "a rename, keep the object: put this into reconciler.toml\n\n    [[moved]]\n"
                f'    from = "{same[0].change.address}"\n    to = "{decision.change.address}"\n'
            )
    return proposals


def _content(address: ResourceAddress, attributes: Attributes) -> bytes:
    values = {key: value for key, value in attributes.items() if key != "name"}
    return f"{address.platform}.{address.kind} ".encode() + canonical(values)


def _deposed(
    prior: Mapping[ResourceAddress, ResourceState], live: Live
) -> list[tuple[ResourceAddress, str, Remote | None]]:
    """Old objects that a broken replacement left on a platform; None for one that somebody removed since."""
    return [
        (address, remote_id, live.by_id.get((address.platform, address.kind, remote_id)))
        for address, record in sorted(prior.items())
        for remote_id in record.deposed
    ]
