"""What only all specs of a stack together can tell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from reconciler.core.attributes import REF, Attributes
from reconciler.core.model import Resource, ResourceAddress
from reconciler.core.ports import Problem
from reconciler.providers.aenvironment.kinds import environment_id

__all__ = ["collisions", "completed", "shared_volumes"]


def completed(service: Resource, known: Mapping[ResourceAddress, Resource]) -> Resource:
    """*service* with what it has of its environment: the image that it runs, and the name of its volume."""
    reference = service.attributes["environment"]
    text = reference.get(REF) if isinstance(reference, Mapping) else None
    environment = known.get(ResourceAddress.parse(text)) if text is not None else None
    if environment is None:
        return service
    values = dict(service.attributes.values_)
    if environment.attributes.get("image"):
        values["image"] = environment.attributes["image"]
    if "storage_size" in values:
        values.setdefault("storage_name", environment.attributes["name"])
    return replace(service, attributes=Attributes(values))


def shared_volumes(services: Iterable[Resource]) -> Iterator[Problem]:
    """Services of one volume see the same data: it has one size, and goes with none of them."""
    sharing: dict[str, list[Resource]] = defaultdict(list)
    for one in services:
        if one.attributes.get("storage_name"):
            sharing[one.attributes["storage_name"]].append(one)
    for volume, several in sharing.items():
        first = several[0]
        for one in several[1:]:
            theirs, ours = first.attributes["storage_size"], one.attributes["storage_size"]
            if theirs != ours:
                yield Problem(
                    ("storage_size",),
                    f"the volume {volume} is to have {ours} here, and {theirs} for {first.address}",
                    "Whoever comes first makes it, the other one takes it as it is. Give both the same size, "
                    "or one of them a `storage_name` of its own.",
                    one.address,
                )
        for one in several if len(several) > 1 else ():
            if one.attributes.get("delete_storage"):
                other = next(another for another in several if another is not one)
                yield Problem(
                    ("delete_storage",),
                    f"`delete_storage` would take the volume {volume} away from {other.address}, too",
                    "Remove it, or give one of them a `storage_name` of its own.",
                    one.address,
                )


def collisions(environments: Iterable[Resource]) -> Iterable[Problem]:
    """EnvHub's key joins name and version: 1-2 of ``a`` and 2 of ``a-1`` would be one record."""
    first: dict[str, Resource] = {}
    for one in environments:
        name, version = one.attributes["name"], one.attributes["version"]
        other = first.setdefault(f"{name}-{version}", one)
        theirs = other.attributes["name"], other.attributes["version"]
        if theirs != (name, version):
            yield Problem(
                ("version",),
                f"{environment_id(name, version)} and {environment_id(*theirs)} ({other.address}) have the "
                "same key in EnvHub",
                "Give one of them another name or version: EnvHub joins the two with a hyphen.",
                one.address,
            )
