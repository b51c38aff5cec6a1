"""What differs on the platforms from what was last applied. Reads, and can do nothing else.

Four things are told apart: *drift* (live is not as applied), a *pending*
change (the specs are ahead of the last apply), an *unmanaged* object (live, and
nobody's wish), and what *could not be read*, which is never taken for any of
the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.core.acceptance import Acceptance, covering, idle
from reconciler.core.diff import compare, drifted
from reconciler.core.model import (
    Action,
    Cause,
    FieldChange,
    Remote,
    Removal,
    Resource,
    ResourceAddress,
    ResourceState,
    SpecSet,
    State,
)
from reconciler.core.ports import Reader, ResourceKind
from reconciler.core.report import Drifted, DriftReport, Pending, Unread
from reconciler.engine.concurrency import together
from reconciler.engine.decisions import Planner
from reconciler.engine.planning import wished
from reconciler.engine.refresh import Live, confirmed, served
from reconciler.errors import ListingIncomplete, PlanImpossible, ProviderError, SpecErrors

__all__ = ["drift"]

_MANY: Final = 10
"""From so many objects of one kind on, one listing is kinder than a read of each."""


async def drift(
    planner: Planner,
    state: State,
    specs: SpecSet | None = None,
    *,
    accepted: Sequence[Acceptance] = (),
    day: str = "",
) -> DriftReport:
    """Compare the platforms with *state*, and *specs* with it.

    *planner* holds readers, so nothing here can change a platform. Without
    *specs*, or when names in them cannot be resolved, nothing is said of
    pending changes. *accepted* is looked at as of *day*.

    Raises `PlanImpossible` for a state that no longer fits ``reconciler.toml``,
    and the platform's own error when nothing at all could be read.
    """
    wanted, prior, warnings = await _specs_beside(planner, state, specs)
    look = _Look(planner)
    await look.at(prior.values())
    found = [one for record in _sorted(prior) if (one := look.compared(record, wanted)) is not None]
    unmanaged = look.unmanaged(prior.values())
    if look.first_error is not None and prior and len(look.missed) == len(prior):
        raise look.first_error
    found = await look.with_authors(found)
    found = [_judged(one, accepted) for one in found]
    fields = [(one.address, change.path) for one in found for change in one.fields]
    warnings += [f"{one}: no drift needs it; remove it" for one in idle(accepted, fields, look.missed)]
    return DriftReport(
        checked=len(prior) - len(look.missed),
        drifted=tuple(found),
        unmanaged=unmanaged,
        warnings=(*look.live.warnings(), *warnings),
        pending=None if wanted is None else tuple(_pending(planner.readers, wanted, prior)),
        unread=look.unread(),
        day=day,
    )


Wishes = Mapping[ResourceAddress, Resource]
Records = Mapping[ResourceAddress, ResourceState]


async def _specs_beside(
    planner: Planner, state: State, specs: SpecSet | None
) -> tuple[Wishes | None, Records, list[str]]:
    """What the specs want and the state knows, by the addresses of the specs; or the state alone."""
    if specs is None:
        return None, state.resources, []
    try:
        wanted, prior = await wished(planner, specs, state)
    except (ProviderError, PlanImpossible, SpecErrors) as error:
        return None, state.resources, [f"pending changes are not known: {error}"]
    return wanted, prior, []


def _sorted(records: Records) -> list[ResourceState]:
    return [records[address] for address in sorted(records)]


class _Look:
    """One look at the platforms. What cannot be read does not keep the rest from being compared."""

    def __init__(self, planner: Planner) -> None:
        self._readers = planner.readers
        self._parallelism = planner.parallelism
        self._shown = planner.shown
        self.live = Live()
        self.missed: dict[ResourceAddress, str] = {}
        self.first_error: ProviderError | None = None
        self._unlisted: dict[tuple[str, str], str] = {}

    async def at(self, records: Iterable[ResourceState]) -> None:
        """List every kind that we manage something of; ask by its id for what a listing leaves out."""
        by_kind: dict[tuple[str, str], list[ResourceState]] = defaultdict(list)
        for record in records:
            by_kind[record.address.platform, record.address.kind].append(record)
        for platform, kind in by_kind:
            served(self._readers, platform, kind)
        kinds = sorted(by_kind)
        await together((self._list(*one, by_kind[one]) for one in kinds), parallelism=self._parallelism)
        left_out = [
            (record.address, remote_id)
            for one in kinds
            for record in by_kind[one]
            for remote_id in (record.remote_id, *record.deposed)
            if record.address not in self.missed and (*one, remote_id) not in self.live.by_id
        ]
        await together((self._confirm(*one) for one in left_out), parallelism=self._parallelism)

    async def _list(self, platform: str, kind: str, records: Sequence[ResourceState]) -> None:
        listed = []
        try:
            async for remote in self._readers[platform].list(kind):
                listed.append(remote)  # noqa: PERF401 - what came before an error is not the whole
        except ProviderError as error:
            self._unlisted[platform, kind] = str(error)
            for record in records:
                self._miss(record.address, error)
        else:
            for remote in listed:
                self.live.add(platform, remote)

    async def _confirm(self, address: ResourceAddress, remote_id: str) -> None:
        try:
            remote = await confirmed(self._readers[address.platform], address, remote_id)
        except ProviderError as error:
            self._miss(address, error)
            return
        if remote is not None:
            self.live.add(address.platform, remote)
            left_out = self.live.unlisted
            left_out[address.platform, address.kind] = left_out.get((address.platform, address.kind), 0) + 1

    def _miss(self, address: ResourceAddress, error: ProviderError) -> None:
        self.missed.setdefault(address, str(error))
        # A listing that is not whole says more than a platform that is away: it has its own exit code.
        if self.first_error is None or isinstance(error, ListingIncomplete):
            self.first_error = error

    def compared(self, record: ResourceState, wanted: Wishes | None) -> Drifted | None:
        """What became of one resource; None where it is as applied, or could not be read."""
        address = record.address
        if address in self.missed:
            return None
        seen = self.live.of(record)
        if seen is None:
            return Drifted(address, (), gone=True)
        kind = self._kind(address)
        wish = wanted.get(address) if wanted is not None else None
        ignored = wish.lifecycle.ignore_changes if wish is not None else ()
        try:
            fields = drifted(kind, record, seen, ignored=ignored, shown=self._shown)
        except ProviderError as error:  # an object is understood only when somebody looks into it
            self._miss(address, error)
            return None
        if not fields:
            return None
        return Drifted(address, _with_causes(kind, fields, wish, record, seen), live=seen)

    def _kind(self, address: ResourceAddress) -> ResourceKind:
        return self._readers[address.platform].kinds[address.kind]

    def unmanaged(self, records: Iterable[ResourceState]) -> tuple[tuple[str, Remote], ...]:
        """Live objects that are neither ours nor the vendor's, of the kinds that we manage something of."""
        ours = {
            (record.address.platform, record.address.kind, one)
            for record in records
            for one in (record.remote_id, *record.deposed)
        }
        found = []
        by_name = sorted(self.live.by_id.items(), key=lambda one: (one[0][:2], one[1].identity, one[0][2]))
        for key, remote in by_name:
            if key in ours or remote.foreign:
                continue
            try:
                len(remote.attributes)
            except ProviderError as error:
                self._unlisted.setdefault(key[:2], str(error))
                continue
            found.append((key[0], remote))
        return tuple(found)

    def unread(self) -> tuple[Unread, ...]:
        """What could not be read, resources first."""
        resources = [Unread(one.platform, one.kind, self.missed[one], one) for one in sorted(self.missed)]
        others = [Unread(*key, why) for key, why in sorted(self._unlisted.items())]
        return (*resources, *others)

    async def with_authors(self, found: Sequence[Drifted]) -> list[Drifted]:
        """*found* with who changed it last and when, where the platform says so."""
        changed: dict[tuple[str, str], list[str]] = defaultdict(list)
        details: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        for one in found:
            if one.live is not None:
                key = (one.address.platform, one.address.kind, one.live.id)
                details[key] = one.live.details
                if not one.live.details.get("updated_at"):
                    changed[key[:2]].append(key[2])

        async def ask(platform: str, kind: str, remote_id: str) -> None:
            remote = await self._readers[platform].read(kind, remote_id, usage=True)
            if remote is not None:
                details[platform, kind, remote_id] = remote.details

        async def ask_all(platform: str, kind: str) -> None:
            async for remote in self._readers[platform].list(kind, usage=True):
                details[platform, kind, remote.id] = remote.details

        async def quietly(question: Any) -> None:
            try:
                await question
            except ProviderError:
                return  # who it was is good to know; that it changed is known already

        questions = []
        for (platform, kind), ids in sorted(changed.items()):
            if len(ids) > _MANY:
                questions.append(quietly(ask_all(platform, kind)))
            else:
                questions += [quietly(ask(platform, kind, remote_id)) for remote_id in ids]
        await together(questions, parallelism=self._parallelism)
        result = []
        for one in found:
            if one.live is not None:
                told = details[one.address.platform, one.address.kind, one.live.id]
                by, at = str(told.get("updated_by") or ""), str(told.get("updated_at") or "")
                one = replace(one, changed_by=by, changed_at=at)
            result.append(one)
        return result


