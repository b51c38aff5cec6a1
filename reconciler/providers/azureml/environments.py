"""Containers and versions on the platform: read surely, written whole.

What shapes every method, by the recorded answers of the live service:

- A LIST lags behind writes, by half a minute and more; a GET does not. What
  this process wrote is therefore asked for by GET, and so is what decides.
- A PUT replaces the mutable part whole: read it, change it, put it back.
- An archived container hides its versions, and a version made in one is born
  archived.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from reconciler.core.attributes import Attributes
from reconciler.errors import ListingIncomplete, NotFound, OutcomeUnknown, ProviderError
from reconciler.providers.azureml import api, conversion
from reconciler.providers.azureml.arm import Arm

__all__ = ["Container", "Environments", "Listing", "Version", "gathered", "newest_active"]

T = TypeVar("T")

_NEWEST_FIRST: Final = {"$orderBy": "createdtime desc", **api.EVERY}

_MOST_PROBES: Final = 20
_ATTEMPTS: Final = 3

_containers = msgspec.json.Decoder(api.ContainerEntry)
_versions = msgspec.json.Decoder(api.VersionEntry)
_STRANGE: Final = (*api.UNREADABLE, KeyError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True, slots=True)
class Container:
    """An environment as a whole. ``archived`` hides all its versions."""

    name: str
    archived: bool
    latest: str
    description: str
    tags: Mapping[str, str]
    raw: bytes = field(repr=False)

    @property
    def properties(self) -> dict[str, Any]:
        """``properties`` of its body."""
        return _properties(self.raw)


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an environment. ``order`` sorts versions by age."""

    name: str
    number: str
    archived: bool
    anonymous: bool
    curated: bool
    system: api.SystemData
    raw: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """What it is called among objects: ``NAME:VERSION``."""
        return f"{self.name}:{self.number}"

    @property
    def order(self) -> tuple[str, str, int]:
        """Sorts by age; versions of one instant by their number."""
        created = (self.system.created_at or "").replace("Z", "+00:00").partition("+")[0]
        second, _, fraction = created.partition(".")
        return second, fraction.ljust(9, "0"), int(self.number) if self.number.isdecimal() else -1

    @property
    def properties(self) -> dict[str, Any]:
        """``properties`` of its body."""
        return _properties(self.raw)

    @property
    def attributes(self) -> Attributes:
        """In canonical form; decoded when somebody looks."""
        return Attributes.lazily(lambda: self.canonical(self.name))

    def canonical(self, name: str) -> dict[str, Any]:
        """Its attributes, under *name*. Raises `ListingIncomplete` when they cannot be understood."""
        try:
            return conversion.attributes_of(name, self.number, self.properties)
        except _STRANGE as error:
            raise ListingIncomplete(
                f"the version {self.id} cannot be understood",
                hint="Nothing was decided. The API may be newer than this program.",
            ) from error


def newest_active(versions: Iterable[Version]) -> Version | None:
    """The version that counts: of those that are not archived the one made last."""
    return max((one for one in versions if not one.archived), key=lambda one: one.order, default=None)


@dataclass(slots=True)
class Listing:
    """Containers by name, and the versions of those that were asked for."""

    containers: dict[str, Container]
    versions: dict[str, list[Version]] = field(default_factory=dict)

    def merge(self, name: str, container: Container | None, versions: Sequence[Version]) -> None:
        """Take in what was found of one environment by surer calls."""
        if container is None:
            self.containers.pop(name, None)
        else:
            self.containers[name] = container
        self.versions[name] = list(versions)


