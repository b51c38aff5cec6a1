"""From specs, state and platforms to a plan. Thinks, asks, and changes nothing."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from reconciler.core.attributes import ID, REF, SECRET, Attributes, canonical, marked, replace_markers
from reconciler.core.diff import Decision, decide
from reconciler.core.model import (
    Action,
    Change,
    Path,
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
from reconciler.core.policy import Policy, thresholds
from reconciler.core.ports import Problem, Reader, ResourceKind
from reconciler.engine.concurrency import together
from reconciler.engine.executor import differing
from reconciler.engine.refresh import Live, refresh, served
from reconciler.engine.secrets import Secrets, describe, keyed_hash
from reconciler.errors import Complaint, PlanImpossible, SecretUnavailable, SpecErrors

__all__ = ["PlanOptions", "Planned", "Planner", "make_plan", "usage", "wished"]

_MANY = 10
"""From so many objects of one kind on, one listing is kinder than a read of each."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user asked of a plan beyond the specs."""

    destroy: bool = False
    targets: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    replaces: tuple[ResourceAddress, ...] = ()
    refresh: bool = True
    allow_deletes: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and the wire digests of the resources that were seen to be as the state will say."""

    plan: Plan
    seen: Mapping[ResourceAddress, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planner:
    """What making a plan needs besides specs and state."""

    readers: Mapping[str, Reader]
    policy: Policy
    secrets: Secrets
    parallelism: int
    tool: str
    complain: Callable[[Resource, Problem], Complaint]
    shown: Callable[[Path, Any], bool]


async def make_plan(planner: Planner, specs: SpecSet, state: State, options: PlanOptions) -> Planned:
    """The plan that brings the platforms from what they are to what *specs* say.

    Raises `PlanImpossible` or `SpecErrors` when there is none, and whatever a
    platform raises when it cannot be asked.
    """
    warnings = list(specs.warnings)
    prior, moved_from = _moved(specs, state)
    desired, found = await _resolved(planner, specs.resources)
    warnings += found
    live = await _live(planner, desired, prior, refreshing=options.refresh)
    warnings += live.warnings()
    work = _Work(planner, state, prior, moved_from, desired, live, frozenset(options.replaces))
    work.decide_all()
    if work.problems:
        raise PlanImpossible("\n".join(work.problems), hint="\n".join(dict.fromkeys(work.hints)))
    decisions, partial = _selected(work, options)
    decisions = await _with_usage(planner, decisions)
    decisions = _with_names(decisions, prior)
    warnings += work.warnings
    warnings += _proposed_moves(decisions)
    deposed = [one for one in _deposed(prior, live) if _takes_part(one[0], decisions, options)]
    changes = tuple(
        sorted(
            [
                *(decision.change for decision in decisions if decision.change.action is not Action.RECORD),
                *(
                    Change(address, Action.DELETE, "left behind by a replacement", remote_id=old.id)
                    for address, old in deposed
                ),
            ],
            key=lambda change: (change.address, change.remote_id),
        )
    )
    protected = [
        decision.change.address for decision in decisions if _protected(decision) and _takes_away(decision)
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
        changes=changes,
        steps=_steps(decisions, deposed, work.in_the_way(deposed), options),
        warnings=tuple(dict.fromkeys(warnings)),
        refusals=refusals,
        partial=partial,
        tool=planner.tool,
        destroy=options.destroy,
    )
    left_out = work.decisions.keys() - {decision.change.address for decision in decisions}
    return Planned(plan, {address: one for address, one in work.seen.items() if address not in left_out})


def _steps(
    decisions: Sequence[Decision],
    deposed: Sequence[tuple[ResourceAddress, Remote]],
    in_the_way: Collection[tuple[ResourceAddress, str]],
    options: PlanOptions,
) -> tuple[Step, ...]:
    steps = order(decisions, deposed, in_the_way=in_the_way)
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
) -> tuple[dict[ResourceAddress, Resource], list[str]]:
    """The resources with names turned into ids by their platforms."""
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
    warnings: list[str] = []
    sources = {resource.address: resource for resource in resources}
    for answer in answers:
        warnings += answer.warnings
        for problem in answer.problems:
            assert problem.address is not None
            complaints.append(planner.complain(sources[problem.address], problem))
        for resource in answer.resources:
            desired[resource.address] = resource
    if complaints:
        raise SpecErrors(complaints)
    return desired, warnings


async def wished(
    planner: Planner, specs: SpecSet, state: State
) -> tuple[dict[ResourceAddress, Resource], dict[ResourceAddress, ResourceState]]:
    """What the specs want, names as ids and references as the ids that the state knows; and what that knows.

    Both under the addresses that ``[[moved]]`` gives.
    """
    prior, _ = _moved(specs, state)
    desired, _ = await _resolved(planner, specs.resources)
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


class _Work:
    """The decisions of one plan, while they are made."""

    def __init__(
        self,
        planner: Planner,
        state: State,
        prior: Mapping[ResourceAddress, ResourceState],
        moved_from: Mapping[ResourceAddress, ResourceAddress],
        desired: Mapping[ResourceAddress, Resource],
        live: Live,
        replaces: frozenset[ResourceAddress],
    ) -> None:
        self._planner = planner
        self._state = state
        self._prior = prior
        self._moved_from = moved_from
        self.desired = desired
        self._live = live
        self._replaces = replaces
        self._claimed = {
            (a.platform, a.kind, remote_id): a
            for a, record in prior.items()
            for remote_id in (record.remote_id, *record.deposed)
        }
        self._new_ids: set[ResourceAddress] = set()
        self._ids: dict[str, str] = {}
        self.decisions: dict[ResourceAddress, Decision] = {}
        self.seen: dict[ResourceAddress, str] = {}
        self.problems: list[str] = []
        self.hints: list[str] = []
        self.warnings: list[str] = []

    def decide_all(self) -> None:
        """Decide on every resource, and again on whatever refers to one that gets a new id."""
        unknown = [address for address in self._replaces if address not in self.desired]
        if unknown:
            raise PlanImpossible(f"--replace {unknown[0]}: the specs have no such resource")
        referring: dict[ResourceAddress, list[ResourceAddress]] = defaultdict(list)
        for address, resource in self.desired.items():
            for _, text in _references(resource.attributes):
                referring[ResourceAddress.parse(text)].append(address)
        for target in referring:
            found = self._find(target)
            if found is not None:
                self._ids[str(target)] = found.id
        for address in self.desired:
            self._decide(address)
        for address in self._prior:
            if address not in self.desired:
                self._decide(address)
        queue = deque(address for address in referring if self._gets_new_id(address))
        self._new_ids.update(queue)
        while queue:
            for address in referring[queue.popleft()]:
                self._decide(address)
                if address in referring and address not in self._new_ids and self._gets_new_id(address):
                    self._new_ids.add(address)
                    queue.append(address)
        for decision in self.decisions.values():
            if decision.problem:
                self.problems.append(decision.problem)
                self.hints.append(decision.hint)

    def _gets_new_id(self, address: ResourceAddress) -> bool:
        decision = self.decisions.get(address)
        return decision is not None and decision.change.action in (Action.CREATE, Action.REPLACE)

    def _find(self, address: ResourceAddress) -> Remote | None:
        """The live object of an address: by the id that we remember, else by its natural identity."""
        record = self._prior.get(address)
        if record is not None and (known := self._live.of(record)) is not None:
            return known
        resource = self.desired.get(address)
        if resource is None:
            return None
        identity = self._kind(address).identity_of(resource.attributes)
        found = self._live.by_identity.get((address.platform, address.kind, identity))
        if found is None or (address.platform, address.kind, found.id) in self._claimed:
            return None
        return found

    def in_the_way(
        self, deposed: Iterable[tuple[ResourceAddress, Remote]]
    ) -> frozenset[tuple[ResourceAddress, str]]:
        """Those of *deposed* that have the identity that their resource is to have again."""
        return frozenset(
            (address, old.id)
            for address, old in deposed
            if (wanted := self.desired.get(address)) is not None
            and self._kind(address).identity_of(wanted.attributes) == old.identity
        )

    def _kind(self, address: ResourceAddress) -> ResourceKind:
        return self._planner.readers[address.platform].kinds[address.kind]

    def _decide(self, address: ResourceAddress) -> None:
        kind = self._kind(address)
        resource = self.desired.get(address)
        record = self._prior.get(address)
        live = self._find(address)
        if record is not None and live is not None and live.id != record.remote_id:
            record = None  # somebody deleted ours and made another of the same name
        changed: frozenset[str] = frozenset()
        if resource is not None:
            resource = self._with_ids(resource)
            if kind.write_only:
                changed = self._changed_secrets(resource, record)
        decision = decide(
            kind,
            resource,
            record,
            live,
            changed_secrets=changed,
            force_replace=address in self._replaces and live is not None and record is not None,
            shown=self._planner.shown,
            moved_from=self._moved_from.get(address),
        )
        if decision is not None and record is None and resource is not None and live is None:
            decision = self._unless_taken(decision, resource)
        if decision is None:
            self.decisions.pop(address, None)
        else:
            self.decisions[address] = decision
        self.seen.pop(address, None)
        if (
            resource is None
            or live is None
            or not live.wire_digest
            or (record is not None and record.wire_digest == live.wire_digest)
        ):
            return
        # What the state will say. Where that is not all that is there (a field whose changes are
        # ignored), a digest would hide the difference from every later plan.
        if decision is None:
            settled = record is not None and not differing(kind, record.attributes, live)
        else:
            settled = (
                not decision.change.fields
                and decision.change.action in (Action.RECORD, Action.MOVE, Action.ADOPT)
                and not differing(kind, resource.attributes, live)
            )
        if settled:
            self.seen[address] = live.wire_digest

    def _unless_taken(self, decision: Decision, resource: Resource) -> Decision:
        """*decision* to make *resource*, which has a problem where that is another resource's object."""
        address = resource.address
        identity = self._kind(address).identity_of(resource.attributes)
        found = self._live.by_identity.get((address.platform, address.kind, identity))
        holder = self._claimed.get((address.platform, address.kind, found.id)) if found is not None else None
        if found is None or holder is None or self._prior[holder].remote_id != found.id:
            return decision
        return replace(
            decision,
            problem=f"{address} would be the object that the state knows as {holder} (id {found.id})",
            hint="If this is a rename, keep the object: put this into reconciler.toml\n\n    [[moved]]\n"
            f'    from = "{holder}"\n    to = "{address}"\n\nElse give one of them another name.',
        )

    def _with_ids(self, resource: Resource) -> Resource:
        """*resource* with the references whose ids stay as they are turned into ids."""
        if not any(True for _ in _references(resource.attributes)):
            return resource

        def known(text: str) -> dict[str, str]:
            if text in self._ids and ResourceAddress.parse(text) not in self._new_ids:
                return {ID: self._ids[text]}
            return {REF: text}

        attributes = Attributes(replace_markers(resource.attributes.values_, REF, known))
        return replace(resource, attributes=attributes)

    def _changed_secrets(self, resource: Resource, record: ResourceState | None) -> frozenset[str]:
        """The fields whose secret is another than *record* says. Warns of secrets that cannot be had."""
        changed: set[str] = set()
        for path, reference in marked(resource.attributes.values_, SECRET):
            known = record.secrets.get(".".join(map(str, path))) if record is not None else None
            try:
                value = self._planner.secrets.value(reference)
            except SecretUnavailable as error:
                what = (
                    f"{error}; apply will need it"
                    if known is None
                    else f"cannot tell whether {describe(reference)} changed: {error}"
                )
                self.warnings.append(f"{resource.address}: {what}")
                continue
            if known is not None and keyed_hash(self._state.secret_key, value) != known:
                changed.add(str(path[0]))
        return frozenset(changed)


