"""What the records of a run make of the state that it started from.

The same fold serves a run that is going on, the commit at its end, and the
recovery of one that died: there is one answer to what a journal means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from reconciler.core.attributes import ID, REF, Attributes, replace_markers
from reconciler.core.model import Plan, ResourceAddress, ResourceState, State, Step, Verb
from reconciler.state.records import (
    Begun,
    Closed,
    Done,
    Edited,
    Failed,
    Intended,
    Planned,
    Record,
    RollbackBegun,
    UndoFailed,
    Undoing,
    Undone,
)

__all__ = ["Replay", "replay"]


@dataclass(slots=True)
class Replay:
    """What the records of one run say, folded over the state that it started from.

    ``resources`` is the result. ``open_steps`` are intents without an outcome
    (a forward step, or one that was being taken back). ``new_ids`` are those
    of objects that were made again, by platform and old id: another platform
    may use the same ids.
    """

    resources: dict[ResourceAddress, ResourceState]
    begun: Begun | None = None
    plan: Plan | None = None
    closed: Closed | None = None
    rollback: bool = False
    edited: bool = False
    done: dict[int, Done] = field(default_factory=dict)
    failed: dict[int, Failed] = field(default_factory=dict)
    undone: dict[int, Undone] = field(default_factory=dict)
    undo_failed: dict[int, UndoFailed] = field(default_factory=dict)
    intents: dict[int, Intended] = field(default_factory=dict)
    undoing: dict[int, Undoing] = field(default_factory=dict)
    new_ids: dict[tuple[str, str], str] = field(default_factory=dict)
    _before: dict[ResourceAddress, ResourceState | None] = field(default_factory=dict)
    _written: dict[int, Attributes] = field(default_factory=dict)
    _steps_of: dict[ResourceAddress, list[Step]] = field(default_factory=dict)

    def step(self, number: int) -> Step:
        """The step of this number."""
        assert self.plan is not None, "a step before its plan"
        return self.plan.steps[number]

    @property
    def open_steps(self) -> list[Intended | Undoing]:
        """Intents without an outcome, oldest first."""
        forward = [i for n, i in self.intents.items() if n not in self.done and n not in self.failed]
        backward = [u for n, u in self.undoing.items() if n not in self.undone and n not in self.undo_failed]
        return [*forward, *backward]

    def add(self, record: Record) -> None:
        """Fold one more record in."""
        match record:
            case Begun():
                self.begun = record
            case Planned():
                self.plan = record.plan
            case Intended():
                self.intents[record.step] = record
            case Done():
                self.done[record.step] = record
                self._apply(self.step(record.step), record)
            case Failed():
                self.failed[record.step] = record
            case RollbackBegun():
                self.rollback = True
            case Undoing():
                self.undoing[record.step] = record
            case Undone():
                self.undone[record.step] = record
                self._revert(self.step(record.step), record)
            case UndoFailed():
                self.undo_failed[record.step] = record
                if record.instead:
                    step = self.step(record.step)
                    self.new_ids[step.address.platform, step.remote_id] = record.instead
            case Edited():
                self.edited = True
                for address in record.removed:
                    self.resources.pop(address, None)
                for resource in record.put:
                    self.resources[resource.address] = resource
            case Closed():
                self.closed = record

    @property
    def has_effect(self) -> bool:
        """Whether the state may differ from the one that the run started from."""
        return bool(self.done or self.edited)

    def counts(self) -> dict[str, int]:
        """How many steps ended how, each in one bucket, without the zeros; names as in `Outcome.counts`."""
        steps = len(self.plan.steps) if self.plan is not None else 0
        taken_back = self.undone.keys()
        left = self.undo_failed.keys() - taken_back
        every = {
            "done": len(self.done.keys() - taken_back - left),
            "failed": len(self.failed),
            "uncertain": len({one.step for one in self.open_steps} - self.done.keys()),
            "rolled_back": len(taken_back),
            "not_rolled_back": len(left),
            "not_started": steps - len(self.intents.keys() | self.done.keys() | self.failed.keys()),
        }
        return {name: count for name, count in every.items() if count}

    def id_of(self, address: ResourceAddress) -> str | None:
        """The id that the platform gave this resource, as far as the run has got."""
        known = self.resources.get(address)
        return known.remote_id if known is not None else None

    def owner(self, platform: str, kind: str, remote_id: str) -> ResourceAddress | None:
        """The address that already has this object, its older ones included."""
        for address, record in self.resources.items():
            if (address.platform, address.kind) == (platform, kind) and remote_id in (
                record.remote_id,
                *record.deposed,
            ):
                return address
        return None

    def new_id(self, platform: str, remote_id: str) -> str:
        """The id that an object has now, should the rollback have made it again."""
        return self.new_ids.get((platform, remote_id), remote_id)

    def renamed(self, platform: str, attributes: Attributes) -> Attributes:
        """*attributes* of an object of *platform* with the ids of objects that were made again there."""
        if not self.new_ids or b'"' + ID.encode() + b'"' not in attributes.raw:
            return attributes
        return Attributes(
            replace_markers(attributes.values_, ID, lambda old: {ID: self.new_id(platform, old)})
        )

    def resolved(self, attributes: Attributes) -> Attributes:
        """*attributes* with references to resources of this stack as ids."""
        if b'"' + REF.encode() + b'"' not in attributes.raw:
            return attributes

        def known(text: str) -> dict[str, str]:
            remote_id = self.id_of(ResourceAddress.parse(text))
            return {ID: remote_id} if remote_id is not None else {REF: text}

        return Attributes(replace_markers(attributes.values_, REF, known))

    def _apply(self, step: Step, done: Done) -> None:
        for address in _addresses(step):
            self._before.setdefault(address, self.resources.get(address))
        if step.attributes is not None:
            self._written[step.number] = self.resolved(step.attributes)
        self._put(step, done)

    def _put(self, step: Step, done: Done) -> None:
        """What *step*, done, makes of the records as they are now."""
        address = step.address
        known_as = step.moved_from if step.moved_from in self.resources else address
        old = self.resources.pop(known_as, None)
        match step.verb:
            case Verb.DELETE | Verb.RECORD if step.deposes:
                if old is not None:
                    kept = tuple(other for other in old.deposed if other != step.remote_id)
                    self.resources[address] = replace(old, deposed=kept)
            case Verb.DELETE | Verb.FORGET:
                pass
            case Verb.CREATE | Verb.UPDATE | Verb.RECORD:
                deposed = old.deposed if old is not None else ()
                if step.deposes:
                    deposed = (*deposed, step.remote_id)
                intent = self.intents.get(step.number)
                sent = intent.secrets if intent is not None else {}
                secrets = old.secrets if old is not None and step.verb is not Verb.CREATE else {}
                self.resources[address] = ResourceState(
                    address=address,
                    remote_id=done.remote_id,
                    attributes=_remembered(
                        self._written[step.number], old if step.verb is Verb.UPDATE else None
                    ),
                    secrets={**secrets, **sent},
                    depends_on=step.depends_on,
                    protected=step.protected,
                    wire_digest=done.wire_digest,
                    deposed=deposed,
                )

    def _revert(self, step: Step, undone: Undone) -> None:
        """Fold the steps of this resource once more, without those that are taken back.

        Steps that do not wait for one another are taken back in any order, so
        what was there before one of them is no answer.
        """
        if step.verb is Verb.DELETE and undone.remote_id:
            self.new_ids[step.address.platform, step.remote_id] = undone.remote_id
        addresses, steps = self._around(step)
        for address in addresses:
            self.resources.pop(address, None)
            if (before := self._before.get(address)) is not None:
                self.resources[address] = before
        for other in steps:
            if other.number in self.done and other.number not in self.undone:
                self._put(other, self.done[other.number])
        for address in addresses:
            if (record := self.resources.get(address)) is not None:
                self.resources[address] = self._renewed(record)

    def _around(self, step: Step) -> tuple[set[ResourceAddress], list[Step]]:
        """The addresses that this resource has in the plan, and its steps in their order."""
        assert self.plan is not None, "a step before its plan"
        if not self._steps_of:
            for one in self.plan.steps:
                for address in _addresses(one):
                    self._steps_of.setdefault(address, []).append(one)
        addresses: set[ResourceAddress] = set()
        steps: dict[int, Step] = {}
        found = set(_addresses(step))
        while found:
            addresses |= found
            steps.update((one.number, one) for address in found for one in self._steps_of[address])
            found = {address for one in steps.values() for address in _addresses(one)} - addresses
        return addresses, [steps[number] for number in sorted(steps)]

    def _renewed(self, record: ResourceState) -> ResourceState:
        """*record* with the ids of objects that were made again, and with what undoing showed of it."""
        platform = record.address.platform
        remote_id = self.new_id(platform, record.remote_id)
        return replace(
            record,
            attributes=self.renamed(platform, record.attributes),
            remote_id=remote_id,
            deposed=tuple(self.new_id(platform, old) for old in record.deposed),
        )


def _addresses(step: Step) -> tuple[ResourceAddress, ...]:
    return (step.address,) if step.moved_from is None else (step.address, step.moved_from)


def _remembered(written: Attributes, old: ResourceState | None) -> Attributes:
    """What the state keeps after a write: what was written, and what stays managed besides.

    None stands for a field that the spec gave up. A field that the step did
    not name (one under ``ignore_changes``, or any when a reference is let go
    of) stays as it was.
    """
    values = written.values_
    kept = {} if old is None else {k: v for k, v in old.attributes.items() if k not in values}
    if not kept and None not in values.values():
        return written
    return Attributes({**{k: v for k, v in values.items() if v is not None}, **kept})


def replay(state: State, records: Iterable[Record]) -> Replay:
    """Fold *records* over *state*, the state that the run started from."""
    result = Replay(resources=dict(state.resources))
    for record in records:
        result.add(record)
    return result