async def gathered(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, or the first error, once the others are stopped."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Environments:
    """The environments of one workspace or registry."""

    def __init__(self, arm: Arm, root: api.Root) -> None:
        self._arm = arm
        self.root = root
        # Versions that this process wrote: a listing may not know them yet.
        self._written: defaultdict[str, set[str]] = defaultdict(set)
        # Versions that were archived one by one, of containers that we saw active.
        self._archived: dict[str, tuple[str, ...]] = {}

    # --- reading ---

    async def containers(self) -> dict[str, Container]:
        """Every container, archived ones too. Raises `ListingIncomplete` for one that is listed twice."""
        path = self.root.containers
        found: dict[str, Container] = {}
        async for page in self._arm.pages(path, api.EVERY):
            for raw in page:
                container = self._container(raw)
                if container.name in found:
                    raise self._arm.not_whole(path, f"lists {container.name} twice")
                found[container.name] = container
        return found

    async def versions(self, name: str) -> list[Version]:
        """Every version of a container as its listing shows them; none where there is no such container."""
        path = self.root.versions(name)
        found: dict[str, Version] = {}
        try:
            async for page in self._arm.pages(path, _NEWEST_FIRST):
                for raw in page:
                    version = self._version(name, raw)
                    if version.number in found:
                        raise self._arm.not_whole(path, f"lists version {version.number} twice")
                    found[version.number] = version
        except NotFound:
            return []
        return list(found.values())

    async def container(self, name: str) -> Container | None:
        """A container; None when there is none."""
        body = await self._arm.found(self.root.container(name))
        return None if body is None else self._container(body)

    async def version(self, name: str, number: str) -> Version | None:
        """A version, archived or not; None when there is none."""
        body = await self._arm.found(self.root.version(name, number))
        return None if body is None else self._version(name, body)

    async def surely(self, name: str) -> tuple[Container | None, list[Version]]:
        """A container and its versions, with what decides asked for by GET.

        That is what we wrote, what the container says is its latest, and the
        newest active one.
        """
        container, listed = await gathered([self.container(name), self.versions(name)])
        assert container is None or isinstance(container, Container)
        assert isinstance(listed, list)
        if container is None:
            return None, []
        versions = {one.number: one for one in listed}
        asked = set(self._written.get(name, ()))
        if container.latest and container.latest not in versions:
            asked.add(container.latest)
        if (listed_newest := newest_active(listed)) is not None:
            asked.add(listed_newest.number)
        sure: set[str] = set()
        while asked:
            numbers = sorted(asked)
            found = await gathered([self.version(name, number) for number in numbers])
            for number, version in zip(numbers, found, strict=True):
                if version is None:
                    versions.pop(number, None)
                else:
                    versions[number] = version
            sure |= asked
            asked = set()
            newest = newest_active(versions.values())
            if newest is not None and newest.number not in sure:
                asked = {newest.number}
        if not container.archived and newest_active(versions.values()) is None:
            await self._below_latest(name, container.latest, versions)
        if not container.archived:
            self._archived[name] = tuple(one.number for one in versions.values() if one.archived)
        return container, list(versions.values())

    async def _below_latest(self, name: str, latest: str, versions: dict[str, Version]) -> None:
        """Look for an active version by number, where the listing shows none of an active container.

        It may be so far behind that it knows none of them yet.
        """
        first = int(latest) - 1 if latest.isdecimal() else 0
        for number in range(first, max(0, first - _MOST_PROBES), -1):
            found = versions.get(str(number)) or await self.version(name, str(number))
            if found is not None:
                versions[found.number] = found
                if not found.archived:
                    return

    def archived_before(self, name: str) -> tuple[str, ...]:
        """The versions that were archived while we last saw the environment itself active."""
        return self._archived.get(name, ())

    async def current(self, name: str) -> Version | None:
        """The newest active version, by the surest calls; None where the environment does not exist."""
        container, versions = await self.surely(name)
        return None if container is None or container.archived else newest_active(versions)

    def _container(self, raw: bytes | msgspec.Raw) -> Container:
        data = bytes(raw)
        try:
            entry = _containers.decode(data)
        except api.UNREADABLE as error:
            raise self._arm.not_whole(
                self.root.containers, "shows a container that cannot be understood"
            ) from error
        said = entry.properties
        return Container(
            entry.name,
            bool(said.is_archived),
            said.latest_version or "",
            said.description or "",
            {key: value or "" for key, value in (said.tags or {}).items()},
            data,
        )

    def _version(self, name: str, raw: bytes | msgspec.Raw) -> Version:
        data = bytes(raw)
        try:
            entry = _versions.decode(data)
        except api.UNREADABLE as error:
            raise self._arm.not_whole(
                self.root.versions(name), "shows a version that cannot be understood"
            ) from error
        said = entry.properties
        return Version(
            name,
            entry.name,
            bool(said.is_archived),
            bool(said.is_anonymous),
            said.environment_type == api.CURATED,
            entry.system_data,
            data,
        )

    # --- writing ---

    async def put_version(self, name: str, number: str, properties: Mapping[str, Any]) -> None:
        """Write a version whole."""
        self._written[name].add(number)
        await self._arm.put(self.root.version(name, number), {"properties": properties})

    async def rewrite(self, version: Version, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Put a version back with a *change* of its properties, unless that leaves it as it is."""
        name, number, before = version.name, version.number, version.properties
        after = change(before)
        if after == conversion.put_back(before):
            return

        async def is_so() -> bool:
            found = await self.version(name, number)
            return found is not None and conversion.put_back(found.properties) == after

        await _surely_sent(lambda: self.put_version(name, number, after), is_so)

    async def archive(self, name: str, number: str) -> None:
        """Archive one version. One that is gone, or archived already, is success."""
        found = await self.version(name, number)
        if found is not None and not found.archived:
            await self.rewrite(found, lambda body: conversion.put_back(body, archived=True))

    async def put_container(self, container: Container, *, archived: bool) -> None:
        """Archive a container, and so all its versions, or restore it."""
        body = conversion.put_back(container.properties, archived=archived)
        for key in ("latestVersion", "nextVersion"):
            body.pop(key, None)  # the service's own
        body.pop("stage", None)

        async def is_so() -> bool:
            found = await self.container(container.name)
            return found is not None and found.archived is archived

        path = self.root.container(container.name)
        await _surely_sent(lambda: self._arm.put(path, {"properties": body}), is_so)

    async def delete_container(self, name: str) -> None:
        """Delete a container with all its versions, where the service does that."""
        await self._arm.delete(self.root.container(name))


async def _surely_sent(send: Callable[[], Awaitable[Any]], is_so: Callable[[], Awaitable[bool]]) -> None:
    """Send one of several writes that make a whole, again where a read shows that it did not happen.

    Whoever settles the whole looks at what it comes to, and would not see
    that the rest of it is missing: other versions, say, that stay active. What
    is sent says how it is to be, so twice does no harm.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            await send()
        except OutcomeUnknown as error:
            try:
                if await is_so():
                    return
            except ProviderError:
                raise error from None
            if not left:
                raise
        else:
            return


def _properties(raw: bytes) -> dict[str, Any]:
    found = api.tables.decode(raw)["properties"]
    assert isinstance(found, dict)
    return found
