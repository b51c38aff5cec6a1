"""What the Azure ML wire says: paths, bodies, references, and nothing about what to do with them.

Sources: the vendor's clients azure-ai-ml 1.35.2 (its ARM client of
2025-12-01) and azure-mgmt-machinelearningservices 2.0.0b2, and the live
answers recorded in the tests of the first.

Answer structs are tolerant: unknown keys are ignored, null is absence, and
enumerations are plain strings, so that a newer service can be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec
from msgspec import DecodeError, Raw, Struct, ValidationError

__all__ = [
    "ACTIVE",
    "ANONYMOUS",
    "CURATED",
    "EVERY",
    "FINISHED",
    "UNREADABLE",
    "ContainerEntry",
    "Datastore",
    "ErrorCode",
    "ImageDetails",
    "Operation",
    "Page",
    "Reference",
    "Root",
    "StoreSecret",
    "SystemData",
    "VersionEntry",
    "WorkspaceEntry",
    "error_of",
    "is_vendors",
    "reference",
    "tables",
]

UNREADABLE: Final = (DecodeError, ValidationError, UnicodeDecodeError, RecursionError)
"""What decoding an answer raises when it is not what it should be."""

ACTIVE: Final = {"listViewType": "ActiveOnly"}
EVERY: Final = {"listViewType": "All"}
"""Said in every listing: what absence means is not documented."""

ANONYMOUS: Final = "CliV2AnonymousEnvironment"
"""The container of the environments that jobs bring along, each under a hash."""

CURATED: Final = "Curated"
FINISHED: Final = frozenset({"Completed", "Failed", "Canceled"})
"""States of a job that will not run again."""


def is_vendors(container: str) -> bool:
    """Whether the name is one of the vendor's curated environments."""
    return container.startswith("AzureML-")


@dataclass(frozen=True, slots=True)
class Root:
    """Where environments live: a workspace or a registry. ``kind`` is ``workspaces`` or ``registries``."""

    subscription: str
    resource_group: str
    kind: str
    name: str

    @property
    def path(self) -> str:
        """The ARM id, which is the path."""
        group = quote(self.resource_group, safe="")
        return (
            f"/subscriptions/{quote(self.subscription, safe='')}/resourceGroups/{group}"
            f"/providers/Microsoft.MachineLearningServices/{self.kind}/{quote(self.name, safe='')}"
        )

    @property
    def is_registry(self) -> bool:
        """Whether this is a registry of shared environments."""
        return self.kind == "registries"

    @property
    def containers(self) -> str:
        """The listing of containers."""
        return f"{self.path}/environments"

    def container(self, name: str) -> str:
        """One container."""
        return f"{self.containers}/{quote(name, safe='')}"

    def versions(self, name: str) -> str:
        """The listing of one container's versions."""
        return f"{self.container(name)}/versions"

    def version(self, name: str, version: str) -> str:
        """One version."""
        return f"{self.versions(name)}/{quote(version, safe='')}"


class SystemData(Struct, rename="camel"):
    """Who and when. ``lastModifiedAt`` stays when a version is archived: it says nothing about drift."""

    created_at: str | None = None
    created_by: str | None = None
    last_modified_at: str | None = None
    last_modified_by: str | None = None


class _ContainerProperties(Struct, rename="camel"):
    description: str | None = None
    tags: dict[str, str | None] | None = None
    is_archived: bool | None = None
    latest_version: str | None = None


class ContainerEntry(Struct, rename="camel"):
    """An environment container."""

    name: str
    properties: _ContainerProperties
    system_data: SystemData = msgspec.field(default_factory=SystemData)


class _VersionProperties(Struct, rename="camel"):
    is_archived: bool | None = None
    is_anonymous: bool | None = None
    environment_type: str | None = None


class VersionEntry(Struct, rename="camel"):
    """An environment version, as far as an unchanged one is read. ``name`` is the version."""

    name: str
    properties: _VersionProperties
    system_data: SystemData = msgspec.field(default_factory=SystemData)


