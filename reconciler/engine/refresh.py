"""Ask the platforms what is there, and prove the answer complete before anybody decides on it.

One listing for each kind. What the state remembers and a listing leaves out
is asked for by its id: only the platform's surest call makes an object gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.core.model import Remote, ResourceAddress, ResourceState
from reconciler.core.ports import Reader
from reconciler.engine.concurrency import together
from reconciler.errors import Forbidden, ListingIncomplete, PlanImpossible

__all__ = ["Live", "confirmed", "refresh", "served"]


@dataclass(slots=True)
class Live:
    """What the platforms showed. ``unlisted`` counts objects that exist and that a listing left out."""

    by_id: dict[tuple[str, str, str], Remote] = field(default_factory=dict)
    by_identity: dict[tuple[str, str, tuple[str, ...]], Remote] = field(default_factory=dict)
    unlisted: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, platform: str, remote: Remote) -> None:
        """Take one object in."""
        self.by_id[platform, remote.kind, remote.id] = remote
        self.by_identity[platform, remote.kind, remote.identity] = remote

    def of(self, record: ResourceState) -> Remote | None:
        """The object that this record stands for, or None when it is gone."""
        address = record.address
        return self.by_id.get((address.platform, address.kind, record.remote_id))

    def warnings(self) -> tuple[str, ...]:
        """What a person should know about how complete the listings were."""
        return tuple(
            f"{platform}: the listing of {kind} left out {count} that exist; they were read one by one"
            for (platform, kind), count in sorted(self.unlisted.items())
        )


async def refresh(
    readers: Mapping[str, Reader],
    kinds: Iterable[tuple[str, str]],
    remembered: Collection[ResourceState],
    *,
    parallelism: int,
) -> Live:
    """Everything there is of *kinds* (platform and kind), with every remembered object accounted for.

    Raises `ListingIncomplete` when something can neither be seen nor proven
    gone, and whatever a platform raises: then nothing is decided.
    """
    live = Live()
    wanted = sorted({*kinds, *((record.address.platform, record.address.kind) for record in remembered)})
    for platform, kind in wanted:
        served(readers, platform, kind)
    await together(
        (_list(readers[platform], platform, kind, live) for platform, kind in wanted), parallelism=parallelism
    )
    missing = [
        (record.address, remote_id)
        for record in remembered
        for remote_id in (record.remote_id, *record.deposed)
        if (record.address.platform, record.address.kind, remote_id) not in live.by_id
    ]
    await together(
        (_confirm(readers[address.platform], address, remote_id, live) for address, remote_id in missing),
        parallelism=parallelism,
    )
    return live


def served(readers: Mapping[str, Reader], platform: str, kind: str) -> Reader:
    """The platform that a record of ours is on. Raises `PlanImpossible` when no such one is configured."""
    reader = readers.get(platform)
    if reader is None:
        raise PlanImpossible(
            f"the state has resources on the platform {platform!r}, which reconciler.toml does not name",
            hint=f"Put [platforms.{platform}] back, or let go: `reconciler state rm '{platform}.*'`.",
        )
    if kind not in reader.kinds:
        raise PlanImpossible(
            f"the state has resources of the kind {kind!r} on the platform {platform!r}, whose provider "
            "knows no such kind",
            hint="Give the platform its old provider back, or let go: "
            f"`reconciler state rm '{platform}.{kind}.*'`.",
        )
    return reader


async def _list(reader: Reader, platform: str, kind: str, live: Live) -> None:
    async for remote in reader.list(kind):
        live.add(platform, remote)


async def _confirm(reader: Reader, address: ResourceAddress, remote_id: str, live: Live) -> None:
    remote = await confirmed(reader, address, remote_id)
    if remote is not None:
        platform, kind, _ = address
        live.add(platform, remote)
        live.unlisted[platform, kind] = live.unlisted.get((platform, kind), 0) + 1


async def confirmed(
    reader: Reader, address: ResourceAddress, remote_id: str, *, usage: bool = False
) -> Remote | None:
    """An object of ours that a listing left out, by the surest call; None when it is gone.

    Raises `ListingIncomplete` when that is not permitted.
    """
    try:
        return await reader.read(address.kind, remote_id, usage=usage)
    except Forbidden as error:
        raise ListingIncomplete(
            f"{address} (id {remote_id}) is not in the listing, and reading it is not permitted",
            platform=address.platform,
            call=error.call,
            status=error.status,
            request_id=error.request_id,
            hint="Nothing was decided. Give the access key a role that may read it.",
        ) from error
