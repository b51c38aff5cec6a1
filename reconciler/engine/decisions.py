"""The decisions of one plan: every resource against state and platform, references followed."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.core.attributes import ID, REF, SECRET, Attributes, marked, replace_markers
from reconciler.core.diff import Decision, decide
from reconciler.core.model import (
    Action,
    Path,
    Remote,
    Removal,
    Resource,
    ResourceAddress,
    ResourceState,
    State,
)
from reconciler.core.policy import Policy
from reconciler.core.ports import Problem, Reader, ResourceKind
from reconciler.engine.refresh import Live
from reconciler.engine.secrets import Secrets, describe, keyed_hash
from reconciler.engine.writes import differing
from reconciler.errors import Complaint, PlanImpossible, SecretUnavailable


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
    config_digest: str = ""


class Decisions:
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
            _, found = self._find(target)
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

    def _find(self, address: ResourceAddress) -> tuple[ResourceState | None, Remote | None]:
        """What we remember of the object of an address, and that object as it is.

        It is found by the id that we remember, else by its natural identity;
        of one that is not what we remember there is no record.
        """
        record, resource = self._prior.get(address), self.desired.get(address)
        if (
            resource is not None
            and record is not None
            and (kind := self._kind(address)).removal is Removal.FORGET
            and kind.identity_of(resource.attributes) != kind.identity_of(record.attributes)
        ):
            # Another object is wanted, and the one that we know stays where it is: it is let go of.
            return None, self._unclaimed(address, resource)
        if record is not None and (known := self._live.of(record)) is not None:
            return record, known
        found = self._unclaimed(address, resource) if resource is not None else None
        if found is not None:
            return None, found  # somebody deleted ours and made another of the same name
        return record, None

    def _let_go(self, address: ResourceAddress, record: ResourceState | None) -> str:
        """The id of an object that stays on its platform without us, since another is wanted; or nothing."""
        known = self._prior.get(address)
        if record is not None or known is None or self._kind(address).removal is not Removal.FORGET:
            return ""
        old = self._live.of(known)
        return old.id if old is not None else ""

    def _unclaimed(self, address: ResourceAddress, resource: Resource) -> Remote | None:
        """The live object with the natural identity of *resource*, unless the state knows whose it is."""
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
        record, live = self._find(address)
        let_go = self._let_go(address, record)
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
        if decision is not None and let_go:
            reason = f"{decision.change.reason}; {let_go} stays there, and is no longer managed"
            decision = replace(decision, change=replace(decision.change, reason=reason))
        if decision is not None and record is None and resource is not None and live is None:
            decision = self._unless_taken(decision, resource)
        elif decision is not None and resource is not None and live is not None:
            decision = self._unless_in_the_way(decision, resource, live)
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

    def _unless_in_the_way(self, decision: Decision, resource: Resource, live: Remote) -> Decision:
        """*decision* to make *live* another, which has a problem where somebody else's object is that."""
        if decision.problem or not decision.change.fields:
            return decision
        address, kind = resource.address, self._kind(resource.address)
        identity = kind.identity_of(resource.attributes)
        found = self._live.by_identity.get((address.platform, address.kind, identity))
        if found is None or found.id == live.id or (*address[:2], found.id) in self._claimed:
            return decision
        return replace(
            decision,
            problem=f"{address} is to get the {', '.join(kind.identity)} of an object that is not ours "
            f"(id {found.id})",
            hint="Delete that object on the platform, or give this one another name.",
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


def lets_go(decision: Decision) -> bool:
    """Whether what is there is to be managed no longer."""
    return decision.change.action is Action.FORGET and decision.live is not None


def takes_away(decision: Decision) -> bool:
    return decision.change.action in (Action.DELETE, Action.REPLACE)
