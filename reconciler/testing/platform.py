"""A platform in memory."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from reconciler.core.attributes import ID, Attributes, canonical, digest, marked
from reconciler.core.model import (
    Remote,
    Removal,
    Resource,
    ResourceAddress,
    UsedBy,
    Verb,
)
from reconciler.core.ports import Resolution, ResourceKind, Surplus
from reconciler.errors import (
    AlreadyExists,
    InUse,
    NotFound,
    Rejected,
    WriteNotApplied,
)


@dataclass(frozen=True)
class _Stored:
    attributes: dict[str, Any]
    version: int


class FakeProvider:
    """A platform of boxes, in memory.

    ``objects`` is what it holds, by id. ``calls`` lists every call as
    ``"create box.a"``. ``fail`` maps the number of a call (from 1), or such a
    text for each call that reads so, to an error that it raises before its
    effect, ``fail_after`` to one that it raises after it. ``lie`` names
    attributes whose writes it accepts and drops. ``hidden`` are ids that a
    listing leaves out, ``foreign`` those of the vendor's own objects. ``used``
    maps ids to what uses them, ``details`` is what it tells people of each
    object, ``surplus`` is what `resolve` says is too much. Like a real
    platform it refuses to delete what another object refers to, and to write
    a reference to what is not there. What it deletes of a kind
    that is archived goes to ``archived``, and comes out of there when it is
    made again. ``parted`` holds what was to go with each object that it
    deleted. Those named in ``never_ready`` are there and do not work. What
    comes late is missing until somebody waits for the object.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        kinds: Sequence[ResourceKind] = (
            ResourceKind(
                "box",
                ("name",),
                immutable=frozenset({"shape"}),
                defaults={"colour": "white"},
            ),
            ResourceKind(
                "key",
                ("name",),
                immutable=frozenset({"secret"}),
                write_only=frozenset({"secret"}),
                unreadable="the secret is never shown",
            ),
        ),
        patience: float = 0.0,
    ) -> None:
        self.name = name
        self.kinds: Mapping[str, ResourceKind] = {kind.name: kind for kind in kinds}
        self.patience = patience
        self.objects: dict[str, tuple[str, _Stored]] = {}
        self.calls: list[str] = []
        self.fail: dict[int | str, Exception] = {}
        self.fail_after: dict[int | str, Exception] = {}
        self.lie: set[str] = set()
        self.hidden: set[str] = set()
        self.foreign: set[str] = set()
        self.used: dict[str, tuple[UsedBy, ...]] = {}
        self.details: dict[str, Any] = {}
        self.surplus: tuple[Surplus, ...] = ()
        self.archived: dict[str, tuple[str, _Stored]] = {}
        self.parted: dict[str, dict[str, Any]] = {}
        self.never_ready: set[str] = set()
        self.closed = False
        self._ids = itertools.count(1)
        # Ids by identity, and ids of those that refer, by what they refer to: as they once were, so
        # whoever asks looks at the objects too.
        self._named: dict[tuple[str, ...], set[str]] = defaultdict(set)
        self._users: dict[str, set[str]] = defaultdict(set)

    def put(self, kind: str, **attributes: Any) -> str:
        """Make an object behind everybody's back. Returns its id."""
        remote_id = f"id-{next(self._ids)}"
        self._keep(remote_id, kind, attributes, 1)
        return remote_id

    def edit(self, remote_id: str, **attributes: Any) -> None:
        """Change an object behind everybody's back; None clears an attribute."""
        kind, stored = self.objects[remote_id]
        self._keep(remote_id, kind, {**stored.attributes, **attributes}, stored.version + 1)

    def _keep(self, remote_id: str, kind: str, attributes: Mapping[str, Any], version: int) -> None:
        local = self.kinds[kind].local
        values = {k: v for k, v in attributes.items() if v is not None and k not in local}
        self.objects[remote_id] = (kind, _Stored(values, version))
        self._named[self._identity(kind, values)].add(remote_id)
        for _, wanted in marked(values, ID):
            self._users[wanted].add(remote_id)

    def _identity(self, kind: str, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        return kind, *self.kinds[kind].identity_of(Attributes(attributes))

    def _identified(self, kind: str, attributes: Mapping[str, Any]) -> str | None:
        """The id of the object with this identity, if there is one."""
        wanted = self._identity(kind, attributes)
        for remote_id in sorted(self._named.get(wanted, ())):
            if remote_id in self.objects:
                its_kind, stored = self.objects[remote_id]
                if self._identity(its_kind, stored.attributes) == wanted:
                    return remote_id
        return None

    def _user(self, remote_id: str) -> str | None:
        """The id of another object that refers to this one, if there is one."""
        for other in sorted(self._users.get(remote_id, ())):
            if other != remote_id and other in self.objects:
                stored = self.objects[other][1]
                if any(wanted == remote_id for _, wanted in marked(stored.attributes, ID)):
                    return other
        return None

    def world(self) -> dict[str, dict[str, Any]]:
        """What there is, by ``kind.name``, secrets included."""
        return {
            f"{kind}.{stored.attributes['name']}": dict(stored.attributes)
            for kind, stored in self.objects.values()
        }

    @contextlib.contextmanager
    def _call(self, what: str) -> Iterator[None]:
        self.calls.append(what)
        number = len(self.calls)
        if (error := self.fail.get(number) or self.fail.get(what)) is not None:
            raise error
        yield
        if (error := self.fail_after.get(number) or self.fail_after.get(what)) is not None:
            raise error

    def _check_references(self, attributes: Attributes) -> None:
        for _, wanted in marked(attributes.values_, ID):
            if wanted not in self.objects:
                raise Rejected(f"there is no {wanted} to refer to", platform=self.name, status=400)

    def _remote(self, remote_id: str, *, usage: bool) -> Remote:
        kind, stored = self.objects[remote_id]
        hidden = self.kinds[kind].write_only
        attributes = Attributes({k: v for k, v in stored.attributes.items() if k not in hidden})
        return Remote(
            kind=kind,
            id=remote_id,
            identity=self.kinds[kind].identity_of(attributes),
            attributes=attributes,
            version=str(stored.version),
            wire_digest=digest(canonical([attributes.values_, stored.version])),
            foreign=remote_id in self.foreign,
            details=self.details if usage else {},
            used_by=self.used.get(remote_id, ()) if usage else None,
        )

    async def list(self, kind: str, *, usage: bool = False) -> AsyncIterator[Remote]:
        """See `Reader.list`."""
        with self._call(f"list {kind}"):
            found = [
                self._remote(remote_id, usage=usage)
                for remote_id, (its_kind, _) in self.objects.items()
                if its_kind == kind and remote_id not in self.hidden
            ]
        for remote in found:
            yield remote

    async def read(self, kind: str, remote_id: str, *, usage: bool = False) -> Remote | None:
        """See `Reader.read`."""
        with self._call(f"read {remote_id}"):
            if remote_id not in self.objects:
                return None
            return self._remote(remote_id, usage=usage)

    async def find(self, kind: str, attributes: Attributes) -> Remote | None:
        """See `Reader.find`."""
        with self._call(f"find {kind}.{attributes['name']}"):
            remote_id = self._identified(kind, attributes)
            return None if remote_id is None else self._remote(remote_id, usage=False)

    async def resolve(self, resources: Sequence[Resource]) -> Resolution:
        """See `Reader.resolve`: there are no names to resolve."""
        return Resolution(tuple(resources), surplus=self.surplus)

    async def place(self, attributes: Attributes) -> str:
        """See `Reader.place`: everything is in one."""
        return ""

    def call(self, verb: Verb, kind: str, remote_id: str, attributes: Attributes | None = None) -> str:
        """See `Reader.call`."""
        return f"{verb} {kind} {remote_id}".strip()

    async def create(self, address: ResourceAddress, attributes: Attributes, *, key: str) -> str:
        """See `Provider.create`."""
        with self._call(f"create {address.kind}.{address.name}"):
            if self._identified(address.kind, attributes) is not None:
                raise AlreadyExists(f"{address} exists", platform=self.name, status=409)
            self._check_references(attributes)
            late = self.kinds[address.kind].late
            written = {k: v for k, v in attributes.items() if k not in self.lie and k not in late}
            wanted = self._identity(address.kind, written)
            for remote_id, (kind, stored) in self.archived.items():
                if self._identity(kind, stored.attributes) == wanted:
                    del self.archived[remote_id]
                    self._keep(remote_id, kind, written, stored.version + 1)
                    return remote_id
            return self.put(address.kind, **written)

    async def update(
        self, address: ResourceAddress, remote_id: str, attributes: Attributes, *, previous: Remote
    ) -> None:
        """See `Provider.update`."""
        with self._call(f"update {address.kind}.{address.name}"):
            if remote_id not in self.objects:
                raise NotFound(f"{remote_id} is gone", platform=self.name, status=404)
            self._check_references(attributes)
            self.edit(remote_id, **{k: v for k, v in attributes.items() if k not in self.lie})

    async def delete(
        self, address: ResourceAddress, remote_id: str, *, parting: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """See `Provider.delete`."""
        with self._call(f"delete {address.kind}.{address.name}"):
            if remote_id in self.objects and (user := self._user(remote_id)) is not None:
                raise InUse(f"{user} uses {remote_id}", platform=self.name, status=412)
            kind = self.kinds[address.kind]
            if kind.removal is Removal.FORGET:
                raise Rejected("there is no way to delete", platform=self.name, status=405)
            gone = self.objects.pop(remote_id, None)
            if parting:
                self.parted[remote_id] = dict(parting)
            if gone is not None and kind.removal is Removal.ARCHIVE:
                self.archived[remote_id] = gone

    async def restore(self, address: ResourceAddress, remote_id: str) -> None:
        """See `Archive.restore`."""
        with self._call(f"restore {address.kind}.{address.name}"):
            if remote_id in self.archived:
                self.objects[remote_id] = self.archived.pop(remote_id)
            elif remote_id not in self.objects:
                raise NotFound(f"{remote_id} is gone", platform=self.name, status=404)

    async def await_ready(self, address: ResourceAddress, remote_id: str, attributes: Attributes) -> None:
        """See `Readiness.await_ready`."""
        if address.name in self.never_ready:
            raise WriteNotApplied(f"{address} does not work", platform=self.name)
        there = self.objects[remote_id][1].attributes
        late = self.kinds[address.kind].late - self.lie
        if missing := {k: v for k, v in attributes.items() if k in late and there.get(k) != v}:
            self.edit(remote_id, **missing)

    async def close(self) -> None:
        """See `Provider.close`."""
        self.closed = True
