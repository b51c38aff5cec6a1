"""What uses an environment: jobs, deployments, components, schedules. There is no index: all are looked at.

Source: the vendor's REST specifications of 2025-12-01, and answers recorded
in the tests of azure-ai-ml.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from reconciler.core.model import UsedBy
from reconciler.errors import Forbidden, NotFound, Rejected
from reconciler.providers.azureml import api
from reconciler.providers.azureml.arm import Arm
from reconciler.providers.azureml.environments import gathered

__all__ = ["Usage", "look_for_users"]

_MOST_PAGES: Final = 200
"""Pages of jobs that are read: the newest come first, and what runs is among them."""

_LIVE_SCHEDULES: Final = {"listViewType": "EnabledOnly"}
_GONE: Final = frozenset({"Deleting", "Failed", "Canceled"})
_COMPONENT: Final = "/components/"


class _Entry(msgspec.Struct):
    name: str
    properties: dict[str, Any]


_entries = msgspec.json.Decoder(_Entry)


@dataclass(frozen=True, slots=True)
class _User:
    """Something that refers to environments. ``version`` in its status says which."""

    kind: str
    name: str
    status: str
    active: bool
    references: tuple[api.Reference, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Who uses which environment. ``unseen`` says what could not be looked at, and why."""

    users: Mapping[str, tuple[tuple[str, UsedBy], ...]]
    unseen: tuple[str, ...] = ()

    def of(self, name: str) -> tuple[UsedBy, ...]:
        """What uses an environment, in whichever version; first what it matters to."""
        found = sorted(self.users.get(name, ()), key=lambda one: not one[1].active)
        return tuple(
            replace(user, status=", ".join(filter(None, (user.status, _version(version)))))
            for version, user in found
        )

    def of_version(self, name: str, number: str, *, is_latest: bool) -> tuple[UsedBy, ...]:
        """What uses one version; whatever takes the latest uses that."""
        return tuple(
            user
            for version, user in self.users.get(name, ())
            if version == number or (is_latest and not version)
        )


def _version(number: str) -> str:
    return f"version {number}" if number else "the latest version"


async def look_for_users(arm: Arm, root: api.Root) -> Usage:
    """Everything in the workspace that refers to an environment of it.

    What the identity may not list is named in ``unseen``, as is what lies
    behind the pages that are read.
    """
    unseen: list[str] = []
    if root.is_registry:
        return Usage({}, ("what workspaces make of a registry's environments cannot be seen",))
    sources: list[tuple[str, Callable[[], AsyncIterator[_User]]]] = [
        ("jobs", lambda: _jobs(arm, root, unseen)),
        ("online deployments", lambda: _deployments(arm, root, "onlineEndpoints", "online deployment")),
        ("batch deployments", lambda: _deployments(arm, root, "batchEndpoints", "batch deployment")),
        ("components", lambda: _components(arm, root)),
        ("schedules", lambda: _schedules(arm, root)),
    ]

    async def all_of(what: str, source: Callable[[], AsyncIterator[_User]]) -> list[_User]:
        try:
            return [user async for user in source()]
        except Forbidden:
            unseen.append(f"{what}: the identity may not list them")
        except (NotFound, Rejected) as error:
            unseen.append(f"{what}: the service does not list them ({error.status})")
        return []

    found = await gathered([all_of(what, source) for what, source in sources])
    users = [user for group in found for user in group]
    guid = ""
    if any(one.place.startswith("workspaces/") for user in users for one in user.references):
        guid = await _workspace_id(arm, root)
    ours = {"", root.path.strip("/").lower(), f"workspaces/{guid}" if guid else ""}
    by_name: defaultdict[str, dict[tuple[str, UsedBy], None]] = defaultdict(dict)
    for user in users:
        used_by = UsedBy(user.kind, user.name, user.status, user.active)
        for reference in user.references:
            if reference.place in ours:
                by_name[reference.name][reference.version, used_by] = None
    return Usage({name: tuple(found) for name, found in by_name.items()}, tuple(sorted(unseen)))


async def _workspace_id(arm: Arm, root: api.Root) -> str:
    entry = msgspec.json.decode(await arm.get(root.path), type=api.WorkspaceEntry)
    return (entry.properties.workspace_id or "").lower()


