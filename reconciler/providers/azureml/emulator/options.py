"""How an embedded Azure ML is born, and what the sources leave open, as switches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["CLIENT", "HERE", "PLAIN", "TENANT", "Options", "Registry", "Workspace"]

TENANT: Final = "00000000-0000-4000-8000-00000000c001"
"""The tenant of every embedded Azure ML. Its domain is ``embedded``."""

CLIENT: Final = "embedded"
"""Id and secret of the service principal that it is born with; also the secret of its managed identity."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a workspace is."""

    subscription: str = "00000000-0000-4000-8000-000000000001"
    resource_group: str = "embedded"
    name: str = "embedded"
    region: str = "eastus"


HERE: Final = Workspace()
"""The workspace that there is when nothing is said."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Where a registry is."""

    name: str = "embedded-registry"
    subscription: str = "00000000-0000-4000-8000-000000000001"
    resource_group: str = "embedded"
    region: str = "eastus"


@dataclass(frozen=True, slots=True)
class Options:
    """What differs from one embedded Azure ML to the next.

    ``workspaces`` and ``registries`` are made when the store lacks them.

    ``next_version``: what a container's ``nextVersion`` looks like; both were
    seen. ``delete``: whether environments and versions can be deleted, or
    answer 405. ``environment_service``: whether a workspace still offers the
    v1 service: ``open``, ``missing`` (no host for it, and 404) or ``gone`` (410).
    ``datastore_tells``: what ``listSecrets`` tells. ``page_size``: entries of
    a page when nothing is asked, 1 to 1000.

    ``list_lag``: seconds that a list always lags behind. ``throttle``: refuse,
    with 429, what the resource manager's token buckets do not allow.
    ``token_lifetime``, ``operation_seconds``, ``build_seconds``: how long an
    access token is good, a long-running operation and an image build take.
    ``storage_suffix``: the last part of the address of a storage account.
    """

    workspaces: tuple[Workspace, ...] = (HERE,)
    registries: tuple[Registry, ...] = (Registry(),)
    next_version: Literal["integer", "timestamp"] = "integer"
    delete: Literal["works", "refused"] = "works"
    environment_service: Literal["open", "missing", "gone"] = "open"
    datastore_tells: Literal["sas", "key"] = "sas"
    page_size: int = 100
    list_lag: float = 0.0
    throttle: bool = False
    token_lifetime: int = 3599
    operation_seconds: float = 0.2
    build_seconds: float = 0.5
    storage_suffix: str = "core.windows.net"


PLAIN: Final = Options()
"""Nothing chosen."""
