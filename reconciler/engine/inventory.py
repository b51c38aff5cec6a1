"""What there is: one row for each environment that is wished for, remembered or live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.core.attributes import Attributes
from reconciler.core.diff import compare, drifted
from reconciler.core.model import Path, Remote, Resource, ResourceAddress, ResourceState
from reconciler.core.ports import Describer, Reader, ResourceKind
from reconciler.engine.concurrency import together
from reconciler.engine.refresh import confirmed

__all__ = ["STATUSES", "Entry", "described", "find_entry", "inventory", "row"]

STATUSES: Final = {
    "in sync": "live, and as the specs and the last apply say",
    "pending": "the spec changed since the last apply",
    "drifted": "changed on the platform since the last apply",
    "conflict": "both",
    "new": "in the specs, not on the platform",
    "to adopt": "in the specs and on the platform, never applied",
    "gone": "applied, and no longer on the platform",
    "to delete": "applied, and no longer in the specs",
    "unmanaged": "on the platform, not ours",
    "vendor": "the platform's own, never touched",
}
"""What `Entry.status` may say, and what it means."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object from its three sides. ``address`` is empty for one that nobody manages.

    ``place`` is where it stands, or is to stand, in words.
    """

    platform: str
    kind: ResourceKind
    address: ResourceAddress | None
    desired: Resource | None
    prior: ResourceState | None
    live: Remote | None
    place: str = ""

    def status(self, shown: Callable[[Path, Any], bool]) -> str:
        """One of `STATUSES`."""
        if self.live is None:
            return "new" if self.prior is None else "gone"
        if self.prior is None:
            if self.desired is not None:
                return "to adopt"
            return "vendor" if self.live.foreign else "unmanaged"
        has_drift = bool(drifted(self.kind, self.prior, self.live, shown=shown))
        if self.desired is None:
            return "to delete"
        pending = self.desired.attributes != self.prior.attributes and bool(
            compare(self.kind, self.desired, self.prior, self.live, shown=shown)
        )
        if has_drift:
            return "conflict" if pending else "drifted"
        return "pending" if pending else "in sync"


async def inventory(
    readers: Mapping[str, Reader],
    kind: str,
    desired: Mapping[ResourceAddress, Resource],
    prior: Mapping[ResourceAddress, ResourceState],
    *,
    parallelism: int,
) -> list[Entry]:
    """Every object of *kind* on every platform that has such, with what uses it.

    *desired* has its names resolved and its references turned into ids. What
    *prior* remembers and a listing leaves out is asked for by its id, as for
    a plan: nothing is said to be gone that is only hidden.
    """
    platforms = sorted(name for name, reader in readers.items() if kind in reader.kinds)
    listings = await together((_listed(readers[name], kind) for name in platforms), parallelism=parallelism)
    entries: list[Entry] = []
    for platform, listing in zip(platforms, listings, strict=True):
        rules = readers[platform].kinds[kind]
        by_id = {remote.id: remote for remote in listing}
        by_identity = {remote.identity: remote for remote in listing}
        mine = {a for a in {**desired, **prior} if a.platform == platform and a.kind == kind}
        ours = {
            remote_id: address
            for address in mine & prior.keys()
            for remote_id in (prior[address].remote_id, *prior[address].deposed)
        }
        hidden = await together(
            (
                confirmed(readers[platform], address, remote_id, usage=True)
                for remote_id, address in sorted(ours.items())
                if remote_id not in by_id
            ),
            parallelism=parallelism,
        )
        by_id |= {remote.id: remote for remote in hidden if remote is not None}
        taken = set(ours)
        for address in sorted(mine):
            resource, record = desired.get(address), prior.get(address)
            live = by_id.get(record.remote_id) if record is not None else None
            if live is None and resource is not None:
                live = by_identity.get(rules.identity_of(resource.attributes))
                if live is not None and live.id in taken:
                    live = None
                elif live is not None:
                    record = None  # somebody deleted ours and made another of the same name
                    taken.add(live.id)
            entries.append(Entry(platform, rules, address, resource, record, live))
            entries += [
                Entry(platform, rules, address, None, replace(prior[address], remote_id=old), by_id[old])
                for old in (prior[address].deposed if address in prior else ())
                if old in by_id
            ]
        entries += [
            Entry(platform, rules, None, None, None, remote)
            for remote in sorted(listing, key=lambda one: (one.identity, one.id))
            if remote.id not in taken
        ]
    places = await together(
        (readers[entry.platform].place(_attributes(entry)) for entry in entries), parallelism=parallelism
    )
    return [replace(entry, place=place) for entry, place in zip(entries, places, strict=True)]


def _attributes(entry: Entry) -> Attributes:
    """What it is, as far as that is known: live, else as it is to be, else as it was."""
    known = next(side for side in (entry.live, entry.desired, entry.prior) if side is not None)
    return known.attributes


async def _listed(reader: Reader, kind: str) -> Sequence[Remote]:
    return [remote async for remote in reader.list(kind, usage=True)]


async def described(reader: Reader, entry: Entry) -> Entry:
    """*entry* with all that its platform knows about the object, where it knows more than it listed."""
    if entry.live is None or not isinstance(reader, Describer):
        return entry
    details = {**entry.live.details, **await reader.describe(entry.live)}
    return replace(entry, live=replace(entry.live, details=details))


def find_entry(entries: Sequence[Entry], address: ResourceAddress) -> Entry | None:
    """The entry of an address, or of an unmanaged object that is named like it."""
    for entry in entries:
        if entry.address == address:
            return entry
    for entry in entries:
        if (
            entry.address is None
            and entry.platform == address.platform
            and entry.live is not None
            and entry.live.attributes.get("name") == address.name
        ):
            return entry
    return None


def row(entry: Entry, shown: Callable[[Path, Any], bool]) -> dict[str, Any]:
    """The columns of the environments table."""
    live = entry.live
    attributes = _attributes(entry)
    details = live.details if live is not None else {}
    used = live.used_by or () if live is not None else ()
    types = list(attributes.get("workload_types") or ())
    distributed = "distributed" in types
    architecture = f"distributed ({attributes.get('distributed_framework')})" if distributed else "standard"
    return {
        "environment": attributes.get("name"),
        "version": attributes.get("version"),
        "status": entry.status(shown),
        "address": str(entry.address) if entry.address is not None else None,
        "platform": entry.platform,
        "description": attributes.get("description"),
        "scope": entry.place,
        "image": attributes.get("image"),
        "architecture": architecture if types else None,
        "tools": [_tool(name, one) for name, one in (attributes.get("tools") or {}).items()],
        "workloads": [str(user) for user in used if user.kind != "template"],
        "workload_types": types,
        "templates": [user.name for user in used if user.kind == "template"],
        "created_by": details.get("created_by"),
        "created": details.get("created_at"),
        "updated": details.get("updated_at"),
        "cluster": details.get("cluster"),
        "id": live.id if live is not None else None,
    }


def _tool(name: str, tool: Mapping[str, Any]) -> str:
    connection = tool.get("connection")
    return f"{name} ({connection})" if connection else name