async def _listed(
    arm: Arm, path: str, params: Mapping[str, str], most: int = 0, cut: Callable[[], None] = lambda: None
) -> AsyncIterator[_Entry]:
    pages = 0
    async for page in arm.pages(path, params):
        for raw in page:
            try:
                yield _entries.decode(raw)
            except api.UNREADABLE as error:
                raise arm.not_whole(path, "shows something that cannot be understood") from error
        pages += 1
        if most and pages >= most:
            cut()
            return


async def _jobs(arm: Arm, root: api.Root, unseen: list[str]) -> AsyncIterator[_User]:
    def cut() -> None:
        unseen.append(f"jobs: only the {_MOST_PAGES} newest pages were read")

    components: dict[str, tuple[api.Reference, ...]] | None = None
    async for job in _listed(arm, f"{root.path}/jobs", api.ACTIVE, _MOST_PAGES, cut):
        said = job.properties
        references = list(_references(said))
        used = [_component_key(one) for one in _texts(said.get("jobs"), "componentId")]
        if used:
            if components is None:
                components = await _component_index(arm, root)
            for key in used:
                references += components.get(key, ())
        status = str(said.get("status") or "")
        yield _User("job", job.name, status, status not in api.FINISHED, tuple(references))


async def _deployments(arm: Arm, root: api.Root, endpoints: str, kind: str) -> AsyncIterator[_User]:
    names = [one.name async for one in _listed(arm, f"{root.path}/{endpoints}", {})]

    async def of(endpoint: str) -> list[_User]:
        path = f"{root.path}/{endpoints}/{endpoint}/deployments"
        users = []
        try:
            async for one in _listed(arm, path, {}):
                state = str(one.properties.get("provisioningState") or "")
                references = tuple(_references(one.properties))
                users.append(_User(kind, f"{endpoint}/{one.name}", state, state not in _GONE, references))
        except NotFound:  # the endpoint went while we looked
            return []
        return users

    for group in await gathered([of(name) for name in names]):
        for user in group:
            yield user


async def _components(arm: Arm, root: api.Root) -> AsyncIterator[_User]:
    names = [one.name async for one in _listed(arm, f"{root.path}/components", api.ACTIVE)]

    async def of(name: str) -> list[_User]:
        try:
            return [
                _User("component", f"{name}:{one.name}", "", True, tuple(_references(one.properties)))
                async for one in _listed(arm, f"{root.path}/components/{name}/versions", api.ACTIVE)
            ]
        except NotFound:
            return []

    for group in await gathered([of(name) for name in names]):
        for user in group:
            yield user


async def _component_index(arm: Arm, root: api.Root) -> dict[str, tuple[api.Reference, ...]]:
    """The environments of each component version, for the pipelines that are made of components."""
    try:
        return {user.name: user.references async for user in _components(arm, root)}
    except (Forbidden, NotFound, Rejected):
        return {}  # said already, by the listing of the components themselves


async def _schedules(arm: Arm, root: api.Root) -> AsyncIterator[_User]:
    async for one in _listed(arm, f"{root.path}/schedules", _LIVE_SCHEDULES):
        action = one.properties.get("action")
        definition = action.get("jobDefinition") if isinstance(action, Mapping) else None
        if isinstance(definition, Mapping):
            yield _User("schedule", one.name, "enabled", True, tuple(_references(definition)))


def _references(properties: Mapping[str, Any]) -> Iterator[api.Reference]:
    """The environments that a body names: in ``environmentId``, of trials and inner jobs too."""
    for key in ("environmentId", "environment"):
        for text in _texts(properties, key):
            if (found := api.reference(text)) is not None:
                yield found


def _texts(value: Any, key: str) -> Iterator[str]:
    """Every text that stands under *key*, however deep."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name == key and isinstance(inner, str):
                yield inner
            else:
                yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)


def _component_key(component_id: str) -> str:
    """``NAME:VERSION`` of a component id of any form."""
    if _COMPONENT in component_id:
        name, _, version = component_id.rpartition(_COMPONENT)[2].partition("/versions/")
        return f"{name}:{version}"
    return component_id.removeprefix("azureml:")