def _references(attributes: Attributes) -> Iterable[tuple[Path, str]]:
    if b'"' + REF.encode() + b'"' not in attributes.raw:
        return ()
    return marked(attributes.values_, REF)


def _selected(work: _Work, options: PlanOptions) -> tuple[list[Decision], tuple[str, ...]]:
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
    leaving = {one.change.address for one in decisions if _takes_away(one)}
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


def _takes_part(address: ResourceAddress, chosen: Iterable[Decision], options: PlanOptions) -> bool:
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

    async def ask_all(platform: str, kind: str) -> None:
        async for remote in readers[platform].list(kind, usage=True):
            used[platform, kind, remote.id] = remote.used_by or ()

    questions = []
    for (platform, kind), losing in sorted(by_kind.items()):
        if len(losing) > _MANY:
            questions.append(ask_all(platform, kind))
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


def _takes_away(decision: Decision) -> bool:
    return decision.change.action in (Action.DELETE, Action.REPLACE)


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
) -> list[tuple[ResourceAddress, Remote]]:
    """Old objects that a broken replacement left on a platform."""
    return [
        (address, old)
        for address, record in sorted(prior.items())
        for remote_id in record.deposed
        if (old := live.by_id.get((address.platform, address.kind, remote_id))) is not None
    ]
