"""Azure ML as a `Provider`: which calls, in which order, and what their answers mean.

An environment is a container of versions. To us it is one object, whose id is
the container's name and which is as its newest active version says; a version
by itself has the id ``NAME:VERSION``, and that as its name too. Definitions
never change: a changed one is another version.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from reconciler.core.attributes import Attributes
from reconciler.core.model import Remote, Resource, ResourceAddress, UsedBy, Verb
from reconciler.core.ports import PlatformContext, Resolution, ResourceKind
from reconciler.errors import AlreadyExists, NotFound, ProviderError, Rejected
from reconciler.providers.azureml import api, conversion
from reconciler.providers.azureml.arm import Arm, explain, is_own
from reconciler.providers.azureml.auth import EMBEDDED_HOST, HINTS, SignIn
from reconciler.providers.azureml.builds import Builds
from reconciler.providers.azureml.environments import (
    Container,
    Environments,
    Listing,
    Version,
    gathered,
    newest_active,
)
from reconciler.providers.azureml.kinds import DELETED, ENVIRONMENT, KINDS
from reconciler.providers.azureml.resolving import Resolving
from reconciler.providers.azureml.settings import CLOUDS, Settings
from reconciler.providers.azureml.upload import Uploads, explain_blob
from reconciler.providers.azureml.usage import Usage, look_for_users
from reconciler.providers.http import HttpClient, embedded_transport, trust

__all__ = ["AzuremlProvider"]

_KIND: Final = ENVIRONMENT.name
_STORAGE: Final = "https://storage.azure.com"
"""Whom a token for storage is for, in every cloud. Source: azure-storage-blob 12.31.1."""
_AT_ONCE: Final = 5
"""Requests at a time: what the service bears is not documented, and less than ARM itself."""
_SHARED_FOR: Final = 30.0
"""Seconds for which a listing that names were resolved by is good for the plan they were resolved for."""
_NO_DETAILS: Final[Mapping[str, Any]] = MappingProxyType({})


class AzuremlProvider:
    """One workspace, or one registry. See `Provider` for the contract of each method."""

    def __init__(
        self,
        name: str,
        client: HttpClient,
        arm: Arm,
        root: api.Root,
        uploads: Uploads,
        builds: Builds,
        settings: Settings,
        *,
        patience: float,
    ) -> None:
        self.name = name
        self.patience = patience
        self.kinds: Mapping[str, ResourceKind] = DELETED if settings.destroy == "delete" else KINDS
        self._client = client
        self._arm = arm
        self._root = root
        self._environments = Environments(arm, root)
        self._uploads = uploads
        self._builds = builds
        self._settings = settings
        self._listing: Listing | None = None
        self._listed_at = 0.0
        self._looking: asyncio.Task[Usage] | None = None

    @classmethod
    def open(cls, settings: Settings, context: PlatformContext, app: Any) -> AzuremlProvider:
        """The workspace or registry behind *settings*; with *app*, the embedded one."""
        embedded = settings.is_embedded
        base = EMBEDDED_HOST if embedded else settings.endpoint
        verify = True if embedded else trust(settings.ca_file)

        def connect(url: str, resource: str | None = None, words: Any = explain) -> HttpClient:
            """A client for another host; with *resource*, our tokens for that."""
            signing = None
            if resource is not None:
                signing = SignIn(settings, context.secrets, context.clock, connect=connect, resource=resource)
            return HttpClient(
                url,
                embedded_transport(app) if embedded else None,
                platform=context.platform,
                sign_in=signing,
                explain=words,
                is_own=is_own if words is explain else lambda body: True,
                hints={401: HINTS[settings.auth]},
                secrets=context.secrets,
                user_agent=context.user_agent,
                concurrency=settings.max_concurrency or (context.parallelism if embedded else _AT_ONCE),
                rate=settings.requests_per_second,
                timeout=settings.timeout_seconds,
                verify=verify,
                clock=context.clock,
                random=context.random,
                traffic=context.traffic,
            )

        cloud = CLOUDS[settings.cloud]
        client = connect(base, cloud.endpoint)
        arm = Arm(client, base, api_version=settings.api_version, new_id=context.new_id)
        kind, place = (
            ("registries", settings.registry) if settings.registry else ("workspaces", settings.workspace)
        )
        assert place is not None
        root = api.Root(settings.subscription_id, settings.resource_group, kind, place)
        uploads = Uploads(
            arm,
            root,
            datastore=settings.datastore,
            suffix=cloud.storage,
            blob_endpoint=settings.blob_endpoint,
            connect=lambda url: connect(url, _STORAGE, explain_blob),
            stack=context.stack,
            secrets=context.secrets,
            clock=context.clock,
        )
        builds = Builds(arm, root, connect=lambda url: connect(url, cloud.endpoint))
        default = 5.0 if embedded else 60.0
        patience = settings.patience_seconds if settings.patience_seconds is not None else default
        return cls(context.platform, client, arm, root, uploads, builds, settings, patience=patience)

    async def close(self) -> None:
        """See `Provider.close`."""
        if self._looking is not None:
            self._looking.cancel()
        await self._uploads.close()
        await self._builds.close()
        await self._client.close()

    # --- reading ---

    async def list(self, kind: str, *, usage: bool = False) -> AsyncIterator[Remote]:
        """See `Reader.list`.

        The vendor's curated environments are many, and never touched: their
        versions are asked for only with *usage*.
        """
        listing, self._listing = await self._shared_listing(), None
        wanted = [
            name
            for name, one in listing.containers.items()
            if not one.archived
            and name != api.ANONYMOUS
            and name not in listing.versions
            and (usage or not api.is_vendors(name))
        ]
        answers = await gathered([self._environments.versions(name) for name in wanted])
        listing.versions.update(zip(wanted, answers, strict=True))
        users = await self._usage() if usage else None
        for name, container in listing.containers.items():
            if container.archived or name == api.ANONYMOUS:
                continue
            versions = listing.versions.get(name)
            if versions is None:
                yield _curated(container)
            elif (live := newest_active(versions)) is not None and not live.anonymous:
                yield self._remote(live, versions, users)

    async def read(self, kind: str, remote_id: str, *, usage: bool = False) -> Remote | None:
        """See `Reader.read`."""
        looking = asyncio.ensure_future(self._usage()) if usage else None
        try:
            name, _, number = remote_id.partition(":")
            if number:
                version = await self._environments.version(name, number)
                if version is None or version.archived:
                    return None
                return self._version(version, None if looking is None else await looking)
            container, versions = await self._environments.surely(name)
            live = newest_active(versions)
            if container is None or container.archived or live is None:
                return None
            return self._remote(live, versions, None if looking is None else await looking)
        finally:
            if looking is not None:
                looking.cancel()

    async def find(self, kind: str, attributes: Attributes) -> Remote | None:
        """See `Reader.find`."""
        return await self.read(kind, str(attributes["name"]))

    async def describe(self, remote: Remote) -> Mapping[str, Any]:
        """See `Describer.describe`: the image of the version, where somebody knows it."""
        name, _, number = remote.id.partition(":")
        attributes = remote.attributes
        if attributes.get("conda") is None and attributes.get("build") is None:
            return {"build": "none: the image is used as it is"}
        said = await self._builds.image(
            name,
            number or str(attributes["version"]),
            is_built_at_once=attributes.get("build") is not None,
        )
        return {"build": said}

    async def _shared_listing(self) -> Listing:
        """The listing that names were resolved by a moment ago, else a new one."""
        now = asyncio.get_running_loop().time()
        if self._listing is None or now - self._listed_at > _SHARED_FOR:
            return Listing(await self._environments.containers())
        return self._listing

    async def _usage(self) -> Usage:
        """What uses environments: looked for once, for all who ask at the same time."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(look_for_users(self._arm, self._root))
            # Whoever asked may be gone by then, over some other error.
            self._looking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._looking)

    def _remote(self, live: Version, versions: Sequence[Version], users: Usage | None) -> Remote:
        """An environment, as its current version is."""
        used_by: tuple[UsedBy, ...] | None = None
        details = _NO_DETAILS
        if users is not None:
            used_by = users.of(live.name)
            details = _details(live, versions, users)
        return Remote(
            kind=_KIND,
            id=live.name,
            identity=(live.name,),
            attributes=live.attributes,
            wire_digest=hashlib.blake2b(live.raw, digest_size=16).hexdigest(),
            foreign=live.curated or api.is_vendors(live.name),
            details=details,
            used_by=used_by,
        )

    def _version(self, version: Version, users: Usage | None = None) -> Remote:
        """A version as an object of its own. Whatever takes the latest does not count for it."""
        used_by: tuple[UsedBy, ...] | None = None
        if users is not None:
            used_by = users.of_version(version.name, version.number, is_latest=False)
        return Remote(
            kind=_KIND,
            id=version.id,
            identity=(version.id,),
            attributes=Attributes.lazily(lambda: version.canonical(version.id)),
            wire_digest=hashlib.blake2b(version.raw, digest_size=16).hexdigest(),
            foreign=version.curated or api.is_vendors(version.name),
            used_by=used_by,
        )

    # --- names to ids ---

    async def resolve(self, resources: Sequence[Resource]) -> Resolution:
        """See `Reader.resolve`. The listing that follows shares what was asked for here."""
        if not resources:
            return Resolution(())
        listing = Listing(await self._environments.containers())
        resolving = Resolving(
            self._environments,
            self._uploads,
            self._settings.versions,
            usage=self._usage,
            shown=self._version,
        )
        found = await resolving.resolve(resources, listing)
        self._listing, self._listed_at = listing, asyncio.get_running_loop().time()
        return found

    async def place(self, attributes: Attributes) -> str:
        """See `Reader.place`: all is in one."""
        return f"{'registry' if self._root.is_registry else 'workspace'} {self._root.name}"

    def call(self, verb: Verb, kind: str, remote_id: str, attributes: Attributes | None = None) -> str:
        """See `Reader.call`. Where the version is not known, ``VERSION`` stands for it."""
        name, _, number = remote_id.partition(":")
        known = attributes if attributes is not None else Attributes({})
        version = self._environments.root.version
        match verb:
            case Verb.CREATE | Verb.UPDATE:
                name = str(known.get("name", name)).partition(":")[0] or "NAME"
                path = f"PUT {version(name, number or str(known.get('version') or 'VERSION'))}"
            case Verb.DELETE if number:
                path = f"PUT {version(name, number)}"
            case Verb.DELETE if self._settings.destroy == "delete":
                path = f"DELETE {self._root.container(name)}"
            case Verb.DELETE:
                path = f"PUT {self._root.container(name)}"
            case _:
                path = f"GET {version(name, number) if number else self._root.versions(name)}"
        archives = verb is Verb.DELETE and path.startswith("PUT")
        said = " with isArchived: true" if archives else ""
        return f"{path}?api-version={self._arm.api_version}{said}"

    # --- writing ---

    async def create(self, address: ResourceAddress, attributes: Attributes, *, key: str) -> str:
        """See `Provider.create`. Azure ML has no place for *key*.

        An archived environment comes back with the version that is wanted.
        """
        self._listing = None
        name, number = str(attributes["name"]), str(attributes["version"])
        container = await self._environments.container(name)
        if container is None:
            await self._write(name, number, attributes, there=None)
            return name
        container, versions = await self._environments.surely(name)
        if container is None or not container.archived:
            live = newest_active(versions)
            if live is not None:
                raise AlreadyExists(
                    f"{self.name}: there is an environment {name} already, at version {live.number}",
                    platform=self.name,
                    hint="Make the plan again: it will show what is there.",
                )
            await self._write(name, number, attributes, await self._environments.version(name, number))
            return name
        await self._unarchive(container, versions, number, attributes)
        return name

    async def _unarchive(
        self, container: Container, versions: Sequence[Version], number: str, attributes: Attributes
    ) -> None:
        """Bring an archived environment back, at version *number*.

        A version that is new is written first, while nobody sees the
        environment: if we die in between, it is as gone as before. All other
        versions come back with the container, and are archived again: nobody
        asked for them, and a newer one would count instead.
        """
        name = container.name
        there = await self._environments.version(name, number)
        if there is None:
            await self._write(name, number, attributes, there=None)
        else:
            self._check_same(there, attributes)
        await self._environments.put_container(container, archived=False)
        there = await self._environments.version(name, number)
        if there is None:
            raise self._vanished(name, number)
        await self._environments.rewrite(there, lambda body: _wanted(body, attributes))
        await self._archive(one for one in versions if one.number != number)

    async def restore(self, address: ResourceAddress, remote_id: str) -> None:
        """See `Archive.restore`. An environment comes back with the versions that it had, and no others."""
        self._listing = None
        name, _, number = remote_id.partition(":")
        if number:
            there = await self._environments.version(name, number)
            if there is None:
                raise self._vanished(name, number)
            await self._environments.rewrite(there, lambda body: conversion.put_back(body, archived=False))
            return
        container = await self._environments.container(name)
        if container is None:
            raise NotFound(
                f"{self.name}: the environment {name} is no longer there, not even archived",
                platform=self.name,
                hint="Make the plan again; it will create it.",
            )
        if container.archived:
            await self._environments.put_container(container, archived=False)
        # All its versions came back with it.
        for one in self._environments.archived_before(name):
            await self._environments.archive(name, one)

    def _vanished(self, name: str, number: str) -> NotFound:
        return NotFound(
            f"{self.name}: version {number} of {name} is no longer there",
            platform=self.name,
            hint="A number is never used again: make the plan again, it will take the next one.",
        )

    async def update(
        self, address: ResourceAddress, remote_id: str, attributes: Attributes, *, previous: Remote
    ) -> None:
        """See `Provider.update`. A changed definition is another version; all else is written in place."""
        self._listing = None
        name = remote_id
        before = previous.attributes
        wanted = Attributes({**before.values_, **attributes.values_})
        number = str(wanted["version"])
        if number != before["version"]:
            there = await self._environments.version(name, number)
            await self._write(name, number, wanted, there, before=str(before["version"]))
            if there is not None:
                _, versions = await self._environments.surely(name)
                await self._archive(one for one in versions if one.order > there.order)
            return
        if not conversion.same_definition(wanted, before):
            raise Rejected(
                f"{self.name}: version {number} of {name} never changes, and the definition is another",
                platform=self.name,
                hint="Raise `version` in the spec, or make the plan again.",
            )
        there = await self._environments.version(name, number)
        if there is None:
            raise self._vanished(name, number)
        changes = {key: attributes[key] for key in conversion.MUTABLE if key in attributes}
        await self._environments.rewrite(
            there, lambda body: conversion.with_mutable(conversion.put_back(body), changes)
        )

    async def _write(
        self,
        name: str,
        number: str,
        attributes: Mapping[str, Any],
        there: Version | None,
        *,
        before: str = "",
    ) -> None:
        """Make the version *number*, or restore it where it is *there* with this very definition."""
        if there is not None:
            self._check_same(there, attributes)
            await self._environments.rewrite(there, lambda body: _wanted(body, attributes))
            return
        build = attributes.get("build")
        if isinstance(build, Mapping):
            await self._uploads.ensure(
                build["context_uri"], attributes.get("context"), name=name, version=number
            )
        followed = await self._environments.version(name, before) if before else None
        body = conversion.new_version(attributes, followed.properties if followed is not None else None)
        try:
            await self._environments.put_version(name, number, body)
        except AlreadyExists as error:
            taken = await self._environments.version(name, number)
            if taken is None:
                raise  # some other conflict, which says what it is
            raise self._taken(taken) from error

    def _check_same(self, there: Version, attributes: Mapping[str, Any]) -> None:
        if not conversion.same_definition(there.attributes, attributes):
            raise self._taken(there)

    def _taken(self, there: Version) -> AlreadyExists:
        who = there.system.created_by
        return AlreadyExists(
            f"{self.name}: version {there.number} of {there.name} exists with another definition"
            + (f"; {who} made it" if who else ""),
            platform=self.name,
            status=409,
            hint="Make the plan again: it will take the next number.",
        )

    async def _archive(self, versions: Iterable[Version]) -> None:
        """Archive versions, the newest last: it counts, so until then everything is as before."""
        for one in sorted(versions, key=lambda version: version.order):
            await self._environments.archive(one.name, one.number)

    async def delete(
        self, address: ResourceAddress, remote_id: str, *, parting: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """See `Provider.delete`. Archives, unless the stack asked for more and the service does it."""
        self._listing = None
        name, _, number = remote_id.partition(":")
        if number:
            await self._environments.archive(name, number)
            return
        if self._settings.destroy == "delete" and await self._is_deleted(name):
            return
        container = await self._environments.container(name)
        if container is not None and not container.archived:
            await self._environments.put_container(container, archived=True)

    async def _is_deleted(self, name: str) -> bool:
        """Whether the service deleted a container when it was asked to. It is known to refuse."""
        try:
            await self._environments.delete_container(name)
        except ProviderError as error:
            # A 404 may be of the environment, or of the call.
            if error.status not in (400, 404, 405, 409):
                raise
        return await self._environments.container(name) is None


def _wanted(body: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a version that is restored: its definition as it was, the rest as wanted."""
    changes = {key: attributes[key] for key in conversion.MUTABLE if key in attributes}
    return conversion.with_mutable(conversion.put_back(body, archived=False), changes)


def _curated(container: Container) -> Remote:
    """One of the vendor's environments, as far as its container tells."""
    return Remote(
        kind=_KIND,
        id=container.name,
        identity=(container.name,),
        attributes=Attributes(
            {
                "name": container.name,
                "version": container.latest,
                "description": container.description,
                "tags": dict(container.tags),
            }
        ),
        foreign=True,
    )


def _details(live: Version, versions: Sequence[Version], users: Usage) -> dict[str, Any]:
    """Who made it and when, and which versions there are, for people."""
    system = live.system
    newest_first = sorted(versions, key=lambda one: one.order, reverse=True)
    said = ", ".join(f"{one.number} (archived)" if one.archived else one.number for one in newest_first)
    details = {
        "versions": said,
        "created_by": system.created_by or "",
        "created_at": system.created_at or "",
        "updated_by": system.last_modified_by or "",
        "updated_at": system.last_modified_at or "",
    }
    if users.unseen:
        details["not_seen"] = "; ".join(users.unseen)
    return details