def _with_causes(
    kind: ResourceKind,
    fields: tuple[FieldChange, ...],
    wish: Resource | None,
    record: ResourceState,
    seen: Remote,
) -> tuple[FieldChange, ...]:
    """*fields* with who is the cause: somebody outside, or the specs as well."""
    if wish is None:
        return fields
    left = compare(kind, wish, record, seen)
    result = []
    for one in fields:
        same = [other for other in left if _overlap(one.path, other.path)]
        if not same:
            one = replace(one, cause=Cause.SPEC)  # the specs say by now what somebody did by hand
        elif any(other.cause is Cause.BOTH for other in same):
            one = replace(one, cause=Cause.BOTH)
        result.append(one)
    return tuple(result)


def _overlap(one: Sequence[str | int], other: Sequence[str | int]) -> bool:
    shorter = min(len(one), len(other))
    return tuple(one[:shorter]) == tuple(other[:shorter])


def _judged(one: Drifted, acceptances: Sequence[Acceptance]) -> Drifted:
    """*one* with the decisions by which its fields may differ."""
    judged = {change.path: covering(acceptances, one.address, change.path) for change in one.fields}
    return replace(one, accepted={path: by for path, by in judged.items() if by is not None})


def _pending(readers: Mapping[str, Reader], wanted: Wishes, prior: Records) -> list[Pending]:
    """What the next apply would do because of the specs, whatever happened on the platforms."""
    found = []
    for address in sorted({*wanted, *prior}):
        wish, record = wanted.get(address), prior.get(address)
        if wish is None:
            kept = readers[address.platform].kinds[address.kind].removal is Removal.FORGET
            found.append(Pending(address, Action.FORGET if kept else Action.DELETE))
        elif record is None:
            found.append(Pending(address, Action.CREATE, source=wish.source))
        else:
            kind = readers[address.platform].kinds[address.kind]
            applied = Remote(
                kind.name, record.remote_id, kind.identity_of(record.attributes), record.attributes
            )
            fields = compare(kind, wish, record, applied)
            if fields:
                replacing = any(field.forces_replace for field in fields)
                action = Action.REPLACE if replacing else Action.UPDATE
                found.append(Pending(address, action, fields, wish.source))
    return found
