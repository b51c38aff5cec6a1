"""What specs leave to the platform: version numbers, addresses of build contexts, versions to put away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from reconciler.core.attributes import LOOKUP, Attributes
from reconciler.core.model import Remote, Resource
from reconciler.core.ports import Problem, Resolution, Surplus
from reconciler.providers.azureml.environments import (
    Environments,
    Listing,
    Version,
    gathered,
    newest_active,
)
from reconciler.providers.azureml.kinds import ENVIRONMENT
from reconciler.providers.azureml.numbering import Strategy, number_for, surplus
from reconciler.providers.azureml.upload import Uploads
from reconciler.providers.azureml.usage import Usage

__all__ = ["Resolving"]

_CONTEXT: Final = ("build", "context_uri")


class Resolving:
    """Turns the lookups of resources into what they stand for.

    *usage* looks for whatever uses environments, *shown* gives a version as
    an object of its own.
    """

    def __init__(
        self,
        environments: Environments,
        uploads: Uploads,
        strategy: Strategy,
        *,
        usage: Callable[[], Awaitable[Usage]],
        shown: Callable[[Version], Remote],
    ) -> None:
        self._environments = environments
        self._uploads = uploads
        self._strategy = strategy
        self._usage = usage
        self._shown = shown

    async def resolve(self, resources: Sequence[Resource], listing: Listing) -> Resolution:
        """The resources as they are to be. Leaves in *listing* what it came to know."""
        await self._list_versions({str(one.attributes["name"]) for one in resources}, listing)
        found = await gathered([self._resolved(one, listing) for one in resources])
        sound = [one for one in found if isinstance(one, Resource)]
        problems = tuple(one for one in found if isinstance(one, Problem))
        warnings = [text for one in sound if (text := _going_back(one, listing))]
        old = await self._surplus(sound, listing, warnings)
        return Resolution(tuple(sound), problems, tuple(warnings), surplus=tuple(old))

    async def _list_versions(self, names: Iterable[str], listing: Listing) -> None:
        missing = sorted(
            name for name in names if name in listing.containers and name not in listing.versions
        )
        answers = await gathered([self._environments.versions(name) for name in missing])
        listing.versions.update(zip(missing, answers, strict=True))

    async def _resolved(self, resource: Resource, listing: Listing) -> Resource | Problem:
        values = resource.attributes.values_
        build = values.get("build")
        if isinstance(build, Mapping) and isinstance(named := build.get("context_uri"), Mapping):
            if self._environments.root.is_registry:
                return Problem(
                    _CONTEXT,
                    "a registry has no datastore that a build context can be uploaded to",
                    "Give the address of one that is in blob storage, or build the image elsewhere.",
                    resource.address,
                )
            uri = await self._uploads.address(named[LOOKUP]["context"])
            values = {**values, "build": {**build, "context_uri": uri}}
        name = str(values["name"])
        wanted = self._numbered(resource, values, listing)
        if name in listing.containers and (
            isinstance(wanted, Problem) or not _is_as(wanted, resource, listing, name)
        ):
            # A listing may be behind, and what differs is about to be written.
            listing.merge(name, *await self._environments.surely(name))
            wanted = self._numbered(resource, values, listing)
        if isinstance(wanted, Problem):
            return replace(wanted, address=resource.address)
        if wanted == resource.attributes.values_:
            return resource
        return replace(resource, attributes=Attributes(wanted))

    def _numbered(
        self, resource: Resource, values: Mapping[str, Any], listing: Listing
    ) -> dict[str, Any] | Problem:
        name = str(values["name"])
        container = listing.containers.get(name)
        number = number_for(
            values,
            listing.versions.get(name, ()) if container is not None else (),
            strategy=self._strategy,
            ignored=resource.lifecycle.ignore_changes,
            archived=container is not None and container.archived,
        )
        return number if isinstance(number, Problem) else {**values, "version": number}

    async def _surplus(
        self, resources: Sequence[Resource], listing: Listing, warnings: list[str]
    ) -> list[Surplus]:
        """The versions that the ``keep_versions`` of *resources* leaves no place, and nothing needs."""
        candidates: list[tuple[Resource, Version, bool]] = []
        for resource in resources:
            values = resource.attributes.values_
            name, keep = str(values["name"]), values.get("keep_versions")
            container = listing.containers.get(name)
            if not isinstance(keep, int) or container is None or container.archived:
                continue
            versions = listing.versions.get(name, [])
            newest = newest_active(versions)
            candidates += [
                (resource, one, newest is not None and newest.number == one.number)
                for one in surplus(versions, str(values["version"]), keep)
            ]
        if not candidates:
            return []
        usage = await self._usage()
        if usage.unseen:
            warnings.append(
                "no old version is put away, since not all that may use one can be seen: "
                + "; ".join(usage.unseen)
            )
            return []
        old = []
        for resource, version, is_latest in candidates:
            users = [
                one
                for one in usage.of_version(version.name, version.number, is_latest=is_latest)
                if one.active
            ]
            if users:
                more = f" and {len(users) - 1} more" if len(users) > 1 else ""
                warnings.append(
                    f"{resource.address}: version {version.number} is beyond keep_versions, and stays: "
                    f"{users[0]}{more} uses it"
                )
            else:
                keep = resource.attributes["keep_versions"]
                reason = (
                    f"version {version.number} is older than the {keep} that keep_versions keeps, "
                    "and nothing uses it; it is archived, and can be restored"
                )
                old.append(Surplus(resource.address, self._shown(version), reason))
        return old


def _going_back(resource: Resource, listing: Listing) -> str:
    """What becomes of other versions where the one that is wanted is not simply the next; else nothing."""
    name, number = str(resource.attributes["name"]), str(resource.attributes["version"])
    if (container := listing.containers.get(name)) is not None and container.archived:
        return (
            f"{resource.address}: it is archived on the platform, and comes back at version {number}; "
            "its other versions stay archived"
        )
    versions = listing.versions.get(name, [])
    newest = newest_active(versions)
    if newest is None or newest.number == number or all(one.number != number for one in versions):
        return ""
    made = next(one.order for one in versions if one.number == number)
    newer = [one.number for one in versions if not one.archived and one.order > made]
    said = f"{resource.address}: version {number} is there already and becomes the current one again"
    return f"{said}; {', '.join(newer)} {'is' if len(newer) == 1 else 'are'} archived" if newer else said


def _is_as(wanted: Mapping[str, Any], resource: Resource, listing: Listing, name: str) -> bool:
    """Whether the listing shows the environment as it is to be, so that nothing will be written."""
    live = None if listing.containers[name].archived else newest_active(listing.versions.get(name, ()))
    if live is None:
        return False
    skipped = {*ENVIRONMENT.local, *resource.lifecycle.ignore_changes}

    def meant(key: str, value: Any) -> Any:
        return ENVIRONMENT.defaults.get(key) if value is None else value

    return all(
        key in skipped or meant(key, live.attributes.get(key)) == meant(key, value)
        for key, value in wanted.items()
    )