class Page(Struct, rename="camel"):
    """One page of a listing; without ``nextLink``, or with an empty one, the last."""

    value: list[Raw]
    next_link: str | None = None


class _DatastoreProperties(Struct, rename="camel"):
    datastore_type: str
    account_name: str | None = None
    container_name: str | None = None
    endpoint: str | None = None
    protocol: str | None = None


class Datastore(Struct):
    """A datastore, as far as uploads need it."""

    properties: _DatastoreProperties


class StoreSecret(Struct, rename="camel"):
    """The answer of ``listSecrets``."""

    secrets_type: str
    sas_token: str | None = None
    key: str | None = None


class _WorkspaceProperties(Struct, rename="camel"):
    workspace_id: str | None = None
    discovery_url: str | None = None


class WorkspaceEntry(Struct):
    """A workspace, as far as builds and references need it."""

    properties: _WorkspaceProperties


class Operation(Struct):
    """The state of a long-running operation: ``Succeeded``, ``Failed``, ``Canceled``, or not done."""

    status: str
    error: dict[str, Any] | None = None


class _Registry(Struct):
    # Its user name and password are left out on purpose: nobody has a use for them here.
    address: str | None = None


class _DockerImage(Struct):
    name: str | None = None
    registry: _Registry | None = None


class ImageDetails(Struct, rename="camel"):
    """What the v1 service says about a version's image, without the credentials that it sends along."""

    docker_image: _DockerImage | None = None
    image_exists_in_registry: bool | None = None


tables: Final = msgspec.json.Decoder(dict[str, Any])


# --- errors --------------------------------------------------------------------------------------------


class ErrorCode(NamedTuple):
    """What an error answer says: the service's own code where it hides it, and its words."""

    code: str
    message: str


def error_of(body: bytes) -> ErrorCode | None:
    """The error in *body*: ARM's, the v1 service's or OAuth2's; None when it is none of them.

    Nearly all errors of the service have the code ``UserError``; which one it
    is stands below ``additionalInfo``.
    """
    try:
        found = tables.decode(body)
    except UNREADABLE:
        return None
    error = found.get("error")
    if isinstance(error, str):
        return ErrorCode(error, _text(found.get("error_description")))
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        return None
    return ErrorCode(_inner(error) or error["code"], _text(error.get("message")))


def _inner(error: dict[str, Any]) -> str:
    for info in error.get("additionalInfo") or ():
        match info:
            case {"type": "InnerError", "info": {"value": {"code": str(code)}}}:
                return code
    return ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# --- references ----------------------------------------------------------------------------------------


class Reference(NamedTuple):
    """An environment that something names.

    ``place`` is empty for our own workspace, else the ARM id, the
    ``registries/NAME`` or the ``workspaces/GUID`` it is in, in small letters.
    ``version`` is empty for the latest.
    """

    place: str
    name: str
    version: str


def reference(text: str) -> Reference | None:
    """What a reference of any form names; None when it names no environment.

    Forms: an ARM id, ``azureml:`` and an ARM id, ``azureml:NAME:VERSION``,
    ``azureml:NAME@latest``, ``azureml://registries/R/environments/…`` and
    ``azureml://locations/L/workspaces/GUID/environments/…``.
    """
    said = text.strip()
    rest = said[len("azureml:") :] if said[: len("azureml:")].lower() == "azureml:" else said
    if "/" not in rest:
        if rest == said:
            return None
        name, colon, version = rest.partition(":")
        if colon and version:
            return Reference("", name, version)
        name, at, label = rest.partition("@")
        return Reference("", name, "") if at and label == "latest" else None
    parts = [unquote(part) for part in rest.strip("/").split("/")]
    if len(parts) < 4 or parts[-4].lower() != "environments":
        return None
    *before, _, name, what, version = parts
    if what.lower() == "labels":
        version = ""
    elif what.lower() != "versions":
        return None
    if before[:1] == ["locations"]:
        before = before[2:]
    return Reference("/".join(before).lower(), name, version)
